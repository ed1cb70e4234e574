//! What was read for the objects of a pair: by all builds there since they were empty.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use kiln_cache::Digest;
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

/// Adds what one more build read (`None`: nobody watched) to a pair's file. Returns the name of all that
/// as a blob, or `None` where it is not known.
pub(super) fn add(
    file: &Path,
    before: Reads,
    build: Option<Closure>,
) -> Result<Option<Digest>, BuildError> {
    let Some(build) = build else { return Ok(None) };
    let union = match before {
        Reads::Nothing => build,
        Reads::Unknown => return Ok(None),
        Reads::Known => {
            let earlier = fs::read(file).doing("reading", file)?;
            match Closure::decode(&earlier) {
                Ok(earlier) => earlier.union(&build),
                Err(error) => {
                    tracing::warn!(path = %file.display(), %error, "a pair forgot what it read");
                    return Ok(None);
                }
            }
        }
    };
    let bytes = union.encode();
    replace(file, &bytes).doing("writing", file)?;
    Ok(Some(Digest::of(&bytes)))
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
        let add = |before: Reads, build: Option<Closure>| {
            let name = add(&file, before, build).unwrap();
            assert!(name.is_none_or(|name| name == Digest::of(&fs::read(&file).unwrap())));
            name.is_some()
        };
        assert!(add(Reads::Nothing, read("a")));
        assert!(add(Reads::Known, read("b")));
        assert_eq!(content(), Paths::new(["a", "b"]));
        assert!(!add(Reads::Known, None));
        assert!(!add(Reads::Unknown, read("c")));
        // Emptied: what was there before does not count.
        assert!(add(Reads::Nothing, read("d")));
        assert_eq!(content(), Paths::new(["d"]));
        fs::write(&file, "damaged").unwrap();
        assert!(!add(Reads::Known, read("e")));
    }
}
