//! A build command in the place of Kbuild, so that other trees, and fakes, can be built.
//!
//! The command line is given to `sh -c` in the checked-out sources, with the caller's environment,
//! the recipe's fixed variables (time, place, language) and
//!
//! | variable | |
//! |---|---|
//! | `KILN_SOURCE` | the sources, which is also the working folder |
//! | `KILN_OUT` | an empty folder: every regular file left in it is an artifact, except `build.log`, `closure`, `units` and `provenance` |
//! | `KILN_COMMIT` | the commit, 40 digits |
//! | `KILN_CONFIG` | a file with the configuration as given; empty when there is none |
//!
//! It may write to the sources; each build starts from exactly the tree. It ends with 0 when the
//! revision is built, with 1 to 125 when it can't be, and with more when the machine is at fault.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::PathBuf;

use kiln_cache::build_draft::{BUILD_LOG, CLOSURE, PROVENANCE, UNITS};

use crate::error::{BuildError, Doing, empty_folder};
use crate::failure::{Fault, first_errors, machine_fault};
use crate::kbuild::{Made, fault_to_error, read_log};
use crate::pool::Pair;
use crate::process::{self, Cancel, Step};
use crate::recipe::{OBJECTS, OUT, PINNED, SOURCE};
use crate::request::Request;
use crate::sandbox::{Bind, Confinement};

/// A command, ready to run on one pair.
pub(crate) struct BuildCommand<'a> {
    pub(crate) command: &'a str,
    pub(crate) request: &'a Request,
    pub(crate) confinement: &'a Confinement,
    pub(crate) pair: &'a Pair,
    pub(crate) cancel: &'a Cancel,
}

impl BuildCommand<'_> {
    /// Runs it; each line of its output is a step.
    pub(crate) fn run(&self, line_read: &(dyn Fn(u64) + Sync)) -> Result<Made, BuildError> {
        let step = self.step()?;
        let path = self.pair.log();
        let mut log = BufWriter::new(File::create(&path).doing("writing", &path)?);
        let mut lines = 0;
        let code = process::run(step, self.confinement, self.cancel, |line| {
            lines += 1;
            line_read(lines);
            log.write_all(line)?;
            log.write_all(b"\n")
        });
        let flushed = log.flush();
        let code = code.doing("running the build command; its log is", &path)?;
        flushed.doing("writing", &path)?;
        match code {
            0 => Ok(Made::Well { steps: lines, failed_once: None }),
            1..=125 => self.judge(code),
            _ => Err(BuildError::Command { code, last: self.last_words(code)? }),
        }
    }

    fn judge(&self, code: i32) -> Result<Made, BuildError> {
        let log = read_log(self.pair, 0)?;
        // A command may look for tools that it can do without: only it knows which it needs.
        let fault = machine_fault(&log, &self.confinement.seen(&self.source()))
            .filter(|fault| !matches!(fault, Fault::Missing { .. }));
        fault_to_error(fault, self.pair)?;
        let mut errors = first_errors(&log);
        if errors.is_empty() {
            errors.push(format!("the build command ended with code {code} and said nothing"));
        }
        Ok(Made::Badly { errors })
    }

    fn source(&self) -> Bind {
        Bind { host: self.pair.source(), inside: SOURCE, read_only: false }
    }

    /// What it said last, with the reason when that is Kiln's doing.
    fn last_words(&self, code: i32) -> Result<String, BuildError> {
        let mut last = self.last_line()?;
        let not_run = matches!(code, 126 | 127);
        let is_hidden = matches!(self.confinement, Confinement::Namespaces { .. });
        if not_run && is_hidden && (self.command.contains("/mnt") || last.contains("/mnt")) {
            last += " (a build does not see what this machine has below /mnt: keep the command, \
                     and what it runs, in another folder)";
        }
        Ok(last)
    }

    fn last_line(&self) -> Result<String, BuildError> {
        let log = read_log(self.pair, 0)?;
        let last = log.lines().rev().find(|line| !line.trim().is_empty());
        Ok(last.unwrap_or("it said nothing").chars().take(300).collect())
    }

    fn step(&self) -> Result<Step, BuildError> {
        let (objects, out) = (self.pair.objects(), self.pair.out());
        empty_folder(&out)?;
        let source = self.source();
        let objects = Bind { host: objects, inside: OBJECTS, read_only: false };
        let out = Bind { host: out, inside: OUT, read_only: false };
        let seen = |bind: &Bind| self.confinement.seen(bind);
        let mut config = PathBuf::new();
        if self.request.config.is_some() {
            let file = objects.host.join("config");
            fs::write(&file, self.request.text()).doing("writing", &file)?;
            config = seen(&objects).join("config");
        }
        let own: [(&str, OsString); 4] = [
            ("KILN_SOURCE", seen(&source).into()),
            ("KILN_OUT", seen(&out).into()),
            ("KILN_COMMIT", self.request.revision.commit.clone().into()),
            ("KILN_CONFIG", config.into()),
        ];
        let pinned = PINNED.iter().map(|(name, value)| (OsString::from(name), value.into()));
        let own = own.into_iter().map(|(name, value)| (name.into(), value));
        Ok(Step {
            program: "/bin/sh".into(),
            arguments: vec!["-c".into(), self.command.into()],
            // What comes later wins.
            environment: std::env::vars_os().chain(pinned).chain(own).collect(),
            folder: seen(&source),
            binds: vec![source, objects, out],
            kept_open: Some(self.pair.lock()),
            hidden: self.pair.pool(),
        })
    }
}

/// The files that a successful command left, and its log.
pub(crate) fn artifacts(pair: &Pair) -> Result<Vec<(String, PathBuf)>, BuildError> {
    let out = pair.out();
    let mut found = Vec::new();
    let mut open = vec![out.clone()];
    while let Some(folder) = open.pop() {
        for item in fs::read_dir(&folder).doing("listing", &folder)? {
            let item = item.doing("listing", &folder)?;
            let kind = item.file_type().doing("reading", &item.path())?;
            let path = item.path();
            if kind.is_dir() {
                open.push(path);
            } else if kind.is_file() {
                let name = path.strip_prefix(&out).unwrap_or(&path);
                found.push((name.to_string_lossy().into_owned(), path.clone()));
            }
        }
    }
    if found.is_empty() {
        return Err(BuildError::NoArtifacts);
    }
    // These names are Kiln's own; files of the command that have them give way.
    found.retain(|(name, _)| ![BUILD_LOG, CLOSURE, PROVENANCE, UNITS].contains(&name.as_str()));
    found.push((BUILD_LOG.to_owned(), pair.log()));
    found.sort();
    Ok(found)
}
