//! A compiler that counts how often it is started.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use tempfile::TempDir;

/// gcc, behind a script.
pub(crate) struct Counting(TempDir);

impl Counting {
    pub(crate) fn new() -> Self {
        let it = Self(tempfile::tempdir().unwrap());
        let log = it.0.path().join("asked");
        let script = format!("#!/bin/sh\necho >>{}\nexec gcc \"$@\"\n", log.display());
        fs::write(it.compiler(), script).unwrap();
        fs::set_permissions(it.compiler(), fs::Permissions::from_mode(0o755)).unwrap();
        it
    }

    /// Its path.
    pub(crate) fn compiler(&self) -> String {
        self.0.path().join("cc").to_str().unwrap().to_owned()
    }

    /// How often it was started.
    pub(crate) fn asked(&self) -> u64 {
        fs::metadata(self.0.path().join("asked")).map_or(0, |log| log.len())
    }
}
