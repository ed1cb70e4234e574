//! Tests of pairs whose build did not end.

use std::fs;
use std::path::Path;
use std::time::Duration;

use super::state::FORMAT;
use super::{Bounds, Pair, Pool, RECORD, eviction};
use crate::process::Cancel;
use crate::testing::Fixture;
use crate::tree::Revision;

struct Scene {
    fixture: Fixture,
    work: tempfile::TempDir,
}

impl Scene {
    fn new() -> (Self, Revision) {
        let fixture = Fixture::new();
        let first = fixture.commit("first", &[("a.c", "1"), ("b.c", "1")]);
        (Self { fixture, work: tempfile::tempdir().unwrap() }, first)
    }

    fn take(&self) -> Pair {
        let pool =
            Pool { folder: self.work.path().into(), bounds: Bounds { of_a_key: 1, in_all: 1 } };
        // A process that another test forked a moment ago has the pair's lock open, too, until it
        // executes.
        loop {
            if let Some(pair) = pool.try_take("key", &self.fixture.repository(), "").unwrap() {
                return pair;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn begin(&self, pair: &mut Pair, revision: &Revision) {
        let cancel = Cancel::default();
        pair.begin(&self.fixture.repository(), &revision.tree, &cancel, &|_, _| {}).unwrap();
    }

    /// A pair in which a first build ended well, some time ago.
    fn built(&self, revision: &Revision) -> Pair {
        let mut pair = self.take();
        self.begin(&mut pair, revision);
        write(&pair, "a.o", "whole");
        write(&pair, "include/config/auto.conf", "A=y");
        pair.end(false).unwrap();
        // Longer than the ticks of a file's clock.
        std::thread::sleep(Duration::from_millis(60));
        pair
    }
}

fn write(pair: &Pair, name: &str, text: &str) {
    let path = pair.objects().join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

fn has(pair: &Pair, name: &str) -> bool {
    pair.objects().join(name).exists()
}

#[test]
fn what_a_killed_build_wrote_is_removed_and_the_rest_stays() {
    let (scene, first) = Scene::new();
    let mut pair = scene.built(&first);
    scene.begin(&mut pair, &first);
    write(&pair, "half.o", "ha");
    write(&pair, "sub/half.o", "ha");
    drop(pair);
    let mut pair = scene.take();
    scene.begin(&mut pair, &first);
    assert!(has(&pair, "a.o") && !has(&pair, "half.o") && !has(&pair, "sub/half.o"));
    assert!(pair.built_before);
}

#[test]
fn everything_goes_when_the_configuration_was_being_changed() {
    let (scene, first) = Scene::new();
    let mut pair = scene.built(&first);
    scene.begin(&mut pair, &first);
    write(&pair, "include/config/KASAN", "");
    drop(pair);
    let mut pair = scene.take();
    scene.begin(&mut pair, &first);
    assert!(!has(&pair, "a.o") && !has(&pair, "include"));
    assert!(!pair.built_before);
}

#[test]
fn everything_goes_when_times_tell_nothing() {
    let (scene, first) = Scene::new();
    let mut pair = scene.built(&first);
    pair.state.objects.ended = Some(i64::MAX - 1_000_000_000);
    pair.save().unwrap();
    scene.begin(&mut pair, &first);
    assert!(!has(&pair, "a.o"), "the clock went back");

    write(&pair, "a.o", "whole");
    pair.end(false).unwrap();
    scene.begin(&mut pair, &first);
    pair.state.boot = "an earlier boot".into();
    pair.save().unwrap();
    scene.begin(&mut pair, &first);
    assert!(!has(&pair, "a.o"), "restarted before the files were on disk");
}

#[test]
fn a_build_that_ended_survives_a_restart() {
    let (scene, first) = Scene::new();
    let mut pair = scene.built(&first);
    pair.state.boot = "an earlier boot".into();
    pair.save().unwrap();
    scene.begin(&mut pair, &first);
    assert!(has(&pair, "a.o"));
}

#[test]
fn sources_that_were_being_written_are_compared_whole() {
    let (scene, first) = Scene::new();
    let second = scene.fixture.commit("second", &[("a.c", "2")]);
    let mut pair = scene.built(&first);
    let time = |pair: &Pair, name: &str| {
        fs::metadata(pair.source().join(name)).unwrap().modified().unwrap()
    };
    let unchanged = time(&pair, "b.c");
    // Killed in the middle of a checkout: marked, and something half-written.
    pair.state.source.clean = false;
    pair.save().unwrap();
    fs::write(pair.source().join("a.c"), "").unwrap();
    fs::write(pair.source().join("litter"), "").unwrap();
    drop(pair);
    let mut pair = scene.take();
    scene.begin(&mut pair, &second);
    let read = |name: &str| fs::read_to_string(pair.source().join(name)).unwrap();
    assert_eq!((read("a.c").as_str(), read("b.c").as_str()), ("2", "1"));
    assert!(!pair.source().join("litter").exists());
    assert_eq!(time(&pair, "b.c"), unchanged);
    assert!(pair.state.source.clean);
}

#[test]
fn a_pair_of_another_version_is_made_anew() {
    let (scene, first) = Scene::new();
    let pair = scene.built(&first);
    let record = pair.root.join("pair.json");
    let text = fs::read_to_string(&record).unwrap();
    let ours = format!("\"format\":{FORMAT}");
    assert!(text.contains(&ours), "{text}");
    fs::write(&record, text.replace(&ours, "\"format\":99")).unwrap();
    drop(pair);
    let pair = scene.take();
    assert!(!has(&pair, "a.o") && !pair.source().join("a.c").exists());
    assert!(Path::new(&pair.root).exists());
}

#[test]
fn what_is_known_of_a_pair_goes_before_anything_else_of_it() {
    let (scene, first) = Scene::new();
    let pair = scene.built(&first);
    let root = pair.root.clone();
    drop(pair);
    // While the record can't be removed, nothing is: it would be believed of what is left.
    let record = root.join(RECORD);
    fs::remove_file(&record).unwrap();
    fs::create_dir(&record).unwrap();
    assert!(eviction::remove(&root).is_err());
    assert!(root.join("source/a.c").exists() && root.join("objects/a.o").exists());
    // Without it, what is left is believed no more.
    fs::remove_dir(&record).unwrap();
    fs::remove_file(root.join("source/a.c")).unwrap();
    let mut pair = scene.take();
    scene.begin(&mut pair, &first);
    assert!(root.join("source/a.c").exists() && !has(&pair, "a.o"));
    drop(pair);
    eviction::remove(&root).unwrap();
    assert!(!root.exists());
}

#[test]
fn a_view_whose_server_died_is_gone_when_the_pair_is_taken() {
    use nix::mount::{MntFlags, umount2};
    if let Err(reason) = crate::trace::availability() {
        kiln_skip::skip(kiln_skip::Lack::Views, reason);
        return;
    }
    let (scene, first) = Scene::new();
    let pair = scene.built(&first);
    let view = pair.root.join("view");
    let traced = crate::trace::TracedSource::mount(&pair.source(), &view).unwrap();
    // A mount in use whose server is gone: forcing ends the connection, and can't unmount.
    let held = fs::File::open(view.join("a.c")).unwrap();
    let unmounted = umount2(&view, MntFlags::MNT_FORCE);
    if unmounted != Err(nix::errno::Errno::EBUSY) {
        let why = format!("a view's connection can't be ended by force: {unmounted:?}");
        kiln_skip::skip(kiln_skip::Lack::Views, why);
        return;
    }
    assert!(fs::read_dir(&view).is_err());
    drop(pair);
    let pair = scene.take();
    assert!(fs::read_dir(&view).unwrap().next().is_none());
    drop((held, traced, pair));
    fs::remove_dir_all(scene.work.path().join("key")).unwrap();
}
