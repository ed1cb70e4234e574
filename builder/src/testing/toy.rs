//! A toy kernel: a handful of files with a Makefile and a Kconfig that answer to the same targets
//! and variables as Linux, compiled by the real compiler into a real ELF file.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use kiln_cache::{Database, Digest, Location, Store};
use kiln_skip::{Lack, skip};
use tempfile::TempDir;

use super::{Edit, Fixture};
use crate::request::image_of;
use crate::trace::availability;
use crate::{BuildEvent, Builder, Built, Config, How, Observer, Request, Revision, host_arch};

const MAKEFILE: &str = include_str!("../../../tests/fixtures/toy/Makefile");

/// Options are lines "option NAME [forced y]"; anything else is a syntax error.
const CONF: &str = include_str!("../../../tests/fixtures/toy/conf");

/// Writes what Kbuild writes beside an object: the command, and what it read.
const RECORD: &str = include_str!("../../../tests/fixtures/toy/record");

const MAIN: &str = include_str!("../../../tests/fixtures/toy/main.c");

/// A toy kernel's repository, a store, and a builder over both.
pub(crate) struct Toy {
    pub(crate) fixture: Fixture,
    pub(crate) store: Store,
    pub(crate) work: TempDir,
    pub(crate) events: Arc<Events>,
}

/// Remembers every event.
#[derive(Default)]
pub(crate) struct Events(pub(crate) Mutex<Vec<BuildEvent>>);

impl Observer for Events {
    fn event(&self, event: &BuildEvent) {
        self.0.lock().unwrap().push(event.clone());
    }
}

/// `None`, and a line that says so, where builds can't be watched.
pub(super) async fn watched() -> Option<(Toy, Revision)> {
    if let Err(reason) = availability() {
        skip(Lack::Views, reason);
        return None;
    }
    Some(Toy::new().await)
}

/// One pair of a kind: while a process of another test still has the lock of one open, a second
/// would be taken, and be cold.
pub(super) fn builder_of(toy: &Toy) -> Builder {
    toy.builder().with_pairs(1, 4)
}

fn location(work: &TempDir) -> Location {
    Location::parse(work.path().join("store").to_str().unwrap()).unwrap()
}

impl Toy {
    pub(crate) async fn new() -> (Self, Revision) {
        let work = tempfile::tempdir().unwrap();
        let store = Store::open(&location(&work)).await.unwrap();
        let fixture = Fixture::new();
        let (target, image) = image_of(host_arch());
        let makefile = MAKEFILE.replace("@TARGET@", target).replace("@IMAGE@", image);
        let first = fixture.commit(
            "first",
            &[
                ("Makefile", &makefile),
                ("Kbuild", "# nothing\n"),
                ("Kconfig", "option FAST\noption MODULES\noption BASE forced y\n"),
                ("scripts/conf", CONF),
                ("scripts/record", RECORD),
                ("include/banner.h", "static const char banner[] = RELEASE;\n"),
                ("kernel/Makefile", "# nothing of its own\n"),
                ("kernel/main.c", MAIN),
                ("kernel/helper.c", "int helper(int x) { return x + 1; }\n"),
                ("drivers/dummy.c", "int dummy(void) { return 7; }\n"),
                ("Documentation/a.rst", "text\n"),
            ],
        );
        let toy = Self { fixture, store, work, events: Arc::default() };
        (toy, first)
    }

    /// The folder of the one working pair of [`Toy::builder`].
    pub(crate) fn only_pair(&self) -> PathBuf {
        let keys = std::fs::read_dir(self.work.path().join("work/pool")).unwrap();
        let mut pairs: Vec<PathBuf> = keys.map(|key| key.unwrap().path().join("0")).collect();
        assert_eq!(pairs.len(), 1);
        pairs.remove(0)
    }

    pub(crate) fn builder(&self) -> Builder {
        self.builder_in("work")
    }

    /// A builder with working pairs of its own.
    pub(crate) fn builder_in(&self, folder: &str) -> Builder {
        self.builder_over(&self.store, folder)
    }

    /// The same over another store.
    pub(super) fn builder_over(&self, store: &Store, folder: &str) -> Builder {
        let observer: Arc<dyn Observer> = self.events.clone();
        Builder::new(store.clone(), self.work.path().join(folder), observer)
    }

    /// The store as a machine sees it that shares what is stored and not the database.
    pub(super) async fn by_another_database(&self) -> Store {
        let database = Database::Sqlite(self.work.path().join("another.sqlite"));
        Store::open(&location(&self.work).with_database(database)).await.unwrap()
    }

    pub(crate) fn request(&self, revision: &Revision, config: &str) -> Request {
        Request {
            repository: self.fixture.path().into(),
            revision: revision.clone(),
            config: Some(Config::new(config)),
            how: How::Kbuild,
            jobs: 2,
            strict_config: false,
        }
    }

    pub(crate) fn edit(&self, subject: &str, edits: &[Edit<'_>]) -> Revision {
        self.fixture.edit(subject, edits)
    }

    /// The content of an artifact.
    pub(crate) async fn content(&self, built: &Built, name: &str) -> String {
        let digest: Digest = built.manifest.artifact(name).unwrap().digest;
        let path = self.work.path().join("content");
        self.store.read_to_file(&digest, &path).await.unwrap();
        String::from_utf8_lossy(&std::fs::read(path).unwrap()).into_owned()
    }

    /// Steps that a build's log shows ("CC kernel/main.o").
    pub(crate) async fn steps(&self, built: &Built) -> Vec<String> {
        let log = self.content(built, "build.log").await;
        let steps = log.lines().filter(|line| line.starts_with("  "));
        let mut steps: Vec<String> =
            steps.map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
        steps.sort();
        steps
    }
}
