//! The tree that all tests share.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, MutexGuard, OnceLock};
use std::time::Instant;

use kiln_builder::{KernelVersion, recipe, with_pinned_options};
use kiln_cache::Digest;
use kiln_cache::signature::unseen_by_code;
use serde_json::Value;
use tempfile::TempDir;

use crate::edits::{PROBED, append, probe};
use crate::operands::differ_in_operands;
use crate::support::{Kiln, root, scratch};

/// Where objects are, in the tree.
const OBJECTS: &str = "kiln-objects";

/// Set in each configuration, so that a module is among what is compared: one of the smallest.
const ONE_MODULE: &str = "\nCONFIG_MODULES=y\nCONFIG_CRC7=m\n";
/// Where that module is among the objects.
pub(crate) const MODULE: &str = "lib/crc7.ko";

/// Where boot images are among the objects.
pub(crate) const BOOT_IMAGES: [&str; 2] = ["arch/x86/boot/bzImage", "arch/arm64/boot/Image"];

/// What of a build is kept to be compared with the next, beside those.
const KEPT: [&str; 3] = ["vmlinux", "vmlinux.o", ".config"];

/// How make is called: by the builder's own recipe, and what a test changes of it.
#[derive(Clone, Debug)]
pub(crate) struct Make {
    pub(crate) arch: &'static str,
    /// Set in the environment, over what the recipe sets.
    pub(crate) variables: BTreeMap<String, String>,
    pub(crate) jobs: usize,
    pub(crate) umask: u32,
    pub(crate) targets: Vec<&'static str>,
    /// Whether compilers are told to leave out the folder of the sources, as the builder does where
    /// it can't give all builds the same one.
    pub(crate) mapped: bool,
}

impl Make {
    /// As Kiln's own recipe does.
    pub(crate) fn new() -> Self {
        Self {
            arch: "x86_64",
            variables: BTreeMap::new(),
            jobs: 2,
            umask: recipe::UMASK,
            targets: vec!["bzImage", "modules"],
            mapped: true,
        }
    }

    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.variables.insert(name.to_owned(), value.to_owned());
        self
    }

    /// The same as somebody else, in another part of the world, would call it.
    pub(crate) fn elsewhere(mut self) -> Self {
        (self.jobs, self.umask) = (3, 0o077);
        self.with("LC_ALL", "C.UTF-8")
            .with("TZ", "Pacific/Auckland")
            .with("USER", "somebody")
            .with("LOGNAME", "somebody")
            .with("HOME", "/nonexistent")
    }

    /// Runs make on a tree.
    pub(crate) fn run(&self, tree: &Path, objects: &Path, targets: &[&str]) {
        let makefile = fs::read_to_string(tree.join("Makefile")).expect("a Makefile");
        let version = KernelVersion::parse(&makefile).expect("a kernel's Makefile");
        let mut command = Command::new("sh");
        command
            .env_clear()
            .envs(recipe::environment())
            .envs(&self.variables)
            .args(["-c", &format!("umask {:03o}; exec make \"$@\"", self.umask), "make"])
            .args(recipe::arguments(self.arch, version, tree, objects, self.jobs));
        // (A path that is absolute stays what it is.)
        let objects = tree.join(objects);
        let mapped = self.mapped.then_some((tree, objects.as_path()));
        command.args(recipe::flags(true, mapped));
        if self.arch == "arm64" {
            command.arg("CROSS_COMPILE=aarch64-linux-gnu-");
        }
        let output = command.args(targets).output().expect("make runs");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "make {targets:?}: {said}");
    }
}

/// A tree with its objects.
pub(crate) struct Tree {
    folder: TempDir,
    /// The tree itself; a test may move it.
    pub(crate) path: PathBuf,
    /// Where objects are, if that is not in the tree.
    outside: Option<PathBuf>,
    pub(crate) make: Make,
}

impl Tree {
    /// Checks the base of the prepared history out, with the probes, and builds it; `None`, with a
    /// line that says so, where none is prepared.
    pub(crate) fn new(config: &Path, make: Make) -> Option<Self> {
        let tree = Self::unbuilt(config, make)?;
        let begun = Instant::now();
        tree.build();
        eprintln!("{}: built in {} s", config.display(), begun.elapsed().as_secs());
        Some(tree)
    }

