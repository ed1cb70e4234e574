//! A compiler that counts how often it is started.

use std::fs;
use std::process::Command;

use tempfile::TempDir;

/// Runs gcc. Its last line is what drivers of gcc have in them: scripts, and what is no driver, are never
/// remembered.
const SOURCE: &str = r#"
#include <fcntl.h>
#include <unistd.h>
int main(int argc, char **argv) {
    int log = open(LOG, O_WRONLY | O_CREAT | O_APPEND, 0666);
    if (write(log, ".", 1) != 1) return 1;
    argv[0] = "gcc";
    execvp("gcc", argv);
    return argc + 1;
}
const char version[] = VERSION "COLLECT_GCC_OPTIONS=";
"#;

/// gcc, behind a program.
pub(crate) struct Counting(TempDir);

impl Counting {
    pub(crate) fn new() -> Self {
        let it = Self(tempfile::tempdir().unwrap());
        it.make("first");
        it
    }

    /// Makes it, in place of the one before.
    pub(crate) fn make(&self, version: &str) {
        let source = self.0.path().join("cc.c");
        let log = format!("-DLOG=\"{}\"", self.log().display());
        fs::write(&source, SOURCE).unwrap();
        let made = Command::new("gcc")
            .args(["-o", &self.compiler(), &log, &format!("-DVERSION=\"{version}\"")])
            .arg(&source)
            .status();
        assert!(made.unwrap().success());
    }

    /// Its path.
    pub(crate) fn compiler(&self) -> String {
        self.0.path().join("cc").to_str().unwrap().to_owned()
    }

    /// How often it was started.
    pub(crate) fn asked(&self) -> u64 {
        fs::metadata(self.log()).map_or(0, |log| log.len())
    }

    fn log(&self) -> std::path::PathBuf {
        self.0.path().join("asked")
    }
}
