//! Toolchains as earlier processes found them. To find one is to ask compilers and linkers some dozens of
//! questions and to read what they consist of; where nothing was touched since that decides the answers,
//! they are as before, and no compiler is started.
//!
//! It has to be found twice, the second time while the record of the first was there: what changes
//! while it is asked is not remembered, whatever the clocks say. Records are of one boot, so that
//! devices mean what they meant, and none needs to outlive a crash of the machine.

use std::fs::{self, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use kiln_cache::Digest;
use nix::fcntl::OFlag;
use nix::unistd::{Uid, geteuid};
use serde::{Deserialize, Serialize};
use tempfile::NamedTempFile;

use super::stamp::{Place, Stamp};
use super::tools::Located;
use super::{Programs, Toolchain};
use crate::{pool, recipe};

/// What decides what is asked, and what is looked at to tell whether to ask: when any of it changes,
/// nothing that was remembered is found.
const SOURCES: [&str; 10] = [
    include_str!("around.rs"),
    include_str!("files.rs"),
    include_str!("host.rs"),
    include_str!("mod.rs"),
    include_str!("programs.rs"),
    include_str!("remembered.rs"),
    include_str!("searched.rs"),
    include_str!("stamp.rs"),
    include_str!("tools.rs"),
    include_str!("unseen.rs"),
];

/// Records that are kept: the newest.
const KEPT: usize = 16;

/// Bytes of a record that are read: one has some 500 kB.
const LARGEST: u64 = 16 << 20;

/// A folder with records, of which each process may write any at any time.
pub(super) struct Memory {
    folder: PathBuf,
    /// Of this boot of the machine.
    boot: String,
    /// Who may read what decides, too.
    user: Uid,
}

/// One of its files is this as JSON, after a line with the BLAKE3 of that.
#[derive(Debug, Deserialize, Serialize)]
struct Record {
    /// Whether it was found twice.
    is_confirmed: bool,
    programs: Vec<(String, String)>,
    id: Digest,
    name: String,
    make: PathBuf,
    tools: Vec<Option<Located>>,
    files: Vec<Stamp>,
    places: Vec<Place>,
}

/// What a record says.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Remembered {
    pub(super) toolchain: Toolchain,
    /// Whether it was found twice.
    pub(super) is_confirmed: bool,
}

impl Memory {
    /// In a folder, which need not be there.
    pub(super) fn of(folder: &Path) -> Self {
        Self { folder: folder.to_owned(), boot: pool::boot_id(), user: geteuid() }
    }

