//! Running make in a working pair, and finding what it made.

use std::borrow::Cow;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::PathBuf;
use std::sync::LazyLock;

use regex::Regex;

use crate::ccache::Ccache;
use crate::error::{BuildError, Doing};
use crate::failure::{Fault, first_errors, machine_fault};
use crate::observer::Stage;
use crate::pool::Pair;
use crate::process::{self, Cancel, Step};
use crate::recipe::{self, OBJECTS, SOURCE};
use crate::request::{host_arch, image_of};
use crate::sandbox::{Bind, Confinement};
use crate::stand_ins::StandIns;
use crate::toolchain::Toolchain;
use crate::tree::KernelVersion;

/// How often a step that failed is looked for in its log: the last part of a log that is longer
/// than this many bytes.
const LOG_READ: u64 = 64 << 20;

/// Make, ready to run on one pair.
pub(crate) struct Kbuild<'a> {
    pub(crate) toolchain: &'a Toolchain,
    pub(crate) version: KernelVersion,
    /// Stands before the compiler.
    pub(crate) ccache: Option<&'a Ccache>,
    pub(crate) confinement: &'a Confinement,
    pub(crate) pair: &'a Pair,
    pub(crate) cancel: &'a Cancel,
    pub(crate) jobs: usize,
}

/// How a run of make ended, the machine's failures aside.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Made {
    /// All targets are made.
    Well {
        /// The number of steps that Kbuild printed.
        steps: u64,
        /// The first error of a run that failed, when it took a second one.
        failed_once: Option<String>,
    },
    /// The revision's sources don't allow it: the first errors.
    Badly { errors: Vec<String> },
}

/// How one run of make ended.
enum Attempt {
    Well { steps: u64 },
    Badly(Failure),
}

/// What went wrong in one run of make.
struct Failure {
    /// At least one.
    errors: Vec<String>,
    /// Make's own line about the first target that it could not make.
    target: Option<String>,
    /// A tool crashed: its words are the same whatever it was working on.
    crashed: bool,
}

impl Made {
    /// What a person should know of how it was made.
    pub(crate) fn note(&self) -> Option<String> {
        match self {
            Self::Well { failed_once: Some(error), .. } => Some(format!(
                "make failed once (\"{error}\") and ended well when it was run again: a fault of \
                 this machine, or of the order in which jobs ran"
            )),
            _ => None,
        }
    }
}

impl Failure {
    fn first(&self) -> &str {
        self.errors.first().map_or("", String::as_str)
    }

    /// Whether the same went wrong. Jobs run side by side, so when several fail, another one may be
    /// the first.
    fn is_like(&self, other: &Self) -> bool {
        let has = |one: &Self, other: &Self| {
            let first = without_temporary_names(one.first());
            other.errors.iter().any(|error| without_temporary_names(error) == first)
        };
        let same_target = self.target == other.target;
        (has(self, other) || has(other, self)) && (same_target || !self.crashed && !other.crashed)
    }
}

/// A message without what differs from run to run: the compiler's temporary files.
fn without_temporary_names(message: &str) -> Cow<'_, str> {
    static NAME: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r"/tmp/cc\w+").expect("a constant pattern"));
    NAME.replace_all(message, "/tmp/cc")
}

/// "make[3]: *** [scripts/Makefile.build:250: mm/mmap.o] Error 1", the first such line.
fn failed_target(log: &str) -> Option<String> {
    log.lines().find(|line| line.contains(": *** [")).map(str::to_owned)
}

