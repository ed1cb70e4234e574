//! What Kiln has to know of a Linux tree before it builds it.

use std::path::Path;

use super::error::TreeError;
use super::repository::{Repository, Revision};

/// The version in the top `Makefile`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KernelVersion {
    /// `VERSION`.
    pub version: u32,
    /// `PATCHLEVEL`.
    pub patchlevel: u32,
}

impl KernelVersion {
    /// Reads it from the text of a top `Makefile`; `Err` names the line that is not there.
    pub fn parse(makefile: &str) -> Result<Self, &'static str> {
        let value = |name: &str| {
            makefile.lines().find_map(|line| {
                let (left, right) = line.split_once('=')?;
                (left.trim() == name).then(|| right.trim().parse::<u32>().ok()).flatten()
            })
        };
        Ok(Self {
            version: value("VERSION").ok_or("VERSION in its Makefile")?,
            patchlevel: value("PATCHLEVEL").ok_or("PATCHLEVEL in its Makefile")?,
        })
    }
}

impl Repository {
    /// The text of a file of a revision; `None` when it has no such file.
    pub(crate) fn text_of(
        &self,
        revision: &Revision,
        path: &str,
    ) -> Result<Option<String>, TreeError> {
        let git = self.git()?;
        let tree = git.find_tree(self.oid(&revision.tree)?).map_err(|error| self.error(error))?;
        let Ok(entry) = tree.get_path(Path::new(path)) else { return Ok(None) };
        let blob = git.find_blob(entry.id()).map_err(|error| self.error(error))?;
        Ok(Some(String::from_utf8_lossy(blob.content()).into_owned()))
    }

    /// Checks that a revision is a kernel tree (it has `Kbuild`, `Kconfig` and a `Makefile` with a
    /// version) and returns the version.
    pub fn kernel_version(&self, revision: &Revision) -> Result<KernelVersion, TreeError> {
        let git = self.git()?;
        let not_a_kernel = |missing: &str| TreeError::NotAKernel {
            commit: revision.commit.clone(),
            path: self.path().into(),
            missing: missing.to_owned(),
        };
        let tree = git.find_tree(self.oid(&revision.tree)?).map_err(|error| self.error(error))?;
        for name in ["Kbuild", "Kconfig"] {
            tree.get_path(Path::new(name)).map_err(|_| not_a_kernel(name))?;
        }
        let makefile =
            tree.get_path(Path::new("Makefile")).map_err(|_| not_a_kernel("Makefile"))?;
        let blob = git.find_blob(makefile.id()).map_err(|error| self.error(error))?;
        KernelVersion::parse(&String::from_utf8_lossy(blob.content())).map_err(not_a_kernel)
    }
}

/// Whether a path is of a C file: source, header, or assembler that is preprocessed.
pub(crate) fn is_c(path: &[u8]) -> bool {
    [&b".c"[..], b".h", b".S"].iter().any(|end| path.ends_with(end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_version() {
        let makefile = "# SPDX\nVERSION = 6\nPATCHLEVEL = 1\nSUBLEVEL = 176\nEXTRAVERSION =\n";
        let version = KernelVersion::parse(makefile).unwrap();
        assert_eq!(version, KernelVersion { version: 6, patchlevel: 1 });
    }

    #[test]
    fn says_what_is_missing() {
        assert_eq!(KernelVersion::parse("all:\n\ttrue\n"), Err("VERSION in its Makefile"));
        assert_eq!(KernelVersion::parse("VERSION = 6\n"), Err("PATCHLEVEL in its Makefile"));
        assert_eq!(KernelVersion::parse("VERSION = six\n"), Err("VERSION in its Makefile"));
    }
}