    /// A file of this user's, of which nobody else says what is in it; nothing that one has to wait for.
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let flags = OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK;
        let file = OpenOptions::new().read(true).custom_flags(flags.bits()).open(path)?;
        let found = file.metadata()?;
        if !found.is_file() || found.uid() != self.user.as_raw() {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        let mut bytes = Vec::new();
        file.take(LARGEST).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    /// What these programs were when they were last found, if that is how they still are. `None` as
    /// well for a record that can't be read.
    pub(super) fn recall(&self, programs: &Programs) -> Option<Remembered> {
        let Record { is_confirmed, programs: named, id, name, make, tools, files, places } =
            parse(&self.read(&self.file(programs)).ok()?)?;
        if named != owned(programs) {
            return None;
        }
        let programs = programs.clone();
        let (is_steady, is_seen) = (true, true);
        let toolchain =
            Toolchain { id, name, programs, make, tools, files, places, is_steady, is_seen };
        toolchain.is_current().then_some(Remembered { toolchain, is_confirmed })
    }

    /// Keeps what was found by questions that were asked from `begun` on, after `before` was recalled;
    /// unless more than what has stamps decides what it is, or it was touched that lately that another
    /// touch might go unseen. Fails as writing files does.
    pub(super) fn keep(
        &self,
        found: &Toolchain,
        before: Option<&Remembered>,
        begun: SystemTime,
    ) -> io::Result<()> {
        if self.boot.is_empty() || !found.is_seen || !found.is_steady || !found.is_settled(begun) {
            return Ok(());
        }
        let Toolchain { id, name, programs, make, tools, files, places, .. } = found.clone();
        let is_confirmed = before.is_some_and(|it| it.toolchain == *found);
        let path = self.file(&programs);
        let programs = owned(&programs);
        let record = Record { is_confirmed, programs, id, name, make, tools, files, places };
        fs::create_dir_all(&self.folder)?;
        let mut written = NamedTempFile::new_in(&self.folder)?;
        let text = serde_json::to_vec(&record)?;
        written.write_all(format!("{}\n", Digest::of(&text)).as_bytes())?;
        written.write_all(&text)?;
        written.persist(&path)?;
        self.tidy(&path)
    }

    /// Where it is kept: by what is asked for, how and by whom, where that is looked for, and since when.
    fn file(&self, programs: &Programs) -> PathBuf {
        let user = self.user.to_string();
        let mut hasher = blake3::Hasher::new_derive_key("kiln remembered toolchain");
        let named = programs.iter().flat_map(|(variable, program)| [variable, program]);
        for part in SOURCES.into_iter().chain([recipe::PATH, &self.boot, &user]).chain(named) {
            hasher.update(&(part.len() as u64).to_le_bytes()).update(part.as_bytes());
        }
        self.folder.join(format!("{}.json", Digest::from(hasher.finalize())))
    }

    /// Removes what was written longest ago: of other boots, other versions of Kiln, killed processes.
    /// Never `newest`, whatever the clock said before.
    fn tidy(&self, newest: &Path) -> io::Result<()> {
        let mut files = Vec::new();
        for item in fs::read_dir(&self.folder)? {
            let item = item?;
            // It may be gone by now.
            if let (Ok(found), true) = (item.metadata(), item.path() != newest) {
                files.push((found.modified()?, item.path()));
            }
        }
        files.sort_unstable_by(|one, other| other.cmp(one));
        for (_, path) in files.into_iter().skip(KEPT - 1) {
            let _gone = fs::remove_file(path);
        }
        Ok(())
    }
}

fn owned(programs: &Programs) -> Vec<(String, String)> {
    programs.iter().map(|(variable, program)| (variable.to_owned(), program.to_owned())).collect()
}

fn parse(file: &[u8]) -> Option<Record> {
    let (digest, text) = file.split_at_checked(file.iter().position(|byte| *byte == b'\n')?)?;
    let text = text.strip_prefix(b"\n")?;
    (Digest::of(text).to_hex().as_bytes() == digest).then(|| serde_json::from_slice(text).ok())?
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::place::place;
    use crate::testing::Counting;
    use crate::toolchain::stamp::SETTLED;

    /// Beyond what may have been touched just before.
    fn later() -> SystemTime {
        SystemTime::now() + SETTLED + Duration::from_secs(1)
    }

    fn once(found: &Toolchain) -> Remembered {
        Remembered { toolchain: found.clone(), is_confirmed: false }
    }

    /// A record of the machine's gcc, found twice.
    fn confirmed(folder: &Path) -> (Memory, Toolchain, PathBuf) {
        let memory = Memory::of(folder);
        let found = Toolchain::find("gcc").unwrap();
        memory.keep(&found, None, later()).unwrap();
        let before = memory.recall(&found.programs).unwrap();
        assert_eq!(before, once(&found));
        memory.keep(&found, Some(&before), later()).unwrap();
        let path = memory.file(&found.programs);
        (memory, found, path)
    }

    #[test]
    fn nobody_is_asked_again_until_something_is_touched() {
        let counting = Counting::new();
        let folder = tempfile::tempdir().unwrap();
        let find = || {
            let before = counting.asked();
            let found = Toolchain::find_known(&counting.compiler(), folder.path()).unwrap();
            (found, counting.asked() > before)
        };
        let (first, _) = find();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "its compiler is too young");
        std::thread::sleep(SETTLED + Duration::from_millis(100));
        assert_eq!(find(), (first.clone(), true));
        assert_eq!(find(), (first.clone(), true), "found once");
        assert_eq!(find(), (first.clone(), false), "found twice");
        counting.make("other");
        let (second, is_asked) = find();
        assert!(is_asked);
        assert_ne!(second.id, first.id);
    }

    #[test]
    fn what_runs_others_is_asked_each_time() {
        let folder = tempfile::tempdir().unwrap();
        let memory = Memory::of(folder.path());
        let found = Toolchain::find("gcc").unwrap();
        let kept = |found: &Toolchain| {
            memory.keep(found, None, later()).unwrap();
            memory.recall(&found.programs).is_some()
        };
        assert!(!kept(&Toolchain { is_seen: false, ..found.clone() }));
        assert!(!kept(&Toolchain { is_steady: false, ..found.clone() }));
        assert!(kept(&found));
        // A script.
        let script = folder.path().join("cc");
        place(&script, b"#!/bin/sh\nexec gcc \"$@\"\n", 0o755).unwrap();
        assert!(!kept(&Toolchain::find(script.to_str().unwrap()).unwrap()));
    }

    #[test]
    fn what_was_touched_lately_is_not_remembered() {
        let folder = tempfile::tempdir().unwrap();
        let memory = Memory::of(folder.path());
        let found = Toolchain::find("gcc").unwrap();
        let kept = |found: &Toolchain| {
            memory.keep(found, None, SystemTime::now()).unwrap();
            memory.recall(&found.programs).is_some()
        };
        let young = folder.path().join("young");
        fs::write(&young, "").unwrap();
        let file = Stamp::of(&young).unwrap();
        assert!(!kept(&Toolchain { files: vec![file], ..found.clone() }));
        assert!(!kept(&Toolchain { places: vec![Place::of(young)], ..found.clone() }));
        assert!(kept(&found));
    }