    /// The same, not built. `config`: a file, or a target of make that writes a configuration.
    pub(crate) fn unbuilt(config: &Path, make: Make) -> Option<Self> {
        let folder = match std::env::var_os("KILN_BENCH_DIR") {
            Some(parent) => TempDir::new_in(parent).expect("a temporary folder"),
            None => scratch(),
        };
        Self::unbuilt_in(folder, config, make)
    }

    /// The same in a folder.
    pub(crate) fn unbuilt_in(folder: TempDir, config: &Path, make: Make) -> Option<Self> {
        let repo = history()?;
        let path = folder.path().join("tree");
        let git = |arguments: &[&OsStr]| {
            let output = Command::new("git").args(arguments).output().expect("git runs");
            assert!(output.status.success(), "{output:?}");
        };
        let clone = ["clone", "--quiet", "--shared", "--no-checkout"].map(OsStr::new);
        git(&[&clone[..], &[&repo, path.as_os_str()]].concat());
        git(&[
            "-C".as_ref(),
            path.as_os_str(),
            "checkout".as_ref(),
            "-q".as_ref(),
            "origin/base".as_ref(),
        ]);
        // Nothing of a build may depend on git.
        fs::remove_dir_all(path.join(".git")).expect("git's folder goes");
        probe(&path);
        let tree = Self { folder, path, outside: None, make };
        fs::create_dir(tree.objects()).expect("a folder for objects");
        let own = tree.objects().join(".config");
        if config.is_file() {
            fs::copy(config, &own).expect("a copy");
        } else {
            tree.run(&[config.to_str().expect("a target of make")]);
        }
        let text = fs::read_to_string(&own).expect("the configuration");
        fs::write(&own, with_pinned_options(&(text + ONE_MODULE))).expect("a file");
        tree.run(&["olddefconfig"]);
        Some(tree)
    }

    /// The smallest configuration of an architecture, with more set; not built yet.
    pub(crate) fn tiny(make: Make, more: &str) -> Option<Self> {
        let tree = Self::unbuilt(Path::new("tinyconfig"), make)?;
        append(&tree.objects(), ".config", more);
        tree.run(&["olddefconfig"]);
        Some(tree)
    }

    /// Makes other targets than the kernel's.
    pub(crate) fn run(&self, targets: &[&str]) {
        self.make.run(&self.path, &self.target(), targets);
    }

    /// A tree that is built already, given as `SOURCES:OBJECTS`: to try a test without waiting for a
    /// build from nothing. It is left changed.
    fn given(place: &str) -> Self {
        let (path, objects) = place.split_once(':').expect("KILN_METAMORPHIC_TREE=SOURCES:OBJECTS");
        let path = PathBuf::from(path);
        if !fs::read_to_string(path.join(PROBED)).unwrap().contains("kiln_probe") {
            probe(&path);
        }
        let folder = scratch();
        let tree = Self { folder, path, outside: Some(objects.into()), make: Make::new() };
        append(&tree.objects(), ".config", ONE_MODULE);
        tree.run(&["olddefconfig"]);
        tree.build();
        tree
    }

    pub(crate) fn objects(&self) -> PathBuf {
        self.outside.clone().unwrap_or_else(|| self.path.join(OBJECTS))
    }

    /// Objects as make is told where they are.
    fn target(&self) -> PathBuf {
        self.outside.clone().unwrap_or_else(|| OBJECTS.into())
    }

    pub(crate) fn build(&self) {
        self.build_as(&self.make);
    }

    pub(crate) fn build_as(&self, make: &Make) {
        make.run(&self.path, &self.target(), &make.targets);
    }

    /// Moves the tree to another path.
    pub(crate) fn rename(&mut self, name: &str) {
        let to = self.folder.path().join(name);
        fs::rename(&self.path, &to).expect("the tree moves");
        self.path = to;
    }

    /// Makes each folder of the sources anew, with what is in it in the reverse order of names: file
    /// systems list folders in the order of making, or by something that has to do with it. Gives of
    /// how many folders the order is another one now.
    pub(crate) fn reverse_folders(&self) -> usize {
        reverse(&self.path, &self.objects())
    }

    /// A copy of what the last build made, laid out as a build folder.
    fn keep(&self) -> TempDir {
        let kept = TempDir::new_in(self.folder.path()).expect("a temporary folder");
        let mut names: Vec<String> =
            KEPT.iter().chain(&BOOT_IMAGES).map(|name| (*name).to_owned()).collect();
        let order = fs::read_to_string(self.objects().join("modules.order")).unwrap_or_default();
        names.extend(order.lines().map(|line| line.trim().replace(".o", ".ko")));
        names.push("modules.order".to_owned());
        for name in names {
            let from = self.objects().join(&name);
            if from.is_file() {
                let to = kept.path().join(&name);
                fs::create_dir_all(to.parent().expect("a folder")).expect("folders");
                fs::copy(from, to).expect("a copy");
            }
        }
        kept
    }

