//! One bisection over every backend that can run beside a test: the same answer from a folder with
//! SQLite, from S3 with PostgreSQL, and from Azure with PostgreSQL; and between them, by export and
//! import.

mod support;

use kiln_servers::{Azurite, Postgres, S3};
use support::{Kiln, Repo, culprit};

/// The history of `fakes.rs`: the "bug" is there from one commit on.
fn history() -> (Repo, Vec<String>) {
    let repo = Repo::new();
    let commits = (0..20)
        .map(|i| {
            let bug = if i >= 13 { "bug\n" } else { "" };
            repo.commit(&format!("change {i}"), &[("program", &format!("version {i}\n{bug}"))])
        })
        .collect();
    (repo, commits)
}

fn bisect(kiln: &Kiln, repo: &Repo, commits: &[String]) -> serde_json::Value {
    let build = "cp program \"$KILN_OUT/program\"";
    let test = "! grep -q bug \"$KILN_ARTIFACTS/program\"";
    let ends = ["--good", &commits[0], "--bad", &commits[19]];
    kiln.run(
        &["bisect", "--json", "--repo", repo.arg()]
            .into_iter()
            .chain(ends)
            .chain(["--build-command", build, "--command", test])
            .collect::<Vec<_>>(),
    )
    .exits(0)
    .json()
}

/// A store in a bucket, with a database that others share.
fn over(url: &str, environment: Vec<(&'static str, String)>, database: &str) -> Kiln {
    let mut kiln = Kiln::new();
    kiln.set("KILN_STORE", url);
    kiln.set("KILN_LOCAL", kiln.work().with_file_name("local").display().to_string());
    kiln.set("KILN_DATABASE", database);
    environment.into_iter().for_each(|(name, value)| kiln.set(name, value));
    kiln
}

#[test]
fn the_same_answer_everywhere() {
    let (repo, commits) = history();
    let local = Kiln::new();
    let first = bisect(&local, &repo, &commits);
    assert_eq!(culprit(&first), commits[13], "{first:#}");

    let runtime = tokio::runtime::Runtime::new().unwrap();
    let folder = support::scratch();
    let s3 = runtime.block_on(S3::start(folder.path())).unwrap();
    let postgres = Postgres::shared().expect("PostgreSQL is not installed: tests/run does it");
    let database = postgres.database().unwrap();
    let shared = over("s3://kiln/shared", s3.environment(), &database);
    let second = bisect(&shared, &repo, &commits);
    assert_eq!(culprit(&second), commits[13], "{second:#}");

    // Another machine with the same bucket and database has nothing left to do.
    let other = over("s3://kiln/shared", s3.environment(), &database);
    let third = bisect(&other, &repo, &commits);
    assert_eq!(culprit(&third), commits[13]);
    assert_eq!(third["bill"]["builds_compiled"], 0, "{:#}", third["bill"]);
    assert_eq!(third["bill"]["runs_made"], 0, "{:#}", third["bill"]);

    // Neither has one to which everything was brought, through a folder in between.
    let between = folder.path().join("between");
    let between = between.to_str().unwrap();
    let exported = other.run(&["export", "--json", between]).exits(0).json();
    assert!(exported["builds"].as_u64() > Some(2) && exported["runs"].as_u64() > Some(2));
    let fresh = Kiln::new();
    let imported = fresh.run(&["import", "--json", between]).exits(0).json();
    assert_eq!(imported["builds"], exported["builds"]);
    assert_eq!(imported["runs"], exported["runs"]);
    let again = fresh.run(&["import", "--json", between]).exits(0).json();
    assert_eq!((&again["builds"], &again["bytes"]), (&0.into(), &0.into()));
    let fourth = bisect(&fresh, &repo, &commits);
    assert_eq!(culprit(&fourth), commits[13]);
    assert_eq!(fourth["bill"]["builds_compiled"], 0, "{:#}", fourth["bill"]);
    for kiln in [&local, &shared, &fresh] {
        kiln.run(&["verify", "--deep"]).exits(0);
    }
}

#[test]
fn the_same_answer_from_azure() {
    let Some(program) = Azurite::program() else {
        kiln_skip::skip(kiln_skip::Lack::Azurite, "azurite is not installed");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let azure = Azurite::start(&program, &folder.path().join("azure")).unwrap();
    let postgres = Postgres::shared().expect("PostgreSQL is not installed: tests/run does it");
    let database = postgres.database().unwrap();
    let (repo, commits) = history();
    let kiln = over("az://kiln/a/b", azure.environment(), &database);
    let answer = bisect(&kiln, &repo, &commits);
    assert_eq!(culprit(&answer), commits[13], "{answer:#}");
    kiln.run(&["pack"]).exits(0);
    kiln.run(&["verify", "--deep"]).exits(0);
    let other = over("az://kiln/a/b", azure.environment(), &database);
    let again = bisect(&other, &repo, &commits);
    assert_eq!(culprit(&again), commits[13]);
    assert_eq!(again["bill"]["builds_compiled"], 0, "{:#}", again["bill"]);
    // A container that is not there is not taken for one with other things in it.
    let nowhere = over("az://nowhere/a", azure.environment(), &postgres.database().unwrap());
    nowhere
        .run(&["build", "--repo", repo.arg(), "--build-command", "true", &commits[0]])
        .exits(1)
        .complains(&["az://nowhere/a", "opening"]);
}
