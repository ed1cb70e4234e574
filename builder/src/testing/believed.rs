//! What is not believed any more is answered by nobody: not by name, not from another Kiln, and not by
//! whoever was about to answer with it.

use std::path::PathBuf;
use std::slice::from_ref;
use std::sync::{Arc, Mutex};

use kiln_cache::manifest::Manifest;
use kiln_cache::remote::Timeouts;
use kiln_cache::{Digest, InputKey, Location, Mark, Query, Remote, Store, refutation};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpListener;
use tokio::runtime::Handle;

use super::Edit;
use super::grounds::{auditor, is_alarm, misled};
use super::stages::{build, from_nothing};
use super::toy::{Toy, builder_of, watched};
use crate::audit::audit_report;
use crate::observer::Stage;
use crate::{BuildEvent, Builder, Built, Observer, Obtained, Revision};

/// Has something happen when a build is about to be stored for the first time.
struct BeforeStoring(Mutex<Option<Box<dyn FnOnce() + Send>>>);

impl Observer for BeforeStoring {
    fn event(&self, event: &BuildEvent) {
        if event.stage == Stage::Storing
            && let Some(act) = self.0.lock().unwrap().take()
        {
            tokio::task::block_in_place(act);
        }
    }
}

/// A builder beside which something happens when it is about to store its first build.
pub(super) fn interrupted(
    toy: &Toy,
    folder: &str,
    act: impl Future<Output = ()> + Send + 'static,
) -> Builder {
    let act: Box<dyn FnOnce() + Send> = Box::new(|| Handle::current().block_on(act));
    let observer = Arc::new(BeforeStoring(Mutex::new(Some(act))));
    let builder = Builder::new(toy.store.clone(), toy.work.path().join(folder), observer);
    builder.with_pairs(1, 4)
}

/// The mark that an audit elsewhere sets which refutes what a build rests on.
fn mark_of(built: &Built) -> String {
    refutation(&built.provenance.as_ref().expect("a stage answered").closure.unwrap(), "tokens")
}

async fn image_of(toy: &Toy, revision: &Revision) -> Option<kiln_cache::signature::ImageId> {
    from_nothing(toy, revision, "").await.manifest.image()
}

/// The files of a build, outside of the store.
async fn files_of(toy: &Toy, manifest: &Manifest) -> Vec<(String, PathBuf)> {
    let folder = toy.work.path().join("files");
    std::fs::create_dir_all(&folder).unwrap();
    let mut files = Vec::new();
    for (n, artifact) in manifest.artifacts.iter().enumerate() {
        let path = folder.join(n.to_string());
        toy.store.read_to_file(&artifact.digest, &path).await.unwrap();
        files.push((artifact.name.clone(), path));
    }
    files
}

#[tokio::test]
async fn a_commit_that_was_proved_wrongly_is_known_by_no_name_until_it_is_built() {
    let Some((toy, first)) = watched().await else { return };
    let builder = builder_of(&toy);
    let built = build(&builder, &toy, &first).await;
    let docs = toy.edit("docs", &[Edit::File("Documentation/a.rst", "other\n")]);
    let query = Query::parse(&docs.commit).unwrap();
    for _ in 0..2 {
        let proved = build(&builder, &toy, &docs).await;
        assert_eq!(proved.obtained, Obtained::Closure);
        assert_eq!(toy.store.find_builds(&query).await.unwrap(), from_ref(&built.manifest));
    }
    let closure = built.manifest.artifact("closure").unwrap().digest;
    toy.store.mark(Mark::Revoked, &refutation(&closure, "closure")).await.unwrap();
    assert_eq!(toy.store.find_builds(&query).await.unwrap(), []);
    let compiled = build(&builder_of(&toy), &toy, &docs).await;
    assert_eq!(compiled.obtained, Obtained::Compiled);
    assert_eq!(toy.store.find_builds(&query).await.unwrap(), [compiled.manifest]);
}

