//! Builds revisions one after another with the builder alone, and says where the time goes:
//!
//! `build REPOSITORY CONFIG STORE WORK REVISION...`
//!
//! With `history GOOD BAD` after the repository it lists a range instead and says how long that
//! took.
#![allow(clippy::print_stdout)]

use std::error::Error;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use kiln_builder::{BuildEvent, Builder, Config, How, Observer, Repository, Request, Stage};
use kiln_cache::{Location, Store};

/// Prints when each stage begins.
struct Stages(Mutex<(Instant, String)>);

impl Observer for Stages {
    fn event(&self, event: &BuildEvent) {
        let name = match event.stage {
            Stage::CheckingOut { total, .. } => format!("checking out {total} files"),
            Stage::Compiling { .. } => "compiling".to_owned(),
            ref other => format!("{other:?}"),
        };
        let Ok(mut last) = self.0.lock() else { return };
        if last.1 != name {
            println!("{:9.2} s  {name}", last.0.elapsed().as_secs_f64());
            last.1 = name;
        }
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.as_slice() {
        [repository, word, good, bad] if word == "history" => {
            let begun = Instant::now();
            let history = Repository::open(repository)?.history(good, bad)?;
            let merges = history.commits.iter().filter(|commit| commit.parents.len() > 1).count();
            let seconds = begun.elapsed().as_secs_f64();
            println!("{} commits, {merges} merges, {seconds:.2} s", history.commits.len());
            Ok(())
        }
        [repository, config, store, work, revisions @ ..] if !revisions.is_empty() => {
            let store = Store::open(&Location::parse(store)?).await?;
            for revision in revisions {
                build(repository, config, &store, work, revision).await?;
            }
            Ok(())
        }
        _ => Err("usage: build REPOSITORY CONFIG STORE WORK REVISION...".into()),
    }
}

async fn build(
    repository: &str,
    config: &str,
    store: &Store,
    work: &str,
    revision: &str,
) -> Result<(), Box<dyn Error>> {
    let stages = Arc::new(Stages(Mutex::new((Instant::now(), String::new()))));
    let builder = Builder::new(store.clone(), PathBuf::from(work), stages);
    let request = Request {
        repository: repository.into(),
        revision: Repository::open(repository)?.resolve(revision)?,
        config: Some(Config::read(Path::new(config))?),
        how: How::Kbuild,
        jobs: std::thread::available_parallelism().map_or(1, usize::from),
        strict_config: false,
    };
    println!("{} {}", request.revision.commit, request.revision.subject);
    let built = builder.build(&request).await?;
    let manifest = &built.manifest;
    println!(
        "{:?} in {:.2} s, make {:.2} s: {:?}",
        built.obtained, built.seconds, manifest.seconds, manifest.result
    );
    for note in &built.notes {
        println!("  {note}");
    }
    for artifact in &manifest.artifacts {
        println!("  {} {:>10} {}", artifact.digest.short(), artifact.size, artifact.name);
    }
    Ok(())
}
