//! Toolchains as an earlier process found them. To find one is to ask compilers and linkers some dozens
//! of questions and to read what they consist of; where nothing of that was touched since, the answers
//! are as before, and no compiler is started.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use kiln_cache::Digest;
use serde::{Deserialize, Serialize};
use tempfile::NamedTempFile;

use super::files::{Place, Stamp};
use super::{ID, Programs, Toolchain};
use crate::recipe;

/// To be raised with everything else that is asked, or looked at to tell whether to ask.
const FORMAT: &str = "1";

/// A file touched less than this before a toolchain was asked for may be touched again and look the
/// same: clocks of file systems stand still for so long (as git's index has it, "racy git").
const SETTLED: Duration = Duration::from_secs(2);

/// A toolchain in a file. What its name stands for is not in it: who asks knows that.
#[derive(Deserialize, Serialize)]
struct Record {
    id: Digest,
    name: String,
    make: PathBuf,
    tools: Vec<Option<PathBuf>>,
    files: Vec<Stamp>,
    places: Vec<Place>,
}

/// What these programs were when they were last found, if that is how they still are.
pub(super) fn recall(folder: &Path, programs: &Programs) -> Option<Toolchain> {
    let text = std::fs::read(file(folder, programs)).ok()?;
    let Record { id, name, make, tools, files, places } = serde_json::from_slice(&text).ok()?;
    let programs = programs.clone();
    let found = Toolchain { id, name, programs, make, tools, files, places };
    found.is_current().then_some(found)
}

/// Keeps what was found by questions that were asked from `begun` on, unless it was touched that lately
/// that another touch might go unseen.
pub(super) fn keep(folder: &Path, found: &Toolchain, begun: SystemTime) -> io::Result<()> {
    let Toolchain { id, name, programs, make, tools, files, places } = found;
    let stamps = files.iter().chain(places.iter().filter_map(Place::stamp));
    let bound = begun.duration_since(UNIX_EPOCH).unwrap_or_default().saturating_sub(SETTLED);
    if !stamps.into_iter().all(|stamp| stamp.is_older(bound)) {
        return Ok(());
    }
    let record = Record {
        id: *id,
        name: name.clone(),
        make: make.clone(),
        tools: tools.clone(),
        files: files.clone(),
        places: places.clone(),
    };
    std::fs::create_dir_all(folder)?;
    let mut written = NamedTempFile::new_in(folder)?;
    written.write_all(&serde_json::to_vec(&record)?)?;
    written.persist(file(folder, programs))?;
    Ok(())
}

/// Where it is kept: by what is asked for, where that is looked for, and how.
fn file(folder: &Path, programs: &Programs) -> PathBuf {
    let mut hasher = blake3::Hasher::new_derive_key("kiln remembered toolchain");
    let named = programs.iter().flat_map(|(variable, program)| [variable, program]);
    for part in [ID, FORMAT, recipe::PATH].into_iter().chain(named) {
        hasher.update(&(part.len() as u64).to_le_bytes()).update(part.as_bytes());
    }
    folder.join(format!("{}.json", Digest::from(hasher.finalize())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Counting;

    #[test]
    fn nobody_is_asked_again_until_something_is_touched() {
        let counting = Counting::new();
        let folder = tempfile::tempdir().unwrap();
        let find = || Toolchain::find_known(&counting.compiler(), folder.path()).unwrap();
        let first = find();
        let once = counting.asked();
        assert!(once > 0);
        assert_eq!(find(), first);
        assert!(counting.asked() > once, "its compiler is too young to be remembered");
        std::thread::sleep(SETTLED + Duration::from_millis(100));
        assert_eq!(find(), first);
        let known = counting.asked();
        assert_eq!(find(), first);
        assert_eq!(counting.asked(), known, "remembered");
        let other = std::fs::read_to_string(counting.compiler()).unwrap() + "# another\n";
        std::fs::write(counting.compiler(), other).unwrap();
        let second = find();
        assert!(counting.asked() > known);
        assert_ne!(second.id, first.id);
    }

    #[test]
    fn a_record_that_is_no_record_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let programs = Programs::of("gcc");
        assert_eq!(recall(folder.path(), &programs), None);
        let found = Toolchain::find_known("gcc", folder.path()).unwrap();
        let path = file(folder.path(), &programs);
        let whole = std::fs::read(&path).unwrap();
        assert_eq!(recall(folder.path(), &programs), Some(found.clone()));
        std::fs::write(&path, &whole[..whole.len() / 2]).unwrap();
        assert_eq!(recall(folder.path(), &programs), None);
        assert_eq!(Toolchain::find_known("gcc", folder.path()).unwrap(), found);
        assert_eq!(std::fs::read(&path).unwrap(), whole, "and is made anew");
    }

    #[test]
    fn what_came_where_a_driver_looks_first_is_seen() {
        let folder = tempfile::tempdir().unwrap();
        let found = Toolchain::find("gcc").unwrap();
        let looked = |path: &str| found.places.iter().any(|place| place.is_of(Path::new(path)));
        assert!(looked("/etc/ld.so.cache") && looked("/etc/ld.so.preload"), "the loader");
        let programs = super::super::searched::programs(Path::new("/usr/bin/gcc")).unwrap();
        assert!(!programs.is_empty());
        let are_places = |path: &PathBuf| found.places.iter().any(|place| place.is_of(path));
        assert!(programs.iter().all(are_places), "where it looks for cc1 and as");
        let came = Place::of(folder.path().join("as"));
        std::fs::write(folder.path().join("as"), "").unwrap();
        let seen = Toolchain { places: vec![came], ..found };
        keep(folder.path(), &seen, SystemTime::now() + SETTLED + SETTLED).unwrap();
        assert!(file(folder.path(), &seen.programs).is_file());
        assert_eq!(recall(folder.path(), &seen.programs), None);
    }
}