    #[test]
    fn a_record_that_is_damaged_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let (memory, found, path) = confirmed(folder.path());
        let whole = fs::read(&path).unwrap();
        let recall = || memory.recall(&found.programs);
        assert_eq!(recall(), Some(Remembered { is_confirmed: true, ..once(&found) }));
        let other = Digest::of(b"other");
        let text = String::from_utf8(whole.clone()).unwrap();
        let (digest, json) = text.split_once('\n').unwrap();
        let id = found.id.to_string();
        let flipped = text.replace(&id, &other.to_string());
        assert_ne!(flipped, text);
        let half = whole[..whole.len() / 2].to_vec();
        let damaged = [
            Vec::new(),
            half,
            flipped.into_bytes(),
            json.as_bytes().to_vec(),
            format!("{digest}\n").into_bytes(),
            format!("{}\n{{}}", Digest::of(b"{}")).into_bytes(),
        ];
        for bytes in damaged {
            fs::write(&path, bytes).unwrap();
            assert_eq!(recall(), None);
            assert_eq!(Toolchain::find_known("gcc", folder.path()).unwrap(), found);
            assert_eq!(recall(), Some(once(&found)), "made anew");
        }
    }

    #[test]
    fn a_record_of_what_was_touched_since_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let (memory, found, path) = confirmed(folder.path());
        let touched = folder.path().join("touched");
        fs::write(&touched, "").unwrap();
        let (file, place) = (Stamp::of(&touched).unwrap(), Place::of(folder.path().join("came")));
        let recalled = |toolchain: &Toolchain| {
            memory.keep(toolchain, None, later()).unwrap();
            memory.recall(&found.programs).is_some()
        };
        let by_file = Toolchain { files: vec![file], id: Digest::of(b"old"), ..found.clone() };
        let by_place = Toolchain { places: vec![place], id: Digest::of(b"old"), ..found.clone() };
        assert!(recalled(&by_file) && recalled(&by_place));
        fs::write(&touched, "other").unwrap();
        assert!(!recalled(&by_file) && recalled(&by_place));
        fs::create_dir(folder.path().join("came")).unwrap();
        assert!(!recalled(&by_place));
        assert_eq!(Toolchain::find_known("gcc", folder.path()).unwrap(), found);
        assert!(parse(&fs::read(path).unwrap()).is_some_and(|record| record.id == found.id));
    }

    #[test]
    fn each_boot_and_user_asks_anew() {
        let folder = tempfile::tempdir().unwrap();
        let (memory, found, _) = confirmed(folder.path());
        assert!(memory.recall(&found.programs).is_some());
        let other = Memory { boot: "another".into(), ..Memory::of(folder.path()) };
        assert_eq!(other.recall(&found.programs), None);
        let unknown = Memory { boot: String::new(), ..Memory::of(folder.path()) };
        unknown.keep(&found, None, later()).unwrap();
        assert_eq!(unknown.recall(&found.programs), None, "no boot can be told from another");
        let user = Uid::from_raw(geteuid().as_raw() + 1);
        let other = Memory { user, ..Memory::of(folder.path()) };
        assert_eq!(other.recall(&found.programs), None, "who may not read all of it, say");
        // By the name of one's own.
        let path = memory.file(&found.programs);
        assert!(memory.read(&path).is_ok());
        assert!(other.read(&path).is_err());
        fs::rename(&path, folder.path().join("elsewhere")).unwrap();
        std::os::unix::fs::symlink("elsewhere", &path).unwrap();
        assert!(memory.read(&path).is_err());
        fs::remove_file(&path).unwrap();
        nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
        assert!(memory.read(&path).is_err(), "nobody writes to it");
    }

    #[test]
    fn the_newest_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        let found = Toolchain::find("gcc").unwrap();
        for boot in 0..KEPT + 3 {
            let memory = Memory { boot: format!("boot {boot}"), ..Memory::of(folder.path()) };
            memory.keep(&found, None, later()).unwrap();
            assert!(memory.recall(&found.programs).is_some());
        }
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), KEPT);
    }

    #[test]
    fn a_folder_that_can_not_be_written_is_no_error() {
        let folder = tempfile::tempdir().unwrap();
        let in_the_way = folder.path().join("file");
        fs::write(&in_the_way, "").unwrap();
        let found = Toolchain::find("gcc").unwrap();
        assert_eq!(Toolchain::find_known("gcc", &in_the_way).unwrap(), found);
    }
}
