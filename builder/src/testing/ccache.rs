//! ccache before the compiler: fewer compiles, and the same bytes and closures.

use std::process::Command;
use std::sync::Arc;

use kiln_cache::{Location, Store};
use kiln_skip::{Lack, skip};

use super::toy::Toy;
use crate::closure::Closure;
use crate::trace::availability;
use crate::{Builder, Built, Obtained, Quiet};

/// What ccache counts under a name.
fn counted(toy: &Toy, name: &str) -> u64 {
    let output = Command::new("ccache")
        .arg("--print-stats")
        .env("CCACHE_DIR", toy.work.path().join("work/ccache/kept"))
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('\t'));
    line.unwrap_or_else(|| panic!("{name} is not in {text}")).parse().unwrap()
}

/// A builder that knows no build, in the same folder of working files.
async fn forgetful(toy: &Toy, store: &str) -> Builder {
    let store = toy.work.path().join(store);
    let store = Store::open(&Location::parse(store.to_str().unwrap()).unwrap()).await.unwrap();
    Builder::new(store, toy.work.path().join("work"), Arc::new(Quiet)).with_ccache(true)
}

async fn closure(builder: &Builder, built: &Built) -> Arc<Closure> {
    builder.closure(&built.manifest).await.unwrap().expect("it was watched")
}

#[tokio::test]
async fn what_came_out_before_is_not_compiled_again() {
    if Command::new("ccache").arg("--version").output().is_err() {
        skip(Lack::Program, "apt-get install ccache");
        return;
    }
    if let Err(reason) = availability() {
        skip(Lack::Views, reason);
        return;
    }
    let (toy, first) = Toy::new().await;
    let request = toy.request(&first, "CONFIG_FAST=y\n");
    let plain = forgetful(&toy, "a").await.with_ccache(false);
    let without = plain.build(&request).await.unwrap();
    let pool = toy.work.path().join("work/pool");
    std::fs::remove_dir_all(&pool).unwrap();
    let cold = forgetful(&toy, "b").await;
    let missed = cold.build(&request).await.unwrap();
    assert_eq!(counted(&toy, "preprocessed_cache_hit"), 0);
    std::fs::remove_dir_all(&pool).unwrap();
    let hot = forgetful(&toy, "c").await;
    let hit = hot.build(&request).await.unwrap();
    assert_eq!(counted(&toy, "preprocessed_cache_hit"), 2, "two units of C");
    assert_eq!(counted(&toy, "direct_cache_hit"), 0, "the headers are looked for each time");

    let digest = |built: &Built| built.manifest.artifact("vmlinux").unwrap().digest;
    let (reads, hits) = (closure(&plain, &without).await, closure(&hot, &hit).await);
    for built in [&missed, &hit] {
        assert_eq!(built.obtained, Obtained::Compiled);
        assert_eq!(digest(built), digest(&without));
    }
    // ccache itself looks for some files more, and the compiler that it spares for some less.
    assert_eq!(reads.read, hits.read);
    assert_eq!((&reads.found, &reads.listed), (&hits.found, &hits.listed));
    let beside: Vec<&[u8]> =
        reads.missing.iter().filter(|path| !hits.missing.contains(path)).collect();
    assert!(beside.iter().all(|path| path.ends_with(b".gch")), "{reads:?} {hits:?}");
}