impl Kbuild<'_> {
    /// Makes targets; the output is appended to the pair's log. `stage` is called once a step.
    ///
    /// What failed is made again before it counts as the revision's failure, as that is final and
    /// spreads to all revisions that are proved equal. Running make again in the same pair is
    /// enough for that: it runs the failed command anew with the same inputs, so a failure that
    /// the sources decide comes again with the same words, and one of the machine (a flipped bit, a
    /// race) does not. What was made before it failed is not made again, but neither would a wrong
    /// object among that make a *failed* build: each command that read it ended well.
    /// What ends well the second time is a build, and says that it took two runs.
    /// When the second run fails in other words, it is the machine's fault; files written since
    /// the build began are then removed by the next one, as after a killed build.
    pub(crate) fn make(
        &self,
        targets: &[&str],
        extra: &[(&str, OsString)],
        stage: &(dyn Fn(Stage) + Sync),
        expected: Option<u64>,
    ) -> Result<Made, BuildError> {
        let first = match self.attempt(targets, extra, stage, expected)? {
            Attempt::Well { steps } => return Ok(Made::Well { steps, failed_once: None }),
            Attempt::Badly(failure) => failure,
        };
        match self.attempt(targets, extra, stage, expected)? {
            Attempt::Well { steps } => {
                let error = first.first().to_owned();
                tracing::warn!(error, "make failed, and ended well when it was run again");
                Ok(Made::Well { steps, failed_once: Some(error) })
            }
            Attempt::Badly(again) if again.is_like(&first) => {
                Ok(Made::Badly { errors: first.errors })
            }
            Attempt::Badly(again) => Err(BuildError::Infra {
                reason: format!(
                    "make failed twice, each time in another way: first \"{}\", then \"{}\"",
                    first.first(),
                    again.first()
                ),
            }),
        }
    }

    /// Runs make once.
    fn attempt(
        &self,
        targets: &[&str],
        extra: &[(&str, OsString)],
        stage: &(dyn Fn(Stage) + Sync),
        expected: Option<u64>,
    ) -> Result<Attempt, BuildError> {
        let source = Bind { host: self.pair.shown_source(), inside: SOURCE, read_only: true };
        let objects = Bind { host: self.pair.objects(), inside: OBJECTS, read_only: false };
        let mut environment = recipe::environment();
        environment.extend(extra.iter().map(|(name, value)| ((*name).into(), value.clone())));
        let step = self.step(self.arguments(&source, &objects, targets), environment)?;
        let path = self.pair.log();
        let log = File::options().create(true).append(true).open(&path).doing("opening", &path)?;
        let begins = log.metadata().doing("reading", &path)?.len();
        let mut log = BufWriter::new(log);
        let mut steps = 0;
        let code = process::run(step, self.confinement, self.cancel, |line| {
            if is_step(line) {
                steps += 1;
                stage(if is_link(line) {
                    Stage::Linking
                } else {
                    // A guess that turned out too low must not show as "110 of 100".
                    Stage::Compiling { done: steps, expected: expected.map(|n| n.max(steps)) }
                });
            }
            log.write_all(line)?;
            log.write_all(b"\n")
        });
        let flushed = log.flush();
        let code = code.doing("running make; its log is", &path)?;
        flushed.doing("writing", &path)?;
        if code == 0 {
            return Ok(Attempt::Well { steps });
        }
        self.judge(code, begins).map(Attempt::Badly)
    }

    /// Runs make on a makefile of Kiln's own, named from the folder of objects: in that folder,
    /// with the environment, the tools and the sources that Kbuild has. Goes on past a command that
    /// fails; what was made says which did not. The output is appended to the pair's log.
    pub(crate) fn beside(&self, makefile: &str) -> Result<(), BuildError> {
        let jobs = format!("-j{}", self.jobs.max(1));
        let arguments = ["-k", "-s", &jobs, "-f", makefile].map(OsString::from);
        let path = self.pair.log();
        let log = File::options().create(true).append(true).open(&path).doing("opening", &path)?;
        let mut log = BufWriter::new(log);
        let step = self.step(arguments.into(), recipe::environment())?;
        let code = process::run(step, self.confinement, self.cancel, |line| {
            log.write_all(line)?;
            log.write_all(b"\n")
        });
        code.doing("running make; its log is", &path)?;
        log.flush().doing("writing", &path)
    }

    /// Make with these arguments, in the folder of objects.
    fn step(
        &self,
        mut arguments: Vec<OsString>,
        mut environment: Vec<(OsString, OsString)>,
    ) -> Result<Step, BuildError> {
        let source = Bind { host: self.pair.shown_source(), inside: SOURCE, read_only: true };
        let objects = Bind { host: self.pair.objects(), inside: OBJECTS, read_only: false };
        let folder = self.confinement.seen(&objects);
        let mut binds = vec![source, objects];
        let stand_ins = StandIns::of(self.pair)?;
        arguments.extend(stand_ins.variables(self.confinement).map(OsString::from));
        binds.extend(stand_ins.binds());
        if let Some(ccache) = self.ccache {
            ccache.enter(&mut environment, self.confinement);
            binds.push(ccache.bind());
        }
        Ok(Step {
            program: self.toolchain.make.clone().into(),
            arguments,
            environment,
            folder,
            binds,
            kept_open: Some(self.pair.lock()),
            hidden: self.pair.pool(),
        })
    }

    /// What an unsuccessful make means.
    fn judge(&self, code: i32, begins: u64) -> Result<Failure, BuildError> {
        let log = read_log(self.pair, begins)?;
        let source = Bind { host: self.pair.shown_source(), inside: SOURCE, read_only: true };
        let crashed = match machine_fault(&log, &self.confinement.seen(&source)) {
            Some(Fault::Crash { .. }) => true,
            other => fault_to_error(other, self.pair).map(|()| false)?,
        };
        // Make itself reports failures with 2. Anything above 125 is a make that was killed.
        if code > 125 {
            return Err(BuildError::Infra { reason: format!("make ended with code {code}") });
        }
        let mut errors = first_errors(&log);
        // Users have no such folder: the path from the tree's root is what they can open.
        let shown = format!("{SOURCE}/");
        errors.iter_mut().for_each(|error| *error = error.replace(&shown, ""));
        if errors.is_empty() {
            errors.push(format!("make ended with code {code} and said nothing"));
        }
        Ok(Failure { errors, target: failed_target(&log), crashed })
    }

    fn arguments(&self, source: &Bind, objects: &Bind, targets: &[&str]) -> Vec<OsString> {
        let seen = |bind: &Bind| self.confinement.seen(bind);
        let (at, out) = (seen(source), seen(objects));
        let mut arguments = recipe::arguments(host_arch(), self.version, &at, &out, self.jobs);
        let mut variables = self.toolchain.programs.variables();
        let mapped = match self.confinement {
            Confinement::Plain { .. } => Some((source.host.as_path(), objects.host.as_path())),
            Confinement::Namespaces { .. } => None,
        };
        variables.extend(recipe::flags(self.toolchain.is_gcc(), mapped));
        arguments.extend(variables.into_iter().map(OsString::from));
        arguments.extend(targets.iter().map(OsString::from));
        arguments
    }
}

