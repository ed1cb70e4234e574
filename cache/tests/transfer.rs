//! Between stores: everything arrives, nothing is believed, and what broke off is gone on with.

mod common;

use std::collections::BTreeSet;

use common::{Fixture, commit, draft, noise, quiet, request};
use kiln_cache::build_draft::{CLOSURE, PROVENANCE};
use kiln_cache::evidence::{Outcome, Run, TestKey};
use kiln_cache::retention::Policy;
use kiln_cache::signature::SignatureKind;
use kiln_cache::transfer::{Selection, TransferPhase, TransferProgress};
use kiln_cache::{Digest, InputKey, Manifest, Mark, Query, StoreError, refutation};
use serde_json::json;
use uuid::Uuid;

fn silent(_: TransferProgress) {}

fn test() -> TestKey {
    TestKey(Digest::of(b"test"))
}

async fn build(fixture: &Fixture, seed: u64) -> Manifest {
    let image = fixture.file(&format!("image {seed}"), &noise(seed, 1_200_000));
    let log = fixture.file("log", b"the log of all");
    let closure = fixture.file("closure", b"closure");
    let files = [("image", &*image), ("build.log", &*log), (CLOSURE, &*closure)];
    fixture.store.add_build(draft(seed, &files)).await.unwrap()
}

