//! `kiln serve`: replicas, tokens, ranges, and an end that cuts nobody off.

mod support;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use kiln_cache::build_draft::PROVENANCE;
use kiln_cache::manifest::BuildResult;
use kiln_cache::{BuildDraft, BuildInput, Digest, InputKey, Location, Mark, Store, refutation};
use kiln_servers::{Postgres, S3};
use support::{Kiln, Repo, scratch};

/// A running `kiln serve`.
struct Served {
    child: Child,
    url: String,
}

impl Served {
    fn start(kiln: &Kiln, args: &[&str]) -> Self {
        let mut child = kiln
            .command()
            .args(["serve", "--listen", "127.0.0.1:0"])
            .args(args)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let url = line.trim().rsplit(' ').next().unwrap().to_owned();
        assert!(url.starts_with("http://"), "{line}");
        Self { child, url }
    }

    /// `curl` with the status behind the body.
    fn get(&self, path: &str, args: &[&str]) -> (String, String) {
        let output = Command::new("curl")
            .args(["--silent", "--show-error", "--write-out", "\n%{http_code}"])
            .args(args)
            .arg(format!("{}{path}", self.url))
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let (body, status) = text.rsplit_once('\n').unwrap();
        (status.to_owned(), body.to_owned())
    }

    fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args([name, &pid]).status().unwrap().success());
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ended = self.child.kill();
        let _ended = self.child.wait();
    }
}

/// A store with one build of one large file, and its commit.
fn with_a_build(kiln: &Kiln) -> (Repo, String) {
    let repo = Repo::new();
    let commit = repo.commit("first", &[("program", "x\n")]);
    let build = "head -c 40000000 /dev/urandom >\"$KILN_OUT/image\"";
    let args = ["build", "--repo", repo.arg(), "--build-command", build, &commit];
    kiln.run(&args).exits(0);
    (repo, commit)
}

fn token(kiln: &Kiln, args: &[&str]) -> (String, String) {
    let args: Vec<&str> =
        ["token", "create", "--json", "a test"].iter().chain(args).copied().collect();
    let made = kiln.run(&args).exits(0).json();
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    (text(&made["token"]["id"]), text(&made["secret"]))
}

#[test]
fn reading_is_open_unless_it_is_private() {
    let kiln = Kiln::new();
    let (_repo, commit) = with_a_build(&kiln);
    let path = format!("/v1/builds/{commit}");
    let open = Served::start(&kiln, &[]);
    assert_eq!(open.get(&path, &[]).0, "200");
    assert_eq!(open.get("/v1/builds/ffffffffff", &[]).0, "404");

    let private = Served::start(&kiln, &["--private"]);
    assert_eq!(private.get(&path, &[]).0, "401");
    assert_eq!(private.get("/healthz", &[]).0, "200");
    let (id, secret) = token(&kiln, &[]);
    let header = format!("Authorization: Bearer {secret}");
    assert_eq!(private.get(&path, &["--header", &header]).0, "200");
    let wrong = format!("Authorization: Bearer {secret}0");
    assert_eq!(private.get(&path, &["--header", &wrong]).0, "401");
    kiln.run(&["token", "revoke", &id]).exits(0);
    kiln.run(&["token", "revoke", "nobody"]).exits(3).complains(&["kiln token list"]);
    // A server may trust a token for two seconds more.
    std::thread::sleep(Duration::from_millis(2200));
    assert_eq!(private.get(&path, &["--header", &header]).0, "401");

    let metrics = open.get("/metrics", &[]).1;
    for line in [
        "kiln_lookups_total{result=\"hit\",why=\"found\"} 1",
        "kiln_lookups_total{result=\"miss\",why=\"unknown-name\"} 1",
        "kiln_requests_total{route=\"/v1/builds/{selector}\",status=\"404\"} 1",
    ] {
        assert!(metrics.contains(line), "'{line}' is not in:\n{metrics}");
    }
}

#[test]
fn ranges_tags_and_heads() {
    let kiln = Kiln::new();
    let (_repo, commit) = with_a_build(&kiln);
    let served = Served::start(&kiln, &[]);
    let path = format!("/v1/builds/{commit}/artifacts/image");
    assert_eq!(served.get(&path, &["--range", "39999990-", "--output", "/dev/null"]).0, "206");
    let across = "\n%{size_download}";
    let (length, _) = served.get(
        &path,
        &["--range", "1048570-1048585", "--output", "/dev/null", "--write-out", across],
    );
    assert_eq!(length, "16");
    let (status, head) = served.get(&path, &["--head"]);
    assert_eq!(status, "200");
    let head = head.to_ascii_lowercase();
    assert!(head.contains("content-length: 40000000"), "{head}");
    let tag = head.lines().find_map(|line| line.strip_prefix("etag: ")).unwrap().trim().to_owned();
    let header = format!("If-None-Match: {tag}");
    assert_eq!(served.get(&path, &["--header", &header]).0, "304");
    assert_eq!(served.get(&path, &["--range", "50000000-"]).0, "416");
}