/// Turns a fault of the machine into the error that says so.
pub(crate) fn fault_to_error(fault: Option<Fault>, pair: &Pair) -> Result<(), BuildError> {
    match fault {
        None => Ok(()),
        Some(Fault::Missing { what, package }) => Err(BuildError::Missing { what, package }),
        Some(Fault::DiskFull { .. }) => Err(BuildError::DiskFull { path: pair.root.clone() }),
        Some(Fault::Crash { line } | Fault::Other { line }) => {
            Err(BuildError::Infra { reason: line })
        }
    }
}

/// The pair's log from a position on; only its last part when that is very long.
pub(crate) fn read_log(pair: &Pair, begins: u64) -> Result<String, BuildError> {
    use std::io::{Read, Seek, SeekFrom};
    let path = pair.log();
    let read = || {
        let mut file = File::open(&path)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(begins.max(length.saturating_sub(LOG_READ))))?;
        let mut text = Vec::new();
        file.read_to_end(&mut text)?;
        Ok(String::from_utf8_lossy(&text).into_owned())
    };
    read().doing("reading", &path)
}

/// A line by which Kbuild says that it starts a step: "  CC      mm/mmap.o".
fn is_step(line: &[u8]) -> bool {
    line.starts_with(b"  ") && line.get(2).is_some_and(u8::is_ascii_uppercase)
}

