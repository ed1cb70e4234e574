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
    let dry = kiln.run(&["gc", "--quota", "60k", "--dry-run"]).exits(9);
    assert!(dry.stdout.contains("frees") && dry.stdout.contains("2 would go"), "{dry:?}");
    kiln.run(&quota).exits(9).complains(&["2 of 3 builds", "--quota 1", "--most-may-go"]);
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
