//! Who created an object, when the bucket's answers can't be trusted.

use std::sync::Arc;
use std::time::Duration;

use object_store::memory::InMemory;
use object_store::path::Path;

use kiln_servers::Faulty;

use super::{Backend, Created, Objects, Patience};

fn objects(faulty: &Arc<Faulty<InMemory>>) -> Objects {
    let backend = Backend {
        store: faulty.clone(),
        parts: faulty.clone(),
        signer: None,
        prefix: Path::from("prefix"),
        name: "memory://".into(),
        patience: Patience { pause: Duration::ZERO, attempts: 12, ..Patience::default() },
    };
    Objects::in_bucket(backend, std::path::Path::new("/nowhere"), None)
}

/// Of several writers of one object exactly one is told that it won, and the object is its own,
/// whatever the bucket answers.
#[tokio::test(flavor = "multi_thread")]
async fn exactly_one_creator_wins() {
    let mut faults = 0;
    for seed in 0..400 {
        let faulty = Arc::new(Faulty::new(Arc::new(InMemory::new()), seed, 500));
        let path = Path::from("lease");
        let writers: Vec<_> = (0..3)
            .map(|writer| {
                let (objects, path) = (objects(&faulty), path.clone());
                let mine = format!("writer {writer}");
                tokio::spawn(
                    async move { (objects.create(&path, mine.clone().into()).await, mine) },
                )
            })
            .collect();
        let (mut winners, mut unsure) = (Vec::new(), 0);
        for writer in writers {
            match writer.await.unwrap() {
                (Ok(Created::New), mine) => winners.push(mine),
                (Ok(Created::Exists), _) => {}
                (Err(_), _) => unsure += 1,
            }
        }
        let there = loop {
            if let Ok(fetched) = objects(&faulty).get(&path, None, None).await {
                break fetched;
            }
        };
        let there = there.map(|fetched| String::from_utf8(fetched.bytes.to_vec()).unwrap());
        assert!(winners.len() <= 1, "seed {seed}: {winners:?}");
        if let [winner] = &winners[..] {
            assert_eq!(there.as_ref(), Some(winner), "seed {seed}");
        } else {
            assert!(unsure > 0, "seed {seed}: nobody won, and nobody doubts");
        }
        faults += faulty.made();
    }
    assert!(faults > 400, "{faults}");
}