/// A store with three builds, runs of each, and two journals.
async fn full() -> (Fixture, Vec<Manifest>) {
    let fixture = Fixture::new().await;
    let store = &fixture.store;
    let mut builds = Vec::new();
    for seed in 0..3 {
        let build = build(&fixture, seed).await;
        let console = store.put_bytes(format!("console {seed}").into()).await.unwrap();
        for n in 0..2_u64 {
            let run = Run {
                id: Uuid::from_u128(u128::from(seed * 10 + n)),
                image: build.image().unwrap(),
                test: test(),
                outcome: Outcome::Crash { title: "BUG: x".into() },
                seconds: 1.5,
                finished: 100,
                console: Some(console),
            };
            store.record_run(&run).await.unwrap();
        }
        builds.push(build);
    }
    store.add_revision("abcdef0123456789", &builds[0].input_key).await.unwrap();
    let closure = Digest::of(b"closure");
    store.add_proved_request(&request(50), &builds[1].input_key, &closure).await.unwrap();
    for id in ["j1", "j2"] {
        store.journal_create(id, "bisection", json!({ "good": "v6.1" })).await.unwrap();
        for n in 0..3 {
            store.journal_append(id, json!({ "step": n })).await.unwrap();
        }
    }
    (fixture, builds)
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_arrives_and_a_second_time_nothing_is_new() {
    let (from, builds) = full().await;
    let to = Fixture::new().await;
    let all = Selection::default();
    let report = from.store.copy_to(&to.store, &all, &silent).await.unwrap();
    assert_eq!((report.builds, report.runs, report.journals), (3, 6, 2), "{report:?}");
    assert_eq!(report.problems, []);
    for build in &builds {
        let there = to.store.build_by_request(&build.request_key).await.unwrap();
        assert_eq!(there.as_ref(), Some(build));
        let image = build.image().unwrap();
        let runs = from.store.runs(&image, &test()).await.unwrap();
        assert_eq!(to.store.runs(&image, &test()).await.unwrap(), runs);
    }
    let by_name = to.store.find_builds(&Query::parse("abcdef0123456789").unwrap()).await.unwrap();
    assert_eq!(by_name, [builds[0].clone()]);
    let proof = to.store.proof_of_request(&request(50)).await.unwrap();
    assert_eq!(proof, Some(Digest::of(b"closure")));
    let journal = from.store.journal_read("j1").await.unwrap();
    assert_eq!(to.store.journal_read("j1").await.unwrap(), journal);
    let verified = to.store.verify(true, &quiet).await.unwrap();
    assert!(verified.is_clean(), "{:?}", verified.problems);
    assert_eq!((verified.builds, verified.orphans), (3, 0));

    // Again, after more has happened on both sides.
    from.store.journal_append("j1", json!({ "step": 3 })).await.unwrap();
    to.store.journal_append("j2", json!({ "step": 4 })).await.unwrap();
    let report = from.store.copy_to(&to.store, &all, &silent).await.unwrap();
    assert_eq!((report.builds, report.builds_known, report.bytes), (0, 3, 0));
    assert_eq!((report.runs, report.runs_known), (0, 6));
    assert_eq!((report.journals, report.journals_known), (1, 1));
    assert_eq!(to.store.journal_read("j1").await.unwrap().unwrap().events.len(), 4);
    assert_eq!(to.store.journal_append("j1", json!(5)).await.unwrap(), 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn builds_that_the_index_has_lost_are_brought() {
    let (from, builds) = full().await;
    let to = Fixture::new().await;
    // As a collection leaves it that was killed between its two turns.
    from.execute("DELETE FROM signatures").await;
    from.execute("DELETE FROM build_ids").await;
    from.execute("DELETE FROM artifacts").await;
    from.execute("DELETE FROM builds").await;
    let report = from.store.copy_to(&to.store, &Selection::default(), &silent).await.unwrap();
    assert_eq!((report.builds, report.problems), (builds.len() as u64, vec![]));
}

#[tokio::test(flavor = "multi_thread")]
async fn pins_and_last_uses_are_brought_and_bringing_is_no_use() {
    let (from, builds) = full().await;
    let to = Fixture::new().await;
    from.store.pin(&builds[0].input_key, true).await.unwrap();
    from.execute("UPDATE uses SET at = at - 100000").await;
    from.store.build_by_input(&builds[1].input_key).await.unwrap();
    // A backup every night.
    for _ in 0..2 {
        from.store.copy_to(&to.store, &Selection::default(), &silent).await.unwrap();
    }
    assert_eq!(to.store.pins().await.unwrap(), [builds[0].input_key].into());
    let policy = Policy { max_age: Some(50_000), ..Policy::default() };
    for store in [&from.store, &to.store] {
        let report = store.gc(&policy).await.unwrap();
        let gone: Vec<_> = report.gone.iter().map(|gone| gone.build).collect();
        assert_eq!(gone, [builds[2].input_key]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_selection_brings_what_belongs_to_it_and_no_more() {
    let (from, builds) = full().await;
    let to = Fixture::new().await;
    let selection = Selection {
        builds: Some(BTreeSet::from([builds[1].input_key])),
        journals: Some(BTreeSet::from(["j2".to_owned()])),
    };
    from.store.mark(Mark::Revoked, "a-proof").await.unwrap();
    for build in &builds {
        from.store.mark(Mark::Unaudited, &build.input_key.to_string()).await.unwrap();
    }
    let report = from.store.copy_to(&to.store, &selection, &silent).await.unwrap();
    assert_eq!((report.builds, report.runs, report.journals), (1, 2, 1));
    // What is refuted is so for every build that it is ever held against.
    assert_eq!(to.store.marks(Mark::Revoked).await.unwrap(), ["a-proof".to_owned()].into());
    let unaudited = to.store.marks(Mark::Unaudited).await.unwrap();
    assert_eq!(unaudited, [builds[1].input_key.to_string()].into());
    assert!(to.store.journal_read("j1").await.unwrap().is_none());
    let unknown = InputKey(Digest::of(b"unknown"));
    let selection = Selection {
        builds: Some(BTreeSet::from([unknown])),
        journals: Some(BTreeSet::from(["none".to_owned()])),
    };
    let report = from.store.copy_to(&to.store, &selection, &silent).await.unwrap();
    assert_eq!(report.problems.len(), 2, "{report:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_corrupt_is_left_behind_and_said() {
    let (from, builds) = full().await;
    let to = Fixture::new().await;
    let path = from.blob(&builds[0].artifact("image").unwrap().digest);
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[5000] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let report = from.store.copy_to(&to.store, &Selection::default(), &silent).await.unwrap();
    assert_eq!((report.builds, report.problems.len()), (2, 1), "{report:?}");
    assert!(report.problems[0].why.contains("corrupt"), "{report:?}");
    assert_eq!(report.runs, 6, "what was seen of it comes all the same");
    let chosen = Selection { builds: Some([builds[0].input_key].into()), ..Selection::default() };
    let other = Fixture::new().await;
    let report = from.store.copy_to(&other.store, &chosen, &silent).await.unwrap();
    assert_eq!((report.builds, report.runs), (0, 2), "{report:?}");
    assert!(to.store.verify(true, &quiet).await.unwrap().is_clean());
    // It was made again there, and what was missing comes with the next transfer.
    build(&from, 0).await;
    let report = from.store.copy_to(&to.store, &Selection::default(), &silent).await.unwrap();
    assert_eq!((report.builds, report.problems.len()), (1, 0), "{report:?}");
}

/// Has the manifest of a build claim another signature of a kind, and asserts that the build does not
/// come along for that; gives where it should have come to.
async fn refuses_what_is_claimed(
    from: &mut Fixture,
    made: &Manifest,
    kind: SignatureKind,
) -> Fixture {
    let path = from.manifest(&made.input_key);
    let text = std::fs::read_to_string(&path).unwrap();
    let hash = made.signatures.get(kind).unwrap().hash.to_hex();
    let claimed = |it: &str| it.replace(&hash, &Digest::of(b"claimed").to_hex());
    std::fs::write(&path, common::resealed(&text, claimed)).unwrap();
    let store = from.reopen_without_index().await;
    let to = Fixture::new().await;
    let report = store.copy_to(&to.store, &Selection::default(), &silent).await.unwrap();
    assert_eq!((report.builds, report.problems.len()), (0, 1), "{report:?}");
    assert!(report.problems[0].why.contains(&kind.to_string()), "{report:?}");
    to
}

#[tokio::test(flavor = "multi_thread")]
async fn nobodys_word_is_taken_for_a_signature() {
    let mut from = Fixture::new().await;
    let elf = std::env::current_exe().unwrap();
    let made = from.store.add_build(draft(1, &[("vmlinux", &elf)])).await.unwrap();
    let to = refuses_what_is_claimed(&mut from, &made, SignatureKind::Syzkaller).await;
    let query = Query::parse(&commit(1)).unwrap();
    assert_eq!(to.store.find_build(&query).await.unwrap(), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn nor_for_that_of_what_is_here_when_the_rest_was_let_go_of() {
    let mut from = Fixture::new().await;
    let elf = std::env::current_exe().unwrap();
    let image = from.file("image", &noise(1, 5000));
    let files = [("vmlinux", elf.as_path()), ("image", image.as_path())];
    let made = from.store.add_build(draft(1, &files)).await.unwrap();
    let policy = Policy { debug_age: Some(-10), ..Policy::default() };
    assert_eq!(from.store.gc(&policy).await.unwrap().let_go.len(), 1);
    refuses_what_is_claimed(&mut from, &made, SignatureKind::Content).await;
}

/// A store's manifest as a Kiln left it that named kernels by an older definition.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_named_by_an_older_definition_is_held_against_nothing() {
    let mut from = Fixture::new().await;
    let elf = std::env::current_exe().unwrap();
    let made = from.store.add_build(draft(1, &[("vmlinux", &elf)])).await.unwrap();
    let named = made.signatures.get(SignatureKind::Image).unwrap();
    assert_eq!(made.signatures.get(SignatureKind::Content), Some(named), "it covers all");
    let (older, version) = (Digest::of(b"by an older definition"), named.version - 1);
    let text = |version: u32, hash: Digest| format!("\"version\":{version},\"hash\":\"{hash}\"");
    let (own, other) = (text(named.version, named.hash), text(version, older));
    let path = from.manifest(&made.input_key);
    let manifest = std::fs::read_to_string(&path).unwrap();
    assert_eq!(manifest.matches(&own).count(), 2, "{manifest}");
    std::fs::write(&path, common::resealed(&manifest, |it| it.replace(&own, &other))).unwrap();
    let store = from.reopen_without_index().await;

    let stored = store.build_by_input(&made.input_key).await.unwrap().unwrap();
    assert_eq!(stored.image().unwrap().0, older, "it keeps the name that it was stored with");
    let verified = store.verify(true, &quiet).await.unwrap();
    assert!(verified.is_clean(), "{:?}", verified.problems);
    // Made again it is not another kernel, neither here nor where it comes to.
    let again = store.add_or_find(draft(1, &[("vmlinux", &elf)])).await.unwrap();
    assert_eq!((again.differ(), &again.manifest), (false, &stored));
    let to = Fixture::new().await;
    let report = store.copy_to(&to.store, &Selection::default(), &silent).await.unwrap();
    assert_eq!((report.builds, report.problems), (1, vec![]));
    let there = to.store.build_by_input(&made.input_key).await.unwrap();
    assert_eq!(there.as_ref(), Some(&made), "what comes is signed by who gets it");
    let to = Fixture::new().await;
    to.store.add_build(draft(1, &[("vmlinux", &elf)])).await.unwrap();
    let report = store.copy_to(&to.store, &Selection::default(), &silent).await.unwrap();
    assert_eq!((report.builds_known, report.builds_otherwise), (1, 0), "{report:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_build_comes_without_what_was_let_go_of() {
    let (from, to) = (Fixture::new().await, Fixture::new().await);
    let elf = std::env::current_exe().unwrap();
    let image = from.file("image", &noise(1, 5000));
    let files = [("vmlinux", elf.as_path()), ("image", image.as_path())];
    let made = from.store.add_build(draft(1, &files)).await.unwrap();
    let policy = Policy { debug_age: Some(-10), ..Policy::default() };
    assert_eq!(from.store.gc(&policy).await.unwrap().let_go.len(), 1);
    let report = from.store.copy_to(&to.store, &Selection::default(), &silent).await.unwrap();
    assert_eq!(report.problems, []);
    assert_eq!((report.builds, report.builds_without_debug), (1, 1));
    let there = to.store.build_by_input(&made.input_key).await.unwrap();
    assert_eq!(there.as_ref(), Some(&made));
    let gone = to.store.reader(&made.artifact("vmlinux").unwrap().digest).await;
    assert!(matches!(gone, Err(StoreError::LetGo(_))), "{gone:?}");
    assert!(to.store.reader(&made.artifact("image").unwrap().digest).await.is_ok());
    let verified = to.store.verify(true, &quiet).await.unwrap();
    assert!(verified.is_clean() && verified.let_go == 1, "{verified:?}");
    let report = from.store.copy_to(&to.store, &Selection::default(), &silent).await.unwrap();
    assert_eq!((report.builds, report.builds_known), (0, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn names_come_with_what_proved_them() {
    let (from, builds) = full().await;
    let to = Fixture::new().await;
    let closure = Digest::of(b"closure");
    let name = "fedcba9876543210";
    from.store.add_proved_revision(name, &builds[1].input_key, &closure).await.unwrap();
    // There another proof gave another build, which this store knows to be of its own.
    let there = build(&to, 9).await;
    to.store.add_proved_request(&request(2), &there.input_key, &closure).await.unwrap();
    from.store.copy_to(&to.store, &Selection::default(), &silent).await.unwrap();
    let query = Query::parse(name).unwrap();
    assert_eq!(to.store.find_build(&query).await.unwrap().as_ref(), Some(&builds[1]));
    let own = to.store.build_by_request(&request(2)).await.unwrap();
    assert_eq!(own.as_ref(), Some(&builds[2]));
    assert_eq!(to.store.proof_of_request(&request(2)).await.unwrap(), None);
    to.store.mark(Mark::Revoked, &refutation(&closure, "closure")).await.unwrap();
    assert_eq!(to.store.find_build(&query).await.unwrap(), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_refuted_while_a_transfer_runs_arrives() {
    let (from, builds) = full().await;
    let to = Fixture::new().await;
    let refute = |at: TransferProgress| {
        if at.phase == TransferPhase::Builds && at.done == 1 {
            let marking = from.store.mark(Mark::Revoked, "a-proof");
            let wait = || tokio::runtime::Handle::current().block_on(marking);
            tokio::task::block_in_place(wait).unwrap();
        }
    };
    let report = from.store.copy_to(&to.store, &Selection::default(), &refute).await.unwrap();
    assert_eq!(report.builds, builds.len() as u64);
    assert_eq!(to.store.marks(Mark::Revoked).await.unwrap(), ["a-proof".to_owned()].into());
}

/// A build of one input with an image of its own, and what it rests on, if anything.
async fn resting(fixture: &Fixture, text: &str, closure: Option<Digest>) -> Manifest {
    let image = fixture.file("image", text.as_bytes());
    let said = closure.map(|it| format!(r#"{{"stage":"tokens","from":"{it}","closure":"{it}"}}"#));
    let said = said.map(|said| fixture.file("said", said.as_bytes()));
    let mut files = vec![("image", image.as_path())];
    files.extend(said.as_deref().map(|said| (PROVENANCE, said)));
    fixture.store.add_build(draft(1, &files)).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_believed_there_gives_way_and_anything_else_stays() {
    let (from, to) = (Fixture::new().await, Fixture::new().await);
    let closure = Digest::of(b"closure");
    let right = resting(&from, "right", None).await;
    resting(&to, "wrong", Some(closure)).await;
    let copy = || async { from.store.copy_to(&to.store, &Selection::default(), &silent).await };
    let there = || async { to.store.build_by_input(&right.input_key).await.unwrap().unwrap() };
    let report = copy().await.unwrap();
    assert_eq!((report.builds, report.builds_known, report.builds_otherwise), (0, 1, 1));
    assert_ne!(there().await, right);
    from.store.mark(Mark::Revoked, &refutation(&closure, "tokens")).await.unwrap();
    let report = copy().await.unwrap();
    assert_eq!((report.builds, report.builds_known, report.problems), (1, 0, vec![]));
    assert_eq!(there().await, right);
    let report = copy().await.unwrap();
    assert_eq!((report.builds, report.builds_known, report.builds_otherwise), (0, 1, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_that_are_not_believed_the_one_there_stays() {
    let (from, to) = (Fixture::new().await, Fixture::new().await);
    let closure = Digest::of(b"closure");
    resting(&from, "wrong", Some(closure)).await;
    let stays = resting(&to, "as wrong", Some(closure)).await;
    // Refuted there alone.
    to.store.mark(Mark::Revoked, &refutation(&closure, "tokens")).await.unwrap();
    let report = from.store.copy_to(&to.store, &Selection::default(), &silent).await.unwrap();
    assert_eq!((report.builds, report.builds_known), (0, 1));
    assert_eq!(to.store.build_by_input(&stays.input_key).await.unwrap(), Some(stays));
}

/// Brings everything: how many builds came, stayed behind in doubt, and are a problem for it.
async fn copied(from: &Fixture, to: &Fixture) -> (u64, u64, usize) {
    let report = from.store.copy_to(&to.store, &Selection::default(), &silent).await.unwrap();
    let are_said = report.problems.iter().all(|problem| problem.why.contains("in doubt"));
    assert!(are_said, "{report:?}");
    (report.builds, report.builds_in_doubt, report.problems.len())
}

/// What an audit does with a build.
async fn withdraw(fixture: &Fixture, build: &Manifest) {
    fixture.store.doubt(build).await.unwrap();
    fixture.store.withdraw_build(build).await.unwrap();
}

/// Which build of an input somebody would be given.
async fn given(fixture: &Fixture, build: &Manifest) -> Option<Manifest> {
    let found = fixture.store.build_by_request(&build.request_key).await.unwrap()?;
    (!fixture.store.is_void(&found).await.unwrap()).then_some(found)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_audit_there_left_in_doubt_is_not_brought_back() {
    let (from, to) = (Fixture::new().await, Fixture::new().await);
    let doubtful = resting(&from, "perhaps wrong", None).await;
    assert_eq!(copied(&from, &to).await, (1, 0, 0));
    assert_eq!(given(&to, &doubtful).await.as_ref(), Some(&doubtful));
    // Nobody here has heard of it.
    withdraw(&to, &doubtful).await;
    for _ in 0..2 {
        assert_eq!(copied(&from, &to).await, (0, 1, 1));
        assert_eq!(given(&to, &doubtful).await, None);
    }
    // What is made anew, here or there, is another build.
    from.store.withdraw_build(&doubtful).await.unwrap();
    let right = resting(&from, "right", None).await;
    assert_eq!(copied(&from, &to).await, (1, 0, 0));
    assert_eq!(given(&to, &right).await, Some(right));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_withdrawn_does_not_come_back_from_where_it_was_brought_to() {
    let (here, there) = (Fixture::new().await, Fixture::new().await);
    let doubtful = resting(&here, "perhaps wrong", None).await;
    assert_eq!(copied(&here, &there).await, (1, 0, 0));
    withdraw(&here, &doubtful).await;
    // There it still lies, and is given to nobody from now on.
    assert_eq!(copied(&here, &there).await, (0, 0, 0));
    assert_eq!(given(&there, &doubtful).await, None);
    // No problem: nobody believes it, there or here.
    assert_eq!(copied(&there, &here).await, (0, 1, 0));
    assert_eq!(here.store.build_by_input(&doubtful.input_key).await.unwrap(), None);
    // The one in its stead replaces it.
    let right = resting(&here, "right", None).await;
    assert_eq!(copied(&here, &there).await, (1, 0, 0));
    assert_eq!(copied(&there, &here).await, (0, 0, 0));
    for fixture in [&here, &there] {
        assert_eq!(given(fixture, &doubtful).await.as_ref(), Some(&right));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_made_upon_a_withdrawn_build_is_not_brought_either() {
    let (from, to) = (Fixture::new().await, Fixture::new().await);
    let doubtful = resting(&from, "perhaps wrong", None).await;
    let image = from.file("image", b"perhaps as wrong");
    let said = format!(r#"{{"stage":null,"upon":["{}"]}}"#, doubtful.own_name());
    let said = from.file("said", said.as_bytes());
    let files = [("image", image.as_path()), (PROVENANCE, said.as_path())];
    let upon = from.store.add_build(draft(2, &files)).await.unwrap();
    assert_eq!(copied(&from, &to).await, (2, 0, 0));
    withdraw(&to, &doubtful).await;
    assert_eq!(given(&to, &upon).await, None);
    to.store.withdraw_build(&upon).await.unwrap();
    assert_eq!(copied(&from, &to).await, (0, 2, 2));
    assert_eq!(to.store.build_by_input(&upon.input_key).await.unwrap(), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_a_closure_proved_is_brought_only_for_the_build_that_has_it() {
    let (from, to) = (Fixture::new().await, Fixture::new().await);
    let made = |fixture: &Fixture, closure: &str| {
        let (image, reads) = (fixture.file("image", b"image"), closure.as_bytes());
        let files = [("image", image), (CLOSURE, fixture.file("reads", reads))];
        let files = files.each_ref().map(|(name, path)| (*name, path.as_path()));
        (fixture.store.clone(), draft(1, &files))
    };
    let (store, first) = made(&from, "what the first one read");
    let first = store.add_build(first).await.unwrap();
    let closure = first.artifact(CLOSURE).unwrap().digest;
    store.add_proved_request(&request(2), &first.input_key, &closure).await.unwrap();
    store.add_proved_revision(&commit(2), &first.input_key, &closure).await.unwrap();
    let (store, other) = made(&to, "what another one read");
    let other = store.add_build(other).await.unwrap();
    assert_eq!(copied(&from, &to).await, (0, 0, 0));
    assert_eq!(given(&to, &first).await, Some(other));
    assert_eq!(to.store.proof_of_request(&request(2)).await.unwrap(), None);
    let query = Query::parse(&commit(2)).unwrap();
    assert_eq!(to.store.find_build(&query).await.unwrap(), None);
    assert_eq!(from.store.find_build(&query).await.unwrap(), Some(first));
}