#[test]
fn an_answer_that_is_under_way_is_finished() {
    let kiln = Kiln::new();
    let (_repo, commit) = with_a_build(&kiln);
    let mut served = Served::start(&kiln, &[]);
    let address = served.url.strip_prefix("http://").unwrap().to_owned();
    let mut client = TcpStream::connect(&address).unwrap();
    let request = format!(
        "GET /v1/builds/{commit}/artifacts/image HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    );
    client.write_all(request.as_bytes()).unwrap();
    let mut begun = vec![0; 100_000];
    client.read_exact(&mut begun).unwrap();
    served.signal("-TERM");
    // It takes no new clients from now on.
    let asked = Instant::now();
    while TcpStream::connect(&address).is_ok() {
        assert!(asked.elapsed() < Duration::from_secs(30), "new clients are still accepted");
        std::thread::sleep(Duration::from_millis(20));
    }
    let mut rest = Vec::new();
    client.read_to_end(&mut rest).unwrap();
    assert!(begun.len() + rest.len() > 40_000_000, "{}", begun.len() + rest.len());
    assert_eq!(served.child.wait().unwrap().code(), Some(0));
}

#[test]
fn replicas_over_one_database_answer_for_each_other() {
    let database =
        Postgres::shared().expect("PostgreSQL: tests/run installs it").database().unwrap();
    let mut kiln = Kiln::new();
    kiln.set("KILN_DATABASE", database);
    let replicas = [Served::start(&kiln, &[]), Served::start(&kiln, &[])];
    let (_repo, commit) = with_a_build(&kiln);
    for replica in &replicas {
        assert_eq!(replica.get(&format!("/v1/builds/{commit}"), &[]).0, "200");
    }
    let (_, secret) = token(&kiln, &["--write"]);
    let header = format!("Authorization: Bearer {secret}");
    for replica in &replicas {
        assert_eq!(replica.get("/v1/token", &["--header", &header]).0, "200");
        assert_eq!(replica.get("/v1/token", &[]).0, "401");
    }
    let (_, reader) = token(&kiln, &[]);
    let header = format!("Authorization: Bearer {reader}");
    assert_eq!(replicas[0].get("/v1/token", &["--header", &header]).0, "403");
}

#[test]
fn a_build_is_fetched_before_it_is_compiled() {
    let (server, client) = (Kiln::new(), Kiln::new());
    let (repo, commit) = with_a_build(&server);
    let build = "head -c 40000000 /dev/urandom >\"$KILN_OUT/image\"";
    let made = server.run(&["show", "--json", &commit]).exits(0).json();
    let served = Served::start(&server, &[]);
    let ask = |url: &str| {
        let args = ["build", "--json", "--repo", repo.arg(), "--build-command", build];
        client.run(&args.iter().chain(&["--remote", url, &commit]).collect::<Vec<_>>())
    };
    // A cache that is down costs one line and a moment.
    let down = Kiln::new();
    let begun = Instant::now();
    let args = ["build", "--json", "--repo", repo.arg(), "--build-command", "echo x >$KILN_OUT/x"];
    let alone = down
        .run(&args.iter().chain(&["--remote", "http://127.0.0.1:1", &commit]).collect::<Vec<_>>());
    let alone = alone.exits(0).complains(&["http://127.0.0.1:1", "building without it"]);
    assert_eq!(alone.json()["obtained"], "compiled");
    assert!(begun.elapsed() < Duration::from_secs(20));

    let fetched = ask(&served.url).exits(0).json();
    // Random bytes: nothing but fetching gives the same.
    assert_eq!(fetched["artifacts"], made["artifacts"]);
    assert_eq!(fetched["obtained"], "input");
    client.run(&["verify", "--deep"]).exits(0);
}

#[test]
fn what_rests_on_a_refuted_proof_is_not_given_out() {
    let kiln = Kiln::new();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let store = runtime.block_on(Store::open(&Location::folder(kiln.store()))).unwrap();
    let closure = Digest::of(b"closure");
    let said = format!(r#"{{"stage":"tokens","from":"{closure}","closure":"{closure}"}}"#);
    let files = scratch();
    let artifacts = [("image", "an image"), (PROVENANCE, said.as_str())];
    let artifacts = artifacts.map(|(name, text)| {
        std::fs::write(files.path().join(name), text).unwrap();
        (name.to_owned(), files.path().join(name))
    });
    let input = BuildInput {
        tree: "1".repeat(40),
        config: Digest::of(b"config"),
        arch: "x86_64".into(),
        toolchain: Digest::of(b"toolchain"),
        recipe: "1".into(),
        targets: vec!["image".into()],
    };
    let draft = BuildDraft {
        request_key: InputKey(Digest::of(b"request")),
        family_key: InputKey(Digest::of(b"family")),
        commit: "2".repeat(40),
        input,
        result: BuildResult::Built,
        artifacts: artifacts.into(),
        compiler: "a fake".into(),
        seconds: 1.0,
    };
    let build = runtime.block_on(store.add_build(draft)).unwrap();
    let served = Served::start(&kiln, &[]);
    let paths = [
        format!("/v1/requests/{}", build.request_key),
        format!("/v1/builds/{}", build.commit),
        format!("/v1/builds/{}", build.input_key),
        format!("/v1/builds/{}/artifacts/image", build.commit),
    ];
    for path in &paths {
        assert_eq!(served.get(path, &[]).0, "200", "{path}");
    }
    runtime.block_on(store.mark(Mark::Revoked, &refutation(&closure, "tokens"))).unwrap();
    // What others mark is seen after five seconds, and an answer is given again for one.
    std::thread::sleep(Duration::from_millis(6200));
    for path in &paths {
        assert_eq!(served.get(path, &[]).0, "404", "{path}");
    }
    let metrics = served.get("/metrics", &[]).1;
    assert!(metrics.contains("result=\"miss\",why=\"refuted\"} 1"), "{metrics}");
}

/// A client that sends a file by hand.
fn sender(served: &Served, digest: &Digest, length: usize) -> TcpStream {
    let address = served.url.strip_prefix("http://").unwrap();
    let mut client = TcpStream::connect(address).unwrap();
    client.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let head =
        format!("PUT /v1/blobs/{digest} HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n");
    client.write_all(head.as_bytes()).unwrap();
    client
}

/// The status that a client gets.
fn status(client: &mut TcpStream) -> String {
    let mut line = String::new();
    BufReader::new(client).read_line(&mut line).unwrap();
    line.split(' ').nth(1).unwrap_or_default().to_owned()
}

/// Waits until so many bytes of an upload have come, which therefore has its turn.
fn wait_for_bytes(kiln: &Kiln, bytes: u64) {
    let begun = Instant::now();
    let has_come = || {
        let entries = std::fs::read_dir(kiln.store()).unwrap().flatten();
        let mut staged = entries.filter(|it| it.file_name().to_string_lossy().starts_with(".tmp"));
        staged.any(|it| it.metadata().is_ok_and(|it| it.len() == bytes))
    };
    while !has_come() {
        assert!(begun.elapsed() < Duration::from_secs(60), "{bytes} bytes never came");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn several_uploads_of_one_file_cost_one() {
    let kiln = Kiln::new();
    let served = Served::start(&kiln, &[]);
    let content: Vec<u8> = (0..3_000_000_u64).map(|i| (i * i % 251) as u8).collect();
    let digest = Digest::of(&content);
    let mut broken = sender(&served, &digest, content.len());
    broken.write_all(&content[..1_000_000]).unwrap();
    // The second waits for the first, which breaks off, and sends all of it.
    wait_for_bytes(&kiln, 1_000_000);
    let mut second = sender(&served, &digest, content.len());
    std::thread::sleep(Duration::from_millis(300));
    drop(broken);
    second.write_all(&content[..2_000_000]).unwrap();
    // The third sends nothing; and who asks learns of it when it is there.
    wait_for_bytes(&kiln, 2_000_000);
    let mut third = sender(&served, &digest, content.len());
    std::thread::scope(|scope| {
        let asked = scope.spawn(|| served.get(&format!("/v1/blobs/{digest}"), &["--head"]).0);
        std::thread::sleep(Duration::from_millis(2000));
        assert!(!asked.is_finished(), "it is on its way");
        second.write_all(&content[2_000_000..]).unwrap();
        assert_eq!(status(&mut second), "201");
        assert_eq!(status(&mut third), "200");
        assert_eq!(asked.join().unwrap(), "200");
    });
    let metrics = served.get("/metrics", &[]).1;
    for line in
        ["kiln_uploads_total{result=\"stored\"} 1", "kiln_uploads_total{result=\"merged\"} 1"]
    {
        assert!(metrics.contains(line), "'{line}' is not in:\n{metrics}");
    }
}

#[test]
fn a_pull_goes_to_the_bucket_and_is_proven_here() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let s3 = runtime.block_on(S3::start(folder.path())).unwrap();
    let mut kiln = Kiln::new();
    kiln.set("KILN_STORE", "s3://kiln/redirects");
    kiln.set("KILN_LOCAL", kiln.work().with_file_name("local").display().to_string());
    s3.environment().into_iter().for_each(|(name, value)| kiln.set(name, value));
    // Without a database that others may use nobody packs or collects.
    for command in ["pack", "gc"] {
        kiln.run(&[command]).exits(9).complains(&["bucket", "--database postgres://"]);
    }
    let postgres = Postgres::shared().expect("PostgreSQL is not installed: tests/run does it");
    kiln.set("KILN_DATABASE", postgres.database().unwrap());
    let repo = Repo::new();
    // Two builds of one file that differ a little: one becomes a difference to the other.
    let build = "seq 1 400000 >\"$KILN_OUT/image\"; cat program >>\"$KILN_OUT/image\"";
    let commits = ["one", "two"].map(|text| {
        let commit = repo.commit(text, &[("program", text)]);
        let args = ["build", "--repo", repo.arg(), "--build-command", build, &commit];
        kiln.run(&args).exits(0);
        commit
    });
    let packed = kiln.run(&["pack", "--json"]).exits(0).json();
    assert_eq!(packed["deltas"], 1, "{packed:#}");
    let served = Served::start(&kiln, &[]);
    let client = Kiln::new();
    let sent = |served: &Served| {
        let metrics = served.get("/metrics", &[]).1;
        let find = |name: &str| metrics.lines().find_map(|line| line.strip_prefix(name));
        let number = |name| find(name).map_or(0, |text| text.trim().parse::<u64>().unwrap());
        let redirects = "kiln_blobs_total{result=\"hit\",why=\"redirected\"} ";
        (number(redirects), number("kiln_blob_bytes_sent_total "))
    };
    let place = folder.path().join("out");
    let place = place.to_str().unwrap();
    for (commit, text) in commits.iter().zip(["one", "two"]) {
        client.run(&["pull", commit, "image", "-o", place, "--remote", &served.url]).exits(0);
        assert!(std::fs::read(place).unwrap().ends_with(text.as_bytes()));
    }
    assert_eq!(sent(&served), (3, 0), "both, and what one of them rests on");
    // Nothing is left beside them.
    let left = std::fs::read_dir(folder.path()).unwrap().filter(|entry| {
        entry.as_ref().unwrap().file_name().to_string_lossy().starts_with(".kiln-pull")
    });
    assert_eq!(left.count(), 0);
    // A Kiln that sends nobody elsewhere sends the bytes.
    let direct = Served::start(&kiln, &["--no-redirects"]);
    client.run(&["pull", &commits[0], "image", "-o", place, "--remote", &direct.url]).exits(0);
    let (redirects, bytes) = sent(&direct);
    assert!(redirects == 0 && bytes > 2_000_000);
}

/// Files go, or go bad, behind the back of a server that has them open.
#[test]
fn what_is_gone_or_wrong_is_sent_again() {
    let (kiln, client) = (Kiln::new(), Kiln::new());
    let served = Served::start(&kiln, &["--pack-every", "0"]);
    let folder = scratch();
    // Marsaglia's xorshift: it hardly compresses.
    let mut state = 1_u64;
    let content: Vec<u8> = std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    })
    .take(3_000_000)
    .collect();
    std::fs::write(folder.path().join("image"), &content).unwrap();
    let place = folder.path().to_str().unwrap();
    let push = || {
        let pushed = client.run(&["push", place, "--remote", &served.url, "--json"]);
        pushed.exits(0).json()[0]["digest"].as_str().unwrap().to_owned()
    };
    let digest = push();
    assert_eq!(push(), digest, "it is open now");
    let blob = kiln.store().join("blobs").join(&digest[..2]).join(&digest);
    // Somebody collected garbage on another machine.
    std::fs::remove_file(&blob).unwrap();
    std::fs::remove_dir_all(kiln.store().join("builds")).unwrap();
    push();
    assert!(blob.exists());
    // A disk forgot a bit.
    let mut stored = std::fs::read(&blob).unwrap();
    stored[1_500_000] ^= 1;
    std::fs::write(&blob, stored).unwrap();
    push();
    let out = folder.path().join("out");
    client.run(&["pull", &digest, "--remote", &served.url, "-o", out.to_str().unwrap()]).exits(0);
    assert!(std::fs::read(out).unwrap() == content);
    kiln.run(&["verify", "--deep"]).exits(0);
}
