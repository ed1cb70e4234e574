//! The store as its users meet it: what `push`, `ls`, `pull`, `show` and `gc` say and refuse.

mod support;

use serde_json::Value;
use support::{Kiln, scratch};

/// Bytes that hardly compress, the same for the same seed.
fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed;
    let mut next = || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    (0..len).map(|_| next()).collect()
}

/// A folder of files.
fn folder(files: &[(&str, &[u8])]) -> (tempfile::TempDir, String) {
    let folder = scratch();
    for (name, content) in files {
        std::fs::write(folder.path().join(name), content).unwrap();
    }
    let path = folder.path().to_str().unwrap().to_owned();
    (folder, path)
}

/// Pushes a folder of files; gives what `push --json` says of the first.
fn pushed(kiln: &Kiln, files: &[(&str, &[u8])], args: &[&str]) -> Value {
    let (_folder, path) = folder(files);
    let args: Vec<&str> = ["push", &path, "--json"].iter().chain(args).copied().collect();
    kiln.run(&args).exits(0).json()[0].clone()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

#[test]
fn most_builds_go_only_when_it_is_said() {
    let kiln = Kiln::new();
    let builds: Vec<_> =
        (0..3).map(|n| pushed(&kiln, &[("image", &noise(n, 50_000))], &[])).collect();
    let quota = ["gc", "--quota", "60k"];
    let dry = kiln.run(&["gc", "--quota", "60k", "--most-may-go", "--dry-run"]).exits(0);
    assert!(dry.stdout.contains("frees") && dry.stdout.contains("2 would go"), "{dry:?}");
    let dry = kiln.run(&["gc", "--quota", "60k", "--dry-run"]).exits(9);
    assert!(dry.stdout.contains("0 would go, 3 stay"), "{dry:?}");
    let none = kiln.run(&quota).exits(9);
    assert_eq!(none.stdout, dry.stdout.replace("would go", "went"));
    none.complains(&["60.0 kB", "2 of 3 builds", "--quota 1", "--most-may-go"]);
    let json = kiln.run(&[&quota[..], &["--json"]].concat()).exits(9).json();
    assert_eq!((&json["refused"]["going"], json["gone"].as_array().unwrap().len()), (&2.into(), 0));
    for build in &builds {
        kiln.run(&["show", text(&build["build"])]).exits(0);
    }
    // The file of the policy says it, too: whoever collects by it needs no command line.
    let policy = kiln.store().with_file_name("retention.toml");
    std::fs::write(&policy, "quota = \"60k\"\nmost-may-go = true\n").unwrap();
    let gone = kiln.run(&["gc", "--policy", policy.to_str().unwrap(), "--json"]).exits(0).json();
    assert_eq!(gone["gone"].as_array().unwrap().len(), 2);
    let freed = gone["gone"].as_array().unwrap().iter().map(|it| it["freed"].as_u64().unwrap());
    assert_eq!(freed.sum::<u64>(), gone["freed_bytes"].as_u64().unwrap());
}

#[test]
fn builds_are_listed_and_found_by_what_the_list_shows() {
    let kiln = Kiln::new();
    let commit = "0123456789abcdef0123456789abcdef01234567";
    kiln.run(&["ls"]).exits(3);
    let untold = pushed(&kiln, &[("image", b"one"), (".config", b"A=y\n")], &[]);
    let told = pushed(&kiln, &[("image", b"two")], &["--commit", commit]);
    kiln.run(&["pin", text(&told["build"])]).exits(0);
    let list = kiln.run(&["ls"]).exits(0).stdout;
    assert!(list.lines().all(|line| line.chars().count() <= 80), "{list}");
    let row = |key: &Value| list.lines().find(|line| line.starts_with(&text(key)[..12])).unwrap();
    assert!(row(&told["build"]).contains("0123456789ab  pushed"), "{list}");
    assert!(row(&told["build"]).ends_with("pin"), "{list}");
    assert!(row(&untold["build"]).contains("  -             pushed"), "{list}");
    // What it shows names the build.
    kiln.run(&["show", row(&untold["build"]).split(' ').next().unwrap()]).exits(0);
    let list = |args: &[&str]| {
        let all = kiln.run(&[&["ls", "--json"], args].concat()).exits(0).json();
        all.as_array()
            .unwrap()
            .iter()
            .map(|it| text(&it["input_key"]).to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(list(&[]).len(), 2);
    assert_eq!(list(&["--pinned"]), [text(&told["build"])]);
    assert_eq!(list(&["--commit", &commit[..9]]), [text(&told["build"])]);
    assert_eq!(list(&["--like", text(&told["build"])]), [text(&told["build"])]);
    assert_eq!(list(&["--failed"]), [""; 0]);
    let first = kiln.run(&["ls", "-n", "1"]).exits(0).complains(&["--limit 0"]);
    assert_eq!(first.stdout.lines().count(), 2);
}

#[test]
fn a_file_is_pulled_by_a_part_of_its_digest_and_a_build_says_what_it_has() {
    let kiln = Kiln::new();
    let place = scratch();
    let out = place.path().to_str().unwrap();
    let files: [(&str, &[u8]); 2] = [("image", b"one"), (".config", b"A=y\n")];
    let build = pushed(&kiln, &files, &[]);
    let (key, digest) = (text(&build["build"]), text(&build["digest"]));
    // Into a folder, which stays one.
    let pulled = kiln.run(&["pull", &digest[..12], "-o", out, "--json"]).exits(0).json();
    assert_eq!(std::fs::read(place.path().join(digest)).unwrap(), b"A=y\n", "{pulled}");
    kiln.run(&["pull", &key[..12], "image", "-o", out]).exits(0);
    assert_eq!(std::fs::read(place.path().join("image")).unwrap(), b"one");
    // Nobody named this file.
    std::fs::write(place.path().join("image"), "my own").unwrap();
    kiln.run(&["pull", &key[..12], "image", "-o", out]).exits(1).complains(&["is here already"]);
    // So does the whole key that `push` printed, which looks like the digest of a file.
    for name in [key, &format!("input:{key}")] {
        kiln.run(&["pull", name]).exits(1).complains(&["which file", ".config"]);
    }
    kiln.run(&["pull", &format!("image:{}", &digest[..12])]).exits(3);
    kiln.run(&["pull", &"0".repeat(64)]).exits(3).complains(&["blob", "is not in this store"]);
    let asked = kiln.run(&["pull", &key[..12]]).exits(1);
    let said = asked.complains(&["which file", "It has 2:", "3 B  image", ".config", "--all"]);
    assert!(said.stderr.lines().all(|line| line.chars().count() <= 80), "{said:?}");
    let all = place.path().join("all");
    kiln.run(&["pull", key, "--all", "-o", all.to_str().unwrap()]).exits(0);
    for (name, content) in files {
        assert_eq!(std::fs::read(all.join(name)).unwrap(), content);
    }
    // A file is no build, and the error knows which it is of.
    kiln.run(&["show", &digest[..12]]).exits(3).complains(&[".config", &key[..12], "kiln pull"]);
    kiln.run(&["pull", "00000000"]).exits(3).complains(&["kiln ls"]);
}

#[test]
fn a_name_of_several_builds_is_no_question_where_they_have_one_file() {
    let kiln = Kiln::new();
    let commit = ["--commit", "0123456789abcdef0123456789abcdef01234567"];
    pushed(&kiln, &[("image", b"same"), ("log", b"1")], &commit);
    pushed(&kiln, &[("image", b"same"), ("log", b"2")], &commit);
    pushed(&kiln, &[("other", b"3")], &commit);
    let get = |name| kiln.run(&["pull", commit[1], name, "-o", "-"]);
    assert_eq!(get("image").exits(0).stdout, "same");
    assert_eq!(get("other").exits(0).stdout, "3");
    get("log").exits(1).complains(&["ambiguous", "input:"]);
    get("none").exits(1);
}

#[test]
fn nothing_is_made_up_for_a_pushed_build() {
    let kiln = Kiln::new();
    let commits = ["0123456789abcdef0123456789abcdef01234567", "89".repeat(20).as_str()]
        .map(ToOwned::to_owned);
    let build = pushed(&kiln, &[("image", b"one")], &[]);
    let shown = |name: &str| kiln.run(&["show", name]).exits(0).stdout;
    let first = shown(text(&build["build"]));
    assert!(first.starts_with("commit     not told"), "{first}");
    assert!(!first.contains("compiled in") && !first.contains("tree "), "{first}");
    // The same files again, with their commits.
    for commit in &commits {
        let again = pushed(&kiln, &[("image", b"one")], &["--commit", commit]);
        assert_eq!(again["build"], build["build"]);
    }
    let later = shown(text(&build["build"]));
    assert!(commits.iter().all(|commit| later.contains(commit.as_str())), "{later}");
    let asked = shown(&commits[0]);
    assert_eq!(asked.matches(commits[0].as_str()).count(), 1, "{asked}");
}

#[test]
fn a_push_that_may_mean_something_else_is_refused() {
    let kiln = Kiln::new();
    let (_one, one) = folder(&[("image", b"1")]);
    let (_two, two) = folder(&[("image", b"2")]);
    let commit = "0123456789abcdef0123456789abcdef01234567";
    let outside = scratch();
    let push = |args: &[&str]| {
        let repo = ["push", "--repo", outside.path().to_str().unwrap()];
        kiln.run(&[&repo[..], args].concat())
    };
    push(&[&one, &two, "--commit", commit]).exits(1).complains(&["2 builds", "--commit"]);
    push(&[&one, "--commit", "12345"]).exits(1).complains(&["12345", "40 digits"]);
    let (a, b) = (format!("{one}/image"), format!("{two}/image"));
    push(&[&a, &b]).exits(1).complains(&[&a, &b, "one name"]);
    kiln.run(&["ls"]).exits(3);
    push(&[&one, &two]).exits(0);
    push(&[&one, "--commit", commit]).exits(0);
}

#[test]
fn damage_is_told_once_with_the_way_out_which_leads_out() {
    let kiln = Kiln::new();
    let (_folder, path) = folder(&[("image", &noise(1, 50_000))]);
    let build = kiln.run(&["push", &path, "--json"]).exits(0).json()[0].clone();
    let (key, digest) = (text(&build["build"]), text(&build["digest"]));
    let blob = kiln.store().join("blobs").join(&digest[..2]).join(digest);
    let mut bytes = std::fs::read(&blob).unwrap();
    bytes[1000] ^= 1;
    std::fs::write(&blob, bytes).unwrap();
    let pull = ["pull", key, "image", "-o", "-"];
    let said = kiln.run(&pull).exits(8).complains(&["is corrupt", "kiln push FILE"]);
    assert_eq!(said.stderr.matches("corrupt").count(), 1, "{}", said.stderr);
    assert_eq!(said.stderr.lines().count(), 1, "{}", said.stderr);
    let verified = kiln.run(&["verify"]).exits(8).stdout;
    assert!(verified.contains("quarantine 1 object,"), "{verified}");
    assert!(verified.contains("never given out"), "{verified}");
    kiln.run(&["push", &path]).exits(0);
    kiln.run(&pull).exits(0);
    kiln.run(&["verify", "--deep"]).exits(0);
}

#[test]
fn what_is_pinned_is_listed_with_its_commit_and_what_is_stored_by_what_it_is() {
    let kiln = Kiln::new();
    let commit = "0123456789abcdef0123456789abcdef01234567";
    let build = pushed(&kiln, &[("image", b"one")], &["--commit", commit]);
    let pins = kiln.run(&["pin", text(&build["build"])]).exits(0).stdout;
    let line = format!("{:.16}  {commit}\n", text(&build["build"]));
    assert_eq!(pins, line);
    let stats = kiln.run(&["stats"]).exits(0).stdout;
    assert!(stats.contains("consoles   0, stored in 0 B"), "{stats}");
    assert!(stats.contains("others     0, stored in 0 B: parts of boot images"), "{stats}");
}

#[test]
fn what_is_found_corrupt_on_the_way_is_told_once() {
    let kiln = Kiln::new();
    let build = pushed(&kiln, &[("vmlinux", &noise(1, 50_000)), ("image", &noise(2, 5_000))], &[]);
    for name in ["vmlinux", "image"] {
        let manifest = kiln.run(&["show", text(&build["build"]), "--json"]).exits(0).json();
        let files = manifest["artifacts"].as_array().unwrap();
        let file = files.iter().find(|file| file["name"] == name).unwrap();
        let digest = text(&file["digest"]);
        let blob = kiln.store().join("blobs").join(&digest[..2]).join(digest);
        let mut stored = std::fs::read(&blob).unwrap();
        stored[0] ^= 1;
        std::fs::write(&blob, stored).unwrap();
    }
    // It looks for debug information, and goes on without.
    let gc = kiln.run(&["gc", "--quota", "1k", "--most-may-go", "--dry-run"]).exits(0);
    gc.complains(&["corrupt blob"]);
    let pull = kiln.run(&["pull", text(&build["build"]), "image", "-o", "-"]);
    assert!(pull.stderr.contains("corrupt") && !pull.stderr.contains("corrupt blob"), "{pull:?}");
}
