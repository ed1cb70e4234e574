//! Times of sources whose new version is as good to make as the one before.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::fcntl::AT_FDCWD;
use nix::sys::stat::{UtimensatFlags, utimensat};
use nix::sys::time::TimeSpec;

use crate::error::{BuildError, Doing};

/// When files of the sources were written.
///
/// Make tells what it has to make again by these alone. So a file that was replaced by one of which
/// everything comes out the same is given the time of its predecessor: what was current stays current,
/// and what was not (an object that another revision had, and that is in no list now) stays so. To make
/// the objects newer instead would vouch for all of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Times(Vec<(PathBuf, TimeSpec)>);

impl Times {
    /// Of files below a folder, by their paths from it.
    pub(super) fn of<'a>(
        folder: &Path,
        paths: impl IntoIterator<Item = &'a Path>,
    ) -> Result<Self, BuildError> {
        let time = |path: &Path| {
            let file = folder.join(path);
            let metadata = fs::symlink_metadata(&file).doing("reading", &file)?;
            Ok((path.to_path_buf(), TimeSpec::new(metadata.mtime(), metadata.mtime_nsec())))
        };
        paths.into_iter().map(time).collect::<Result<_, BuildError>>().map(Self)
    }

    /// Gives the files that lie there now these times.
    pub(super) fn set(&self, folder: &Path) -> Result<(), BuildError> {
        for (path, time) in &self.0 {
            let file = folder.join(path);
            let flags = UtimensatFlags::NoFollowSymlink;
            utimensat(AT_FDCWD, &file, &TimeSpec::UTIME_OMIT, time, flags)
                .map_err(io::Error::from)
                .doing("setting the time of", &file)?;
        }
        Ok(())
    }

    pub(super) fn paths(&self) -> impl Iterator<Item = &Path> {
        self.0.iter().map(|(path, _)| path.as_path())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_takes_anothers_place_takes_its_time() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str| fs::write(folder.path().join(name), name).unwrap();
        let time = |name: &str| folder.path().join(name).metadata().unwrap().modified().unwrap();
        write("a.c");
        write("b.c");
        let before = time("a.c");
        let times = Times::of(folder.path(), [Path::new("a.c")]).unwrap();
        std::thread::sleep(std::time::Duration::from_millis(20));
        for name in ["a.c", "b.c"] {
            fs::remove_file(folder.path().join(name)).unwrap();
            write(name);
        }
        assert!(time("a.c") > before);
        times.set(folder.path()).unwrap();
        assert_eq!(time("a.c"), before);
        assert!(time("b.c") > before);
        fs::remove_file(folder.path().join("a.c")).unwrap();
        let error = times.set(folder.path()).unwrap_err().to_string();
        assert!(error.contains("setting the time of") && error.contains("a.c"), "{error}");
    }
}