/// One of the last links: of `vmlinux`, with or without its symbol tables.
fn is_link(line: &[u8]) -> bool {
    let text = String::from_utf8_lossy(line);
    let mut words = text.split_whitespace();
    words.next() == Some("LD")
        && words
            .next()
            .is_some_and(|what| what.starts_with("vmlinux") || what.starts_with(".tmp_vmlinux"))
}

/// The files of a successful build, by their names in the store; but for [`crate::unlinked::artifact`].
pub(crate) fn artifacts(pair: &Pair, modules: bool) -> Result<Vec<(String, PathBuf)>, BuildError> {
    let objects = pair.objects();
    let (image, path) = image_of(host_arch());
    let mut artifacts: Vec<(String, PathBuf)> = vec![(image.to_owned(), objects.join(path))];
    for name in ["vmlinux", "System.map", ".config"] {
        artifacts.push((name.to_owned(), objects.join(name)));
    }
    artifacts.push((kiln_cache::build_draft::BUILD_LOG.to_owned(), pair.log()));
    if modules {
        let order = objects.join("modules.order");
        let text = fs::read_to_string(&order).doing("reading", &order)?;
        for module in module_files(&text) {
            // Kernels up to 5.3 put "kernel/" before every path.
            let short = module.strip_prefix("kernel/").unwrap_or(&module);
            let path = if objects.join(&module).exists() { &module } else { short };
            artifacts.push((format!("modules/{path}"), objects.join(path)));
        }
    }
    Ok(artifacts)
}

/// Paths of the modules that `modules.order` lists, sorted. It lists "drivers/a.ko", and from 6.3
/// on "drivers/a.o".
fn module_files(order: &str) -> Vec<String> {
    let mut files: Vec<String> = order
        .lines()
        .map(str::trim)
        .filter_map(|line| {
            let stem = line.strip_suffix(".ko").or_else(|| line.strip_suffix(".o"))?;
            Some(format!("{stem}.ko"))
        })
        .collect();
    files.sort();
    files.dedup();
    files
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_steps_from_other_lines() {
        for line in ["  CC      mm/mmap.o", "  LD [M]  drivers/a.ko", "  HOSTCC  scripts/x"] {
            assert!(is_step(line.as_bytes()), "{line}");
        }
        for line in ["make[1]: Entering directory", "  from mm/mmap.c:15:", " 12 |  X", ""] {
            assert!(!is_step(line.as_bytes()), "{line}");
        }
    }

    #[test]
    fn the_same_failure_twice() {
        let failure = |error: &str, target: &str, crashed| Failure {
            errors: vec![error.to_owned(), "more".to_owned()],
            target: Some(target.to_owned()),
            crashed,
        };
        let one = failure("ld: /tmp/ccAbC1.o: undefined reference to `x'", "a.o", false);
        assert!(one.is_like(&failure(
            "ld: /tmp/ccZz9.o: undefined reference to `x'",
            "a.o",
            false
        )));
        assert!(!one.is_like(&failure("a.c:1:1: error: no", "a.o", false)));
        let crash =
            |target| failure("gcc: internal compiler error: Segmentation fault", target, true);
        assert!(crash("a.o").is_like(&crash("a.o")), "a bug of the compiler");
        assert!(!crash("a.o").is_like(&crash("b.o")), "bad memory");
    }

    #[test]
    fn knows_the_last_links() {
        for line in ["  LD      vmlinux", "  LD      vmlinux.o", "  LD      .tmp_vmlinux.kallsyms1"]
        {
            assert!(is_link(line.as_bytes()), "{line}");
        }
        for line in ["  LD      arch/x86/boot/setup.elf", "  CC      vmlinux.o", "  LD"] {
            assert!(!is_link(line.as_bytes()), "{line}");
        }
    }

    #[test]
    fn modules_by_either_kind_of_list() {
        let expected = ["drivers/b.ko", "fs/a.ko"];
        assert_eq!(module_files("fs/a.ko\ndrivers/b.ko\n"), expected);
        assert_eq!(module_files("fs/a.o\ndrivers/b.o\n\n"), expected);
    }
}
