//! Evidence and journals.

mod common;

use common::{Fixture, quiet};
use kiln_cache::Digest;
use kiln_cache::error::StoreError;
use kiln_cache::evidence::{Outcome, Run, TestKey};
use kiln_cache::signature::ImageId;
use serde_json::json;
use uuid::Uuid;

fn image(name: &str) -> ImageId {
    ImageId(Digest::of(name.as_bytes()))
}

fn run(name: &str, outcome: Outcome, finished: i64) -> Run {
    Run {
        id: Uuid::new_v4(),
        image: image(name),
        test: TestKey(Digest::of(b"test")),
        outcome,
        seconds: 2.25,
        finished,
        console: None,
    }
}

fn crash(title: &str) -> Outcome {
    Outcome::Crash { title: title.into() }
}

#[tokio::test]
async fn runs_add_up_by_title() {
    let fixture = Fixture::new().await;
    let store = &fixture.store;
    let title = "KASAN: use-after-free Read in 'x' \"y\" ; DROP TABLE runs --";
    let runs = [
        run("a", Outcome::Ok, 3),
        run("a", crash(title), 1),
        run("a", crash(title), 2),
        run("a", crash("WARNING in kvm_wait"), 2),
        run("a", Outcome::BootFailure { title: title.into() }, 4),
        run("a", Outcome::Infra { reason: "no memory".into() }, 5),
        run("b", Outcome::Ok, 1),
    ];
    for run in runs.iter().chain(&runs) {
        store.record_run(run).await.unwrap();
    }
    let test = runs[0].test;
    let counts = store.evidence(&image("a"), &test).await.unwrap();
    assert_eq!((counts.total(), counts.ok, counts.infra), (6, 1, 1));
    assert_eq!(counts.crashes[title], 2);
    assert_eq!(counts.crashes["WARNING in kvm_wait"], 1);
    assert_eq!(counts.boot_failures[title], 1);

    let many: Vec<_> = (0..3000).map(|n| image(&n.to_string())).collect();
    let asked: Vec<_> = many.into_iter().chain([image("a"), image("b"), image("c")]).collect();
    let all = store.evidence_of(&asked, &test).await.unwrap();
    assert_eq!(all.len(), 2);
    assert_eq!(all[&image("a")], counts);
    assert_eq!(all[&image("b")].ok, 1);

    let listed = store.runs(&image("a"), &test).await.unwrap();
    let finished: Vec<_> = listed.iter().map(|run| run.finished).collect();
    assert_eq!(finished, [1, 2, 2, 3, 4, 5]);
    assert!(listed.iter().all(|run| runs.contains(run)));

    let other = TestKey(Digest::of(b"other"));
    assert_eq!(store.evidence(&image("a"), &other).await.unwrap().total(), 0);
    assert_eq!(store.runs(&image("a"), &other).await.unwrap(), []);
}

#[tokio::test]
async fn consoles_are_blobs_of_the_store() {
    let fixture = Fixture::new().await;
    let mut run = run("a", Outcome::Ok, 1);
    run.console = Some(Digest::of(b"Linux version"));
    let error = fixture.store.record_run(&run).await.unwrap_err();
    assert!(matches!(error, StoreError::UnknownConsole { .. }), "{error}");
    assert_eq!(fixture.store.stats().await.unwrap().runs, 0);

    let console = fixture.store.put_bytes("Linux version".into()).await.unwrap();
    fixture.store.record_run(&run).await.unwrap();
    assert_eq!(fixture.store.runs(&run.image, &run.test).await.unwrap(), [run]);
    let report = fixture.store.verify(true, &quiet).await.unwrap();
    assert_eq!((report.is_clean(), report.orphans, report.blobs), (true, 0, 1));

    std::fs::remove_file(fixture.blob(&console)).unwrap();
    let report = fixture.store.verify(false, &quiet).await.unwrap();
    assert_eq!(report.problems.len(), 1);
    assert!(report.problems[0].what.contains("console"), "{:?}", report.problems);
}

#[tokio::test]
async fn journals_keep_what_was_said_in_order() {
    let fixture = Fixture::new().await;
    let store = &fixture.store;
    store.journal_create("b1", "bisection", json!({"good": "v6.1"})).await.unwrap();
    store.journal_create("b2", "bisection", json!(null)).await.unwrap();
    store.journal_create("x", "import", json!(1)).await.unwrap();
    let error = store.journal_create("b1", "bisection", json!({})).await.unwrap_err();
    assert!(matches!(error, StoreError::JournalExists(_)), "{error}");
    for n in 1..=50_u64 {
        assert_eq!(store.journal_append("b1", json!({"step": n})).await.unwrap(), n);
    }
    assert_eq!(store.journal_append("b2", json!("first")).await.unwrap(), 1);
    let error = store.journal_append("none", json!(0)).await.unwrap_err();
    assert!(matches!(error, StoreError::UnknownJournal(_)), "{error}");

    let journal = fixture.reopen().await.journal_read("b1").await.unwrap().unwrap();
    assert_eq!((journal.kind.as_str(), &journal.header), ("bisection", &json!({"good": "v6.1"})));
    assert!(journal.created > 1_700_000_000);
    assert_eq!(journal.events.len(), 50);
    for (n, entry) in (1..).zip(&journal.events) {
        assert_eq!((entry.seq, &entry.event), (n, &json!({"step": n})));
        assert!(entry.at >= journal.created);
    }
    assert_eq!(store.journal_read("none").await.unwrap(), None);
    let numbers = |entries: Vec<kiln_cache::journal::Entry>| -> Vec<u64> {
        entries.iter().map(|entry| entry.seq).collect()
    };
    assert_eq!(store.journal_since("b1", 47).await.unwrap(), journal.events[47..]);
    assert_eq!(numbers(store.journal_since("b1", 0).await.unwrap()).len(), 50);
    assert_eq!(numbers(store.journal_tail("b1", 3).await.unwrap()), [48, 49, 50]);
    assert_eq!(numbers(store.journal_tail("b1", 500).await.unwrap()).len(), 50);
    for none in [store.journal_since("b1", 50), store.journal_since("none", 0)] {
        assert!(none.await.unwrap().is_empty());
    }

    let listed = store.journals("bisection").await.unwrap();
    let ids: Vec<_> = listed.iter().map(|journal| (journal.id.as_str(), journal.events)).collect();
    assert_eq!(ids, [("b2", 1), ("b1", 50)]);
    assert_eq!(store.journals("nothing").await.unwrap(), []);
    assert_eq!(store.stats().await.unwrap().journals, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_processes_append_without_gaps() {
    let fixture = Fixture::new().await;
    fixture.store.journal_create("j", "k", json!({})).await.unwrap();
    let mut tasks = Vec::new();
    for writer in 0..4 {
        let store = fixture.reopen().await;
        tasks.push(tokio::spawn(async move {
            for n in 0..25 {
                store.journal_append("j", json!([writer, n])).await.unwrap();
            }
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    let journal = fixture.store.journal_read("j").await.unwrap().unwrap();
    let numbers: Vec<_> = journal.events.iter().map(|entry| entry.seq).collect();
    assert_eq!(numbers, (1..=100).collect::<Vec<_>>());
}