    /// Does something to the tree, which ends with a build, and compares before with after.
    pub(crate) fn change(&mut self, change: impl FnOnce(&mut Self)) -> Change {
        let kept = self.keep();
        let before = Names::of(kept.path());
        let begun = Instant::now();
        change(self);
        let seconds = begun.elapsed().as_secs();
        let after = Names::of(&self.objects());
        eprintln!("made again in {seconds} s");
        Change { before, after, kept, objects: self.objects() }
    }
}

fn reverse(folder: &Path, objects: &Path) -> usize {
    let listed = |folder: &Path| -> Vec<OsString> {
        let entries = fs::read_dir(folder).expect("a folder");
        entries.map(|entry| entry.expect("an entry").file_name()).collect()
    };
    let before = listed(folder);
    let mut names = before.clone();
    names.sort_by(|one, other| other.cmp(one));
    let anew = folder.with_extension("kiln-anew");
    fs::create_dir(&anew).expect("a folder");
    let mut others = 0;
    for name in names {
        let from = folder.join(&name);
        if from != objects && from.is_dir() && !from.is_symlink() {
            others += reverse(&from, objects);
        }
        fs::rename(from, anew.join(name)).expect("a file moves");
    }
    fs::remove_dir(folder).expect("an empty folder goes");
    fs::rename(anew, folder).expect("a folder moves");
    others + usize::from(listed(folder) != before)
}

/// The prepared history; `None`, with a line that says so, where there is none.
pub(crate) fn history() -> Option<OsString> {
    let repo = std::env::var_os("KILN_FIXTURE_REPO");
    if repo.is_none() {
        kiln_skip::skip(
            kiln_skip::Lack::History,
            "KILN_FIXTURE_REPO is not set: tests/run sets it",
        );
    }
    repo
}

/// The configuration of trees: the tiny one, unless `KILN_METAMORPHIC_CONFIG` names another file, or a
/// target of make such as `defconfig`.
pub(crate) fn config() -> PathBuf {
    std::env::var_os("KILN_METAMORPHIC_CONFIG")
        .map_or_else(|| root().join("tests/fixtures/tiny.config"), PathBuf::from)
}

/// The tree of all tests that need only a few compiles each.
pub(crate) fn shared() -> Option<MutexGuard<'static, Tree>> {
    static TREE: OnceLock<Option<Mutex<Tree>>> = OnceLock::new();
    let given = std::env::var("KILN_METAMORPHIC_TREE");
    if given.is_err() {
        // Each test that is left out says so, not only the first.
        history()?;
    }
    let make = || match given {
        Ok(place) => Some(Tree::given(&place)),
        Err(_) => Tree::new(&config(), Make::new()),
    };
    let tree = TREE.get_or_init(|| make().map(Mutex::new)).as_ref()?;
    // A test that failed leaves a tree that is as good as before: each compares its own change.
    Some(tree.lock().unwrap_or_else(std::sync::PoisonError::into_inner))
}

/// The signatures of a build folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Names {
    pub(crate) image: String,
    pub(crate) syzkaller: String,
    pub(crate) code: String,
    /// What `code` does not see, by which a commit of the same code is not ruled out in a bisection.
    pub(crate) unseen: Digest,
}

impl Names {
    /// As the command says.
    pub(crate) fn of(folder: &Path) -> Self {
        let sign = |kind: &str| {
            let folder = folder.to_str().unwrap();
            let answer = Kiln::new().run(&["sign", folder, "--kind", kind]).exits(0);
            answer.stdout.trim().to_owned()
        };
        let name = |path: &str| path.rsplit('/').next().unwrap().to_owned();
        let files = BOOT_IMAGES.iter().chain(&["vmlinux"]);
        let files = files.map(|path| (name(path), folder.join(path)));
        let files: Vec<_> = files.filter(|(_, path)| path.is_file()).collect();
        assert_eq!(files.len(), 2, "vmlinux and one boot image: {files:?}");
        Self {
            image: sign("image"),
            syzkaller: sign("syzkaller"),
            code: sign("code"),
            unseen: unseen_by_code(&files).unwrap(),
        }
    }
}

