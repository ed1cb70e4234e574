//! The whole of Kiln on real kernels: a flaky regression is planted in Debian's kernel, built,
//! booted in QEMU, and found; then everything that was kept is asked for again.
//!
//! Building kernels takes minutes, so these tests share one store and run in one order: the test
//! at the bottom calls them as steps.

// What came by chance is said.
#![allow(clippy::print_stderr)]

mod support;

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use serde_json::Value;
use support::{Kiln, root};

/// The planted history.
struct Plants {
    repo: PathBuf,
    history: Value,
}

impl Plants {
    /// Writes the history of a seed, or says why these tests can't run.
    fn new(seed: u64) -> Option<Self> {
        let (Some(generator), Some(repo)) =
            (std::env::var_os("KILN_FIXTURE"), std::env::var_os("KILN_FIXTURE_REPO"))
        else {
            kiln_skip::skip(kiln_skip::Lack::History, "KILN_FIXTURE is not set: tests/run sets it");
            return None;
        };
        let output = Command::new(generator)
            .args(["history", "--json", "--seed", &seed.to_string(), "--repo"])
            .arg(&repo)
            .output()
            .expect("the generator runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let history = serde_json::from_slice(&output.stdout).expect("the generator prints JSON");
        Some(Self { repo: repo.into(), history })
    }

    fn id(&self, name: &str) -> &str {
        self.history[name].as_str().unwrap_or_else(|| panic!("no '{name}' in {:#}", self.history))
    }

    fn bisect(&self) -> Vec<String> {
        let config = root().join("tests/fixtures/tiny.config");
        ["bisect", "--json", "--repo", self.repo.to_str().unwrap(), "--good", self.id("good")]
            .into_iter()
            .chain(["--bad", self.id("bad"), "--config", config.to_str().unwrap()])
            .chain(["--reproducer", self.id("reproducer")])
            // The default leaves room for one wrong answer in twenty: too many for a test.
            .chain(["--confidence", "0.99"])
            .map(str::to_owned)
            .collect()
    }
}

#[test]
fn a_planted_regression_from_nothing_to_a_served_artifact() {
    let Some(plants) = Plants::new(1) else { return };
    let (kiln, record) = the_culprit_is_found(&plants);
    asked_again_it_answers_from_the_cache(&kiln, &plants);
    builds_are_weighed_by_what_they_make(&kiln, &record);
    the_log_has_the_fields_of_syzbots(&kiln, &plants, &record);
    signatures_equal_an_independent_script(&kiln, &plants);
    config_changes_are_told(&kiln, &plants);
    an_interrupted_pull_resumes(&kiln, &plants);
    a_lost_kernel_is_built_again(&kiln, &plants);
    kiln.run(&["verify", "--deep"]).exits(0);
}

/// The bug and the kernels are real, and so is chance: about one bisection in a hundred ends
/// without an answer, and must hold the culprit among the suspects then; one in a hundred may be
/// wrong, which is what `--confidence 0.99` says. The next one starts with nothing; two such in a
/// row are no chance.
fn the_culprit_is_found(plants: &Plants) -> (Kiln, Value) {
    const INCONCLUSIVE: i32 = 5;
    let mut kiln = Kiln::new();
    let named = |answer: &Value| answer["answer"]["commit"]["id"] == plants.id("culprit");
    let mut said = kiln.run(&plants.bisect());
    let is_chance = match said.code {
        INCONCLUSIVE => {
            let answer = &said.json()["answer"];
            eprintln!("inconclusive: {}", answer["why"]);
            let culprit = plants.id("culprit");
            let suspects = answer["credible"].as_array().expect("suspects");
            assert!(suspects.iter().any(|one| one[0]["id"] == culprit), "{answer:#}");
            true
        }
        0 if !named(&said.json()) => {
            eprintln!("wrong: {:#}", said.json()["answer"]);
            true
        }
        _ => false,
    };
    if is_chance {
        kiln = Kiln::new();
        said = kiln.run(&plants.bisect());
    }
    let answer = said.exits(0).json();
    assert!(named(&answer), "{answer:#}");
    assert_eq!(answer["target"], plants.id("title"), "{answer:#}");
    let bill = &answer["bill"];
    // Of 64 commits. How many depends on chance, and on what builds and boots take here.
    assert!(bill["builds_compiled"].as_u64().unwrap() <= 24, "{bill:#}");
    (kiln, answer)
}

fn asked_again_it_answers_from_the_cache(kiln: &Kiln, plants: &Plants) {
    let begun = Instant::now();
    let answer = kiln.run(&plants.bisect()).exits(0).json();
    assert_eq!(answer["answer"]["commit"]["id"], plants.id("culprit"));
    assert_eq!(answer["bill"]["builds_compiled"], 0, "{:#}", answer["bill"]);
    assert_eq!(answer["bill"]["runs_made"], 0, "{:#}", answer["bill"]);
    // Not a measurement: a compile or a boot hidden anywhere would take longer than this.
    assert!(begun.elapsed().as_secs() < 40, "{:?}", begun.elapsed());
}

fn builds_are_weighed_by_what_they_make(kiln: &Kiln, record: &Value) {
    let id = record["id"].as_str().unwrap();
    let show = kiln.run(&["bisect", "show", id, "--json"]).exits(0).json();
    let events = show["events"].as_array().expect("events").iter().map(|it| &it["event"]);
    // Seconds with their commits; the pair that the first decision finds was built in.
    let told: Vec<&Value> = events
        .filter(|it| it["event"] == "decided")
        .filter_map(|it| it["builds"].as_array())
        .flatten()
        .collect();
    let seconds: Vec<f64> = told.iter().map(|it| it[0].as_f64().unwrap()).collect();
    let least = seconds.iter().copied().fold(f64::MAX, f64::min);
    let most = seconds.iter().copied().fold(0.0, f64::max);
    assert!(least > 0.0 && most > 2.0 * least, "{told:?}");
}

fn the_log_has_the_fields_of_syzbots(kiln: &Kiln, plants: &Plants, record: &Value) {
    let log = kiln.run(&["bisect", "log", record["id"].as_str().unwrap()]).exits(0).stdout;
    let culprit = plants.id("culprit");
    let has = |what: &str, found: bool| assert!(found, "{what} is missing in\n{log}");
    let starts = |start: &str| log.lines().any(|line| line.starts_with(start));
    has("the start", starts(&format!("bisecting cause commit starting from {}", plants.id("bad"))));
    has("the culprit's test", starts(&format!("testing commit {culprit}")));
    has("the compiler", starts("compiler: gcc"));
    has("the runs", log.contains("crashed: ") && (starts("run #0: ") || starts("all runs: ")));
    for signature in ["kernel signature: ", "culprit signature: ", "parent  signature: "] {
        let value = log.lines().find_map(|line| line.strip_prefix(signature));
        has(
            signature,
            value.is_some_and(|v| v.len() == 64 && v.bytes().all(|b| b.is_ascii_hexdigit())),
        );
    }
    let totals = log.lines().find(|line| line.starts_with("revisions tested: "));
    has("the totals", totals.is_some_and(|t| t.contains("(build: ") && t.contains(", test: ")));
    has("the answer", starts(&format!("first bad commit: {culprit} ")));
    has("the crash", starts(&format!("crash: {}", plants.id("title"))));
}

fn pull(kiln: &Kiln, build: &str, name: &str, to: &Path) {
    kiln.run(&["pull", build, name, "-o", to.to_str().unwrap()]).exits(0);
}

fn signatures_equal_an_independent_script(kiln: &Kiln, plants: &Plants) {
    let folder = support::scratch();
    let script = root().join("tests/end_to_end/syzkaller_signature.py");
    let mut seen = Vec::new();
    for end in ["culprit", "bad"] {
        let vmlinux = folder.path().join(end);
        pull(kiln, plants.id(end), "vmlinux", &vmlinux);
        let args = ["sign", "--kind", "syzkaller", vmlinux.to_str().unwrap()];
        let ours = kiln.run(&args).exits(0).stdout;
        let theirs = Command::new("python3").arg(&script).arg(&vmlinux).output().unwrap();
        assert!(theirs.status.success(), "{theirs:?}");
        assert_eq!(ours, String::from_utf8_lossy(&theirs.stdout), "{end}");
        let shown = kiln.run(&["show", "--json", plants.id(end)]).exits(0).json();
        assert_eq!(
            shown["signatures"]["syzkaller"]["hash"],
            ours.trim(),
            "the store computes the same"
        );
        seen.push(ours);
    }
    assert_ne!(seen[0], seen[1], "two kernels, two signatures");
}

fn a_lost_kernel_is_built_again(kiln: &Kiln, plants: &Plants) {
    let build = kiln.run(&["show", "--json", plants.id("bad")]).exits(0).json();
    let digest = build["artifacts"]
        .as_array()
        .and_then(|files| files.iter().find(|file| file["name"] == "vmlinux"))
        .and_then(|file| file["digest"].as_str())
        .unwrap();
    let blob = kiln.store().join("blobs").join(&digest[..2]).join(digest);
    let mut stored = std::fs::read(&blob).unwrap();
    let middle = stored.len() / 2;
    stored[middle] ^= 1;
    std::fs::write(&blob, stored).unwrap();
    kiln.run(&["verify", "--deep"]).exits(8);
    let repo = plants.repo.to_str().unwrap();
    let said = kiln.run(&["verify", "--rebuild", repo]).exits(0);
    assert!(said.stdout.contains("rebuilt    1 builds"), "{said:#?}");
    assert!(blob.exists());
}

fn config_changes_are_told(kiln: &Kiln, plants: &Plants) {
    let folder = support::scratch();
    let config = folder.path().join("config");
    let tiny = std::fs::read_to_string(root().join("tests/fixtures/tiny.config")).unwrap();
    std::fs::write(&config, tiny + "CONFIG_THERE_IS_NO_SUCH_OPTION=y\n").unwrap();
    let (repo, config) = (plants.repo.to_str().unwrap(), config.to_str().unwrap());
    kiln.run(&["build", plants.id("bad"), "--strict-config", "--repo", repo, "--config", config])
        .exits(1)
        .complains(&["THERE_IS_NO_SUCH_OPTION"]);
    // Without --strict-config it is a note, and the build is the one already known.
    let built = kiln
        .run(&["build", plants.id("bad"), "--json", "--repo", repo, "--config", config])
        .exits(0)
        .json();
    assert_eq!(built["obtained"], "input", "the normalized configuration is the same");
    assert!(built["notes"].to_string().contains("THERE_IS_NO_SUCH_OPTION"), "{built:#}");
}

/// A server that ends with the test.
struct Served {
    child: Child,
    address: String,
}

impl Served {
    fn new(kiln: &Kiln) -> Self {
        let mut child = kiln
            .command()
            .args(["serve", "--json", "--listen", "127.0.0.1:0"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdout = child.stdout.take().unwrap();
        let mut text = String::new();
        while !text.contains('}') {
            let mut byte = [0];
            assert_eq!(stdout.read(&mut byte).unwrap(), 1, "the server ended: {text}");
            text.push(char::from(byte[0]));
        }
        let answer: Value = serde_json::from_str(&text).unwrap();
        let address = answer["url"].as_str().unwrap().strip_prefix("http://").unwrap().to_owned();
        Self { child, address }
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn an_interrupted_pull_resumes(kiln: &Kiln, plants: &Plants) {
    let folder = support::scratch();
    let (whole, pulled) = (folder.path().join("whole"), folder.path().join("bzImage"));
    pull(kiln, plants.id("bad"), "bzImage", &whole);
    let whole = std::fs::read(&whole).unwrap();
    let served = Served::new(kiln);

    // A proxy that cuts the first body in the middle and counts what it passes on afterwards.
    let cut = Cutter::before(&served.address, whole.len() / 2);
    let remote = format!("http://{}", cut.address);
    let client = Kiln::new();
    let args =
        ["pull", plants.id("bad"), "bzImage", "--remote", &remote, "-o", pulled.to_str().unwrap()];
    let mut attempts = 0;
    while attempts < 3 && client.run(&args).code != 0 {
        attempts += 1;
        assert!(!pulled.exists(), "a cut transfer must not look whole");
    }
    assert_eq!(std::fs::read(&pulled).unwrap(), whole);
    assert!(cut.ranged(), "the second request asks for the rest only");

    // A real client that knows nothing of Kiln: curl, with a range.
    let url = format!("http://{}/v1/builds/{}/artifacts/bzImage", served.address, plants.id("bad"));
    let output = Command::new("curl").args(["-sf", "-r", "1000-1999", &url]).output().unwrap();
    assert_eq!(output.stdout, &whole[1000..2000]);
}

/// A proxy on loopback: the first answer that is longer than `limit` is cut there.
struct Cutter {
    address: String,
    ranged: std::sync::Arc<std::sync::atomic::AtomicBool>,
}

impl Cutter {
    fn before(server: &str, limit: usize) -> Self {
        use std::sync::atomic::{AtomicBool, Ordering};
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let ranged = std::sync::Arc::new(AtomicBool::new(false));
        let (server, saw) = (server.to_owned(), std::sync::Arc::clone(&ranged));
        std::thread::spawn(move || {
            let mut cut = false;
            for client in listener.incoming().flatten() {
                pass(client, &server, limit, &mut cut, &saw);
            }
        });
        return Self { address, ranged };

        fn pass(
            mut client: TcpStream,
            server: &str,
            limit: usize,
            cut: &mut bool,
            saw: &AtomicBool,
        ) {
            let mut request = Vec::new();
            let mut byte = [0];
            while !request.ends_with(b"\r\n\r\n") {
                match client.read(&mut byte) {
                    Ok(1) => request.push(byte[0]),
                    _ => return,
                }
            }
            let text = String::from_utf8_lossy(&request).to_lowercase();
            if text.contains("\r\nrange:") && !text.contains("range: bytes=0-") {
                saw.store(true, Ordering::SeqCst);
            }
            // One request a connection keeps the proxy simple.
            let text =
                String::from_utf8_lossy(&request).replacen("\r\n", "\r\nConnection: close\r\n", 1);
            let Ok(mut upstream) = TcpStream::connect(server) else { return };
            if upstream.write_all(text.as_bytes()).is_err() {
                return;
            }
            let mut answer = Vec::new();
            let _ = upstream.read_to_end(&mut answer);
            let length = if !*cut && answer.len() > limit { limit } else { answer.len() };
            *cut |= length < answer.len();
            let _ = client.write_all(&answer[..length]);
        }
    }

    fn ranged(&self) -> bool {
        self.ranged.load(std::sync::atomic::Ordering::SeqCst)
    }
}
