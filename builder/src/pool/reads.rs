//! What was read for the objects of a pair: by all builds there since they were empty.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::closure::Closure;
use crate::error::{BuildError, Doing};

/// What is known of it.
///
/// It does not change when a build is interrupted: everything that such a build wrote is removed,
/// and with it the reason to know what it read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Reads {
    /// There are no objects yet.
    #[default]
    Nothing,
    /// It is in the pair's file `closure`.
    Known,
    /// Something was built while nobody watched.
    Unknown,
}

/// Adds what one more build read (`None`: nobody watched) to a pair's file.
pub(super) fn add(file: &Path, before: Reads, build: Option<Closure>) -> Result<Reads, BuildError> {
    let Some(build) = build else { return Ok(Reads::Unknown) };
    let union = match before {
        Reads::Nothing => build,
        Reads::Unknown => return Ok(Reads::Unknown),
        Reads::Known => {
            let earlier = fs::read(file).doing("reading", file)?;
            match Closure::decode(&earlier) {
                Ok(earlier) => earlier.union(&build),
                Err(error) => {
                    tracing::warn!(path = %file.display(), %error, "a pair forgot what it read");
                    return Ok(Reads::Unknown);
                }
            }
        }
    };
    replace(file, &union.encode()).doing("writing", file)?;
    Ok(Reads::Known)
}

/// What a pair's file says was read; `None` when it can't be read, with a line in the log.
pub(super) fn load(file: &Path) -> Option<Closure> {
    let bytes = fs::read(file).map_err(|error| error.to_string());
    let closure =
        bytes.and_then(|bytes| Closure::decode(&bytes).map_err(|error| error.to_string()));
    closure
        .map_err(|error| tracing::warn!(path = %file.display(), %error, "what a pair read is lost"))
        .ok()
}

/// Writes a file whole or not at all. Whoever relies on it syncs the file system first.
fn replace(file: &Path, bytes: &[u8]) -> io::Result<()> {
    let temporary = file.with_extension("new");
    File::create(&temporary)?.write_all(bytes)?;
    fs::rename(&temporary, file)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::closure::Paths;

    fn read(path: &str) -> Option<Closure> {
        Some(Closure { read: Paths::new([path]), ..Closure::default() })
    }

    #[test]
    fn adds_up_while_every_build_is_watched() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("closure");
        let content = || Closure::decode(&fs::read(&file).unwrap()).unwrap().read;
        assert_eq!(add(&file, Reads::Nothing, read("a")).unwrap(), Reads::Known);
        assert_eq!(add(&file, Reads::Known, read("b")).unwrap(), Reads::Known);
        assert_eq!(content(), Paths::new(["a", "b"]));
        assert_eq!(add(&file, Reads::Known, None).unwrap(), Reads::Unknown);
        assert_eq!(add(&file, Reads::Unknown, read("c")).unwrap(), Reads::Unknown);
        // Emptied: what was there before does not count.
        assert_eq!(add(&file, Reads::Nothing, read("d")).unwrap(), Reads::Known);
        assert_eq!(content(), Paths::new(["d"]));
        fs::write(&file, "damaged").unwrap();
        assert_eq!(add(&file, Reads::Known, read("e")).unwrap(), Reads::Unknown);
    }
}