/// A build before and after a change.
pub(crate) struct Change {
    pub(crate) before: Names,
    pub(crate) after: Names,
    kept: TempDir,
    objects: PathBuf,
}

impl Change {
    #[track_caller]
    pub(crate) fn keeps_image(&self) {
        let explained = self.explain();
        assert_eq!(self.before.image, self.after.image, "{explained:#}");
        assert_eq!(explained["image_equal"], true, "{explained:#}");
    }

    #[track_caller]
    pub(crate) fn keeps_code(&self) {
        assert_eq!(self.before.code, self.after.code, "{:#}", self.explain());
        assert_eq!(self.before.unseen, self.after.unseen, "{:#}", self.explain());
    }

    /// Asserts that it is another kernel which its code does not show, and what else is looked at does.
    #[track_caller]
    pub(crate) fn is_beyond_code(&self) {
        self.changes_image();
        assert_eq!(self.before.code, self.after.code);
        assert_ne!(self.before.unseen, self.after.unseen);
    }

    #[track_caller]
    pub(crate) fn changes_image(&self) {
        assert_ne!(self.before.image, self.after.image);
    }

    /// Asserts that nothing came of a change which only moves lines, by so many. Where the
    /// configuration has lines in operands and texts, so much may come of it: `code` differs, but
    /// nothing has another size, and instructions differ in operands that have moved by as many.
    #[track_caller]
    pub(crate) fn moves_lines_only(&self, lines: u32) {
        let changed = self.differences();
        if !self.has_lines_in_code() {
            self.keeps_code();
            assert!(changed.is_empty(), "{changed:?}");
            return;
        }
        let sizes = changed.iter().filter(|it| it["before"] != it["after"]);
        assert_eq!(sizes.collect::<Vec<_>>(), [&Value::Null; 0]);
        let read = |folder: &Path| fs::read(folder.join("vmlinux.o")).unwrap();
        let objects = [read(self.kept.path()), read(&self.objects)];
        let moved = differ_in_operands(&objects, &self.changed(), lines);
        let code = if self.before.code == self.after.code { "equal" } else { "differs" };
        eprintln!("{lines} lines: code {code}, {} symbols differ, {moved} operands", changed.len());
    }

    /// Whether `__LINE__` is an operand of instructions (`might_sleep`, with its debugging on) or part
    /// of texts (gcc's descriptions of stack frames, for KASAN): then lines are code.
    fn has_lines_in_code(&self) -> bool {
        let config = fs::read_to_string(self.objects.join(".config")).unwrap();
        ["CONFIG_DEBUG_ATOMIC_SLEEP=y", "CONFIG_KASAN=y"].iter().any(|it| config.contains(it))
    }

    /// What `kiln explain` says.
    pub(crate) fn explain(&self) -> Value {
        let folders = [self.kept.path(), &self.objects].map(|it| it.to_str().unwrap());
        Kiln::new().run(&["explain", "--json", folders[0], folders[1]]).exits(0).json()
    }

    /// The causes that `kiln explain` names, but for those that follow from others.
    pub(crate) fn causes(&self) -> Vec<(String, String)> {
        let follow = ["build-id", "moved", "compressed-kernel"];
        let explained = self.explain();
        let all = explained["causes"].as_array().unwrap().iter();
        let text = |it: &Value, key: &str| it[key].as_str().unwrap().to_owned();
        all.map(|it| (text(it, "kind"), text(it, "detail")))
            .filter(|(kind, _)| !follow.contains(&kind.as_str()))
            .collect()
    }

    /// Asserts that one cause is named and no other.
    #[track_caller]
    pub(crate) fn has_cause(&self, kind: &str, words: &[&str]) {
        let causes = self.causes();
        assert!(
            !causes.is_empty() && causes.iter().all(|it| it.0 == kind),
            "{causes:?}: {:#}",
            self.explain()
        );
        for word in words {
            assert!(causes.iter().any(|it| it.1.contains(word)), "{word}: {causes:?}");
        }
    }

    /// What `kiln diff` names.
    pub(crate) fn changed(&self) -> Vec<String> {
        let changes = self.differences();
        changes.iter().map(|it| it["name"].as_str().unwrap().to_owned()).collect()
    }

    /// What `kiln diff` says.
    fn differences(&self) -> Vec<Value> {
        let folders = [self.kept.path(), &self.objects].map(|it| it.to_str().unwrap());
        let changes = Kiln::new().run(&["diff", "--json", folders[0], folders[1]]).exits(0).json();
        changes["changes"].as_array().unwrap().clone()
    }
}
