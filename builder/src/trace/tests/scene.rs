//! A folder of sources in a view, for one test.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;
use std::process::Command;

use kiln_skip::{Lack, skip};
use tempfile::TempDir;

use crate::closure::{Closure, Paths};
use crate::trace::{TracedSource, is_available};

/// Sources, and a place to write to.
pub(super) struct Scene {
    folder: TempDir,
}

impl Scene {
    /// With these files; a name that ends in "!" is executable, a text that begins with "->" makes
    /// a link. `None`, and a line that says so, where nothing can be mounted.
    pub(super) fn new(files: &[(&str, &str)]) -> Option<Self> {
        if let Err(reason) = is_available() {
            skip(Lack::Views, reason);
            return None;
        }
        let scene = Self { folder: tempfile::tempdir().unwrap() };
        fs::create_dir(scene.out()).unwrap();
        for (name, text) in files {
            let path = scene.source().join(name.trim_end_matches('!'));
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            if let Some(target) = text.strip_prefix("->") {
                symlink(target, &path).unwrap();
            } else {
                fs::write(&path, text).unwrap();
                let mode = if name.ends_with('!') { 0o755 } else { 0o644 };
                fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            }
        }
        Some(scene)
    }

    pub(super) fn source(&self) -> PathBuf {
        self.folder.path().join("source")
    }

    pub(super) fn view(&self) -> PathBuf {
        self.folder.path().join("view")
    }

    pub(super) fn out(&self) -> PathBuf {
        self.folder.path().join("out")
    }

    pub(super) fn mount(&self) -> TracedSource {
        TracedSource::mount(&self.source(), &self.view()).unwrap()
    }

    /// Runs a shell script with `$V` (the view) and `$O` (a folder to write to): what it read.
    pub(super) fn trace(&self, script: &str) -> Closure {
        let traced = self.mount();
        self.run(script);
        traced.finish().unwrap()
    }

    /// Runs a script that must succeed; returns its output.
    pub(super) fn run(&self, script: &str) -> String {
        let mut command = Command::new("sh");
        command.args(["-euc", script]).env("V", self.view()).env("O", self.out());
        let output = command.env("LC_ALL", "C").current_dir("/").output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        assert!(output.status.success(), "{}{}", text(&output.stdout), text(&output.stderr));
        text(&output.stdout)
    }
}

/// Whether a program is installed; a line that says so where it is not.
pub(super) fn is_there(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).any(|folder| folder.join(program).exists());
    if !found {
        skip(Lack::Program, program);
    }
    found
}

/// The paths of a set as text.
pub(super) fn names(paths: &Paths) -> Vec<String> {
    paths.iter().map(|path| String::from_utf8_lossy(path).into_owned()).collect()
}