#[tokio::test]
async fn a_wrong_answer_is_found_by_no_name() {
    let Some((toy, wrong)) = misled().await else { return };
    let believed = build(&builder_of(&toy), &toy, &wrong).await;
    let query = Query::parse(&wrong.commit).unwrap();
    assert_eq!(toy.store.find_builds(&query).await.unwrap(), from_ref(&believed.manifest));
    toy.store.mark(Mark::Revoked, &mark_of(&believed)).await.unwrap();
    assert!(toy.store.is_void(&believed.manifest).await.unwrap());
    assert_eq!(toy.store.find_builds(&query).await.unwrap(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_is_refuted_while_it_is_made_is_made_again() {
    let Some((toy, wrong)) = misled().await else { return };
    // What the answer will rest on.
    let believed = build(&builder_of(&toy), &toy, &wrong).await;
    let (store, mark) = (toy.store.clone(), mark_of(&believed));
    let remark = format!("{}// more\n", toy.fixture.read(&wrong, super::stages::HELPER));
    let again = toy.edit("again", &[Edit::File(super::stages::HELPER, &remark)]);
    let marking = async move { store.mark(Mark::Revoked, &mark).await.unwrap() };
    let builder = interrupted(&toy, "work", marking);
    let built = build(&builder, &toy, &again).await;
    assert_eq!(built.manifest.image(), image_of(&toy, &again).await);
    assert_eq!(built.obtained, Obtained::Compiled);
    assert!(built.notes.iter().any(|note| note.contains("refuted")), "{:?}", built.notes);
    let known = builder_of(&toy).known(&toy.request(&again, "")).await.unwrap();
    assert_eq!(known, Some(built.manifest));
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_is_not_believed_gives_way_even_when_it_was_stored_a_moment_before() {
    let Some((toy, wrong)) = misled().await else { return };
    let believed = build(&builder_of(&toy), &toy, &wrong).await;
    let (store, files) = (toy.store.clone(), files_of(&toy, &believed.manifest).await);
    toy.store.withdraw_build(&believed.manifest).await.unwrap();
    let (mark, manifest) = (mark_of(&believed), believed.manifest.clone());
    let storing = async move {
        store.add_known(&manifest, files).await.unwrap();
        store.mark(Mark::Revoked, &mark).await.unwrap();
    };
    let built = build(&interrupted(&toy, "elsewhere", storing), &toy, &wrong).await;
    assert_eq!(built.obtained, Obtained::Compiled);
    assert_eq!(built.manifest.image(), image_of(&toy, &wrong).await);
    let known = builder_of(&toy).known(&toy.request(&wrong, "")).await.unwrap();
    assert_eq!(known, Some(built.manifest));
}

#[tokio::test(flavor = "multi_thread")]
async fn one_input_that_gave_two_kernels_is_said_and_the_objects_are_not_taken_for_the_first() {
    let Some((toy, wrong)) = misled().await else { return };
    let believed = build(&builder_of(&toy), &toy, &wrong).await;
    let (store, files) = (toy.store.clone(), files_of(&toy, &believed.manifest).await);
    toy.store.withdraw_build(&believed.manifest).await.unwrap();
    let manifest = believed.manifest.clone();
    let storing = async move { _ = store.add_known(&manifest, files).await.unwrap() };
    let built = build(&interrupted(&toy, "elsewhere", storing), &toy, &wrong).await;
    assert_eq!(built.manifest, believed.manifest, "the first stays");
    let is_said = |note: &String| note.contains("another build of this very input");
    assert!(built.notes.iter().any(is_said), "{:?}", built.notes);
    // The pair's objects give what was made: nothing is concluded from the other.
    let pairs = toy.work.path().join("elsewhere/pool");
    let key = std::fs::read_dir(pairs).unwrap().next().unwrap().unwrap().path();
    let record = std::fs::read(key.join("0/pair.json")).unwrap();
    let record: serde_json::Value = serde_json::from_slice(&record).unwrap();
    assert!(record["objects"]["build"].is_null(), "{record:#}");
}

/// Another Kiln over a store, as far as builders ask it.
async fn serve(store: &Store) -> Remote {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let store = store.clone();
    tokio::spawn(async move {
        while let Ok((connection, _)) = listener.accept().await {
            let store = store.clone();
            tokio::spawn(async move {
                let mut connection = BufReader::new(connection);
                let (mut line, mut header) = (String::new(), String::new());
                connection.read_line(&mut line).await.unwrap();
                while connection.read_line(&mut header).await.unwrap() > 2 {
                    header.clear();
                }
                let found = answer(&store, line.split(' ').nth(1).unwrap()).await;
                let status = if found.is_some() { "200 OK" } else { "404 Not Found" };
                let body = found.unwrap_or_default();
                let length = body.len();
                let head = format!(
                    "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
                );
                connection.write_all(head.as_bytes()).await.unwrap();
                connection.write_all(&body).await.unwrap();
                connection.shutdown().await.unwrap();
            });
        }
    });
    Remote::new(&url, Timeouts::default()).unwrap()
}

/// The body for a path.
async fn answer(store: &Store, path: &str) -> Option<Vec<u8>> {
    if let Some(key) = path.strip_prefix("/v1/requests/") {
        let found = store.build_by_request(&InputKey(key.parse().unwrap())).await.unwrap();
        return found.map(|build| serde_json::to_vec(&build).unwrap());
    }
    // (There is no bucket behind it, so a digest with a question behind it is none.)
    let digest: Digest = path.strip_prefix("/v1/blobs/")?.parse().ok()?;
    let reader = store.reader(&digest).await.ok()?;
    Some(reader.read(0..reader.size()).await.unwrap())
}

/// A builder over another store, which asks a Kiln over the toy's.
pub(super) async fn client(toy: &Toy, store: &Store) -> Builder {
    let builder = toy.builder_over(store, "client");
    builder.with_pairs(1, 4).with_upstream(Some(serve(&toy.store).await))
}

pub(super) async fn another_store(toy: &Toy) -> Store {
    let store = toy.work.path().join("another");
    Store::open(&Location::parse(store.to_str().unwrap()).unwrap()).await.unwrap()
}

#[tokio::test]
async fn what_was_refuted_here_is_not_fetched_back() {
    let Some((toy, wrong)) = misled().await else { return };
    let believed = build(&builder_of(&toy), &toy, &wrong).await;
    let here = another_store(&toy).await;
    let fetched = build(&client(&toy, &here).await, &toy, &wrong).await;
    assert_eq!(fetched.obtained, Obtained::Input);
    assert_eq!(fetched.manifest, believed.manifest);
    // An audit here; the other Kiln has not heard of it, and goes on giving it out.
    here.mark(Mark::Revoked, &mark_of(&believed)).await.unwrap();
    let built = build(&client(&toy, &here).await, &toy, &wrong).await;
    assert_eq!(built.obtained, Obtained::Compiled);
    assert_eq!(built.manifest.image(), image_of(&toy, &wrong).await);
    let again = build(&client(&toy, &here).await, &toy, &wrong).await;
    assert_eq!((again.obtained, again.manifest), (Obtained::Input, built.manifest));
}

#[tokio::test]
async fn nor_is_what_an_audit_here_left_in_doubt() {
    let Some((toy, first)) = watched().await else { return };
    let made = build(&builder_of(&toy), &toy, &first).await;
    let here = another_store(&toy).await;
    let fetched = build(&client(&toy, &here).await, &toy, &first).await;
    assert_eq!((fetched.obtained, &fetched.manifest), (Obtained::Input, &made.manifest));
    here.doubt(&made.manifest).await.unwrap();
    here.withdraw_build(&made.manifest).await.unwrap();
    let built = build(&client(&toy, &here).await, &toy, &first).await;
    assert_eq!(built.obtained, Obtained::Compiled);
    // What is made in its stead there, and not upon it, is another build, be it the same to the byte.
    here.withdraw_build(&built.manifest).await.unwrap();
    toy.store.withdraw_build(&made.manifest).await.unwrap();
    let anew = build(&toy.builder_in("anew"), &toy, &first).await;
    let fetched = build(&client(&toy, &here).await, &toy, &first).await;
    assert_eq!((fetched.obtained, fetched.manifest), (Obtained::Input, anew.manifest));
}

#[tokio::test]
async fn what_is_fetched_replaces_what_was_refuted_here() {
    let Some((toy, wrong)) = misled().await else { return };
    let believed = build(&builder_of(&toy), &toy, &wrong).await;
    let here = another_store(&toy).await;
    build(&client(&toy, &here).await, &toy, &wrong).await;
    for store in [&here, &toy.store] {
        store.mark(Mark::Revoked, &mark_of(&believed)).await.unwrap();
    }
    let right = build(&builder_of(&toy), &toy, &wrong).await;
    assert_eq!(right.manifest.image(), image_of(&toy, &wrong).await);
    let fetched = build(&client(&toy, &here).await, &toy, &wrong).await;
    assert_eq!((fetched.obtained, fetched.manifest), (Obtained::Input, right.manifest));
}

#[tokio::test]
async fn what_a_stage_said_elsewhere_is_audited_like_the_own() {
    let Some((toy, wrong)) = misled().await else { return };
    build(&builder_of(&toy), &toy, &wrong).await;
    let here = another_store(&toy).await;
    let found = build(&client(&toy, &here).await.with_audit(1.0), &toy, &wrong).await;
    assert!(is_alarm(&found), "{:?}", found.notes);
    assert_eq!(found.manifest.image(), image_of(&toy, &wrong).await);
    assert_eq!(audit_report(&here).await.unwrap().mismatches, 1);
    assert!(!is_alarm(&build(&auditor(&toy), &toy, &wrong).await), "known there, unaudited");
}
