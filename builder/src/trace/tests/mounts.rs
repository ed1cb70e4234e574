//! The view as a mount: what it shows, and how it ends.

use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::mount::{MntFlags, umount2};

use super::scene::{Scene, names};
use crate::process::{self, Cancel, Step};
use crate::recipe;
use crate::sandbox::{Bind, confinement};
use crate::trace::mountpoint::is_mounted;
use crate::trace::{TraceError, TracedSource, clear};

#[test]
fn it_shows_what_is_there_and_nothing_can_be_written() {
    let large = "0123456789abcdef".repeat(70_000);
    let files = [("large", large.as_str()), ("run!", "x"), ("dir/a", "a"), ("link", "->dir/a")];
    let Some(scene) = Scene::new(&files) else { return };
    for index in 0..3_000 {
        fs::write(scene.source().join(format!("dir/file-with-a-longer-name-{index}")), "").unwrap();
    }
    let traced = scene.mount();
    let view = scene.view();
    assert!(fs::read(view.join("large")).unwrap() == large.as_bytes());
    assert_eq!(fs::read_link(view.join("link")).unwrap().to_str(), Some("dir/a"));
    assert_eq!(fs::read(view.join("link")).unwrap(), b"a");
    let mut listed: Vec<_> =
        fs::read_dir(view.join("dir")).unwrap().map(|item| item.unwrap().file_name()).collect();
    assert!(listed.is_sorted(), "the order follows from the names");
    listed.dedup();
    assert_eq!(listed.len(), 3_001);
    for name in ["large", "run", "dir", "link"] {
        let here = fs::symlink_metadata(view.join(name)).unwrap();
        let there = fs::symlink_metadata(scene.source().join(name)).unwrap();
        assert_eq!((here.mode(), here.uid()), (there.mode(), there.uid()), "{name}");
        assert_eq!((here.mtime(), here.mtime_nsec()), (there.mtime(), there.mtime_nsec()));
        assert_eq!(here.nlink(), 1);
        assert!(here.is_dir() || here.len() == there.len());
    }
    for attempt in [
        fs::write(view.join("new"), "x"),
        fs::write(view.join("large"), "x"),
        fs::remove_file(view.join("run")),
        fs::create_dir(view.join("more")),
        fs::rename(view.join("run"), view.join("ran")),
    ] {
        assert_eq!(attempt.unwrap_err().raw_os_error(), Some(Errno::EROFS as i32));
    }
    let closure = traced.finish().unwrap();
    assert!(!is_mounted(&view));
    assert_eq!(names(&closure.read), ["dir/a", "large", "link"]);
    assert_eq!(names(&closure.listed), ["dir"]);
}

#[test]
fn a_build_in_namespaces_of_its_own_sees_it() {
    let Some(scene) = Scene::new(&[("file", "text\n"), ("dir/x", "")]) else { return };
    let traced = scene.mount();
    let source = Bind { host: scene.view(), inside: recipe::SOURCE, read_only: true };
    let step = Step {
        program: "/bin/sh".into(),
        arguments: vec!["-c".into(), "cat file; ls dir; test ! -e none".into()],
        environment: recipe::environment(),
        folder: confinement().seen(&source),
        binds: vec![source],
        kept_open: None,
        hidden: None,
    };
    let mut lines = Vec::new();
    let code = process::run(step, confinement(), &Cancel::default(), |line| {
        lines.push(String::from_utf8_lossy(line).into_owned());
        Ok(())
    });
    assert_eq!((code.unwrap(), lines), (0, vec!["text".to_owned(), "x".to_owned()]));
    let closure = traced.finish().unwrap();
    assert_eq!(names(&closure.read), ["file"]);
    assert_eq!(names(&closure.missing), ["none"]);
    assert_eq!(names(&closure.listed), ["dir"]);
}

#[test]
fn it_goes_when_dropped() {
    let Some(scene) = Scene::new(&[("file", "x")]) else { return };
    let traced = scene.mount();
    assert!(is_mounted(&scene.view()));
    drop(traced);
    assert!(!is_mounted(&scene.view()));
    fs::remove_dir(scene.view()).unwrap();
}

#[test]
fn a_dead_view_is_replaced() {
    let Some(scene) = Scene::new(&[("file", "x")]) else { return };
    let traced = scene.mount();
    // What a killed Kiln leaves: a mount in use whose server is gone.
    let held = File::open(scene.view().join("file")).unwrap();
    let busy = umount2(&scene.view(), MntFlags::MNT_FORCE);
    if busy == Err(Errno::EPERM) {
        return;
    }
    assert_eq!(busy, Err(Errno::EBUSY));
    assert!(fs::read_dir(scene.view()).is_err());
    assert!(is_mounted(&scene.view()));
    let again = TracedSource::mount(&scene.source(), &scene.view()).unwrap();
    assert_eq!(fs::read(scene.view().join("file")).unwrap(), b"x");
    assert_eq!(names(&again.finish().unwrap().read), ["file"]);
    drop(held);
    assert!(matches!(traced.finish(), Err(TraceError::Lost { .. })));
    clear(&scene.view()).unwrap();
    fs::remove_dir(scene.view()).unwrap();
}

#[test]
fn a_view_whose_server_was_cut_off_is_lost() {
    let Some(scene) = Scene::new(&[("file", "x")]) else { return };
    let traced = scene.mount();
    let held = File::open(scene.view().join("file")).unwrap();
    if umount2(&scene.view(), MntFlags::MNT_FORCE) == Err(Errno::EPERM) {
        return;
    }
    // Still mounted, and asked before any thread can have noticed.
    assert!(is_mounted(&scene.view()));
    assert!(matches!(traced.finish(), Err(TraceError::Lost { .. })));
    drop(held);
    assert!(!is_mounted(&scene.view()));
}

#[test]
fn it_ends_even_when_another_namespace_has_a_copy() {
    let Some(scene) = Scene::new(&[("file", "x")]) else { return };
    let traced = scene.mount();
    let mut sleeper = Command::new("unshare");
    sleeper.args(["-m", "sh", "-c", "echo ready; exec sleep 60"]).stdout(Stdio::piped());
    let Ok(mut sleeper) = sleeper.spawn() else { return };
    let mut ready = [0; 6];
    let told = std::io::Read::read_exact(sleeper.stdout.as_mut().unwrap(), &mut ready);
    let begun = Instant::now();
    let finished = traced.finish();
    let took = begun.elapsed();
    sleeper.kill().unwrap();
    sleeper.wait().unwrap();
    if told.is_ok() {
        finished.unwrap();
        // Not by giving up, which takes two seconds.
        assert!(took < Duration::from_millis(1900), "{took:?}");
    }
}

#[test]
fn a_folder_that_changes_underneath_spoils_the_record() {
    let Some(scene) = Scene::new(&[("file", "x")]) else { return };
    let traced = scene.mount();
    assert!(fs::metadata(scene.view().join("file")).is_ok());
    fs::remove_file(scene.source().join("file")).unwrap();
    assert!(fs::read(scene.view().join("file")).is_err());
    let error = traced.finish().unwrap_err();
    assert!(error.to_string().contains("reading file"), "{error}");
}
