//! Bad input and faults: each ends in a clear error with a way out, and leaves the store whole.

mod support;

use std::path::Path;
use std::process::{Command, Stdio};

use support::{Kiln, Repo, root, scratch};

const BUILD: &str = "cp program \"$KILN_OUT/program\"";

fn small_repo() -> (Repo, Vec<String>) {
    let repo = Repo::new();
    let commits = (0..4)
        .map(|i| repo.commit(&format!("change {i}"), &[("program", &format!("{i}\n"))]))
        .collect();
    (repo, commits)
}

fn reproducer() -> String {
    root().join("tests/fixtures/reproducer.c").to_str().unwrap().to_owned()
}

fn config() -> String {
    root().join("tests/fixtures/tiny.config").to_str().unwrap().to_owned()
}

#[test]
fn not_a_repository() {
    let kiln = Kiln::new();
    let nowhere = tempfile::tempdir().unwrap();
    let at = nowhere.path().to_str().unwrap();
    kiln.run(&["build", "HEAD", "--repo", at, "--config", &config()])
        .exits(1)
        .complains(&[at, "not a git repository"]);
}

#[test]
fn an_answer_that_can_not_be_written_is_an_error() {
    let kiln = Kiln::new();
    let (repo, _) = small_repo();
    let build = ["build", "HEAD", "--repo", repo.arg(), "--build-command", BUILD];
    kiln.run(&build).exits(0);
    for args in [&["stats", "--json"][..], &["stats"], &["audit", "report"], &build] {
        let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
        let done = kiln.command().args(args).stdout(full).output().unwrap();
        let said = String::from_utf8_lossy(&done.stderr);
        assert_eq!(done.status.code(), Some(1), "{args:?}: {said}");
        assert!(said.contains("written whole") && said.contains("space"), "{args:?}: {said}");
    }
    // A reader that has seen enough is none.
    let mut child =
        kiln.command().args(["stats", "--json"]).stdout(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn not_a_kernel_tree() {
    let kiln = Kiln::new();
    let (repo, _) = small_repo();
    kiln.run(&["build", "HEAD", "--repo", repo.arg(), "--config", &config()])
        .exits(1)
        .complains(&["kernel", "--build-command"]);
}

#[test]
fn a_configuration_of_another_architecture() {
    let kiln = Kiln::new();
    let (repo, commits) = small_repo();
    let other = repo.path().join("riscv.config");
    std::fs::write(&other, "CONFIG_RISCV=y\n").unwrap();
    let other = other.to_str().unwrap();
    let (good, bad, own) = (commits[0].as_str(), commits[3].as_str(), config());
    let searched = ["bisect", "config", "--revision", "HEAD", "--command", "true"];
    for args in [
        vec!["build", "HEAD", "--config", other],
        vec!["bisect", "--good", good, "--bad", bad, "--config", other, "--command", "true"],
        [&searched[..], &["--base", &own, "--config", other]].concat(),
        [&searched[..], &["--base", other, "--config", &own]].concat(),
    ] {
        let args = [&args[..], &["--repo", repo.arg()]].concat();
        kiln.run(&args).exits(1).complains(&["is for riscv"]);
    }
}

#[test]
fn an_unknown_revision() {
    let kiln = Kiln::new();
    let (repo, _) = small_repo();
    kiln.run(&["build", "v99.9", "--repo", repo.arg(), "--build-command", BUILD])
        .exits(1)
        .complains(&["v99.9", "fetch"]);
}

#[test]
fn good_is_no_ancestor_of_bad() {
    let kiln = Kiln::new();
    let (repo, commits) = small_repo();
    repo.git(&["checkout", "--quiet", "-b", "other", &commits[1]]);
    let other = repo.commit("elsewhere", &[("other", "x")]);
    for (good, bad) in [(&other, &commits[3]), (&commits[3], &commits[0])] {
        kiln.run(&[
            "bisect",
            "--repo",
            repo.arg(),
            "--good",
            good,
            "--bad",
            bad,
            "--build-command",
            BUILD,
            "--command",
            "true",
        ])
        .exits(1)
        .complains(&["ancestor"]);
    }
    assert!(kiln.bisections().as_array().unwrap().is_empty(), "nothing was begun");
}

#[test]
fn an_empty_range() {
    let kiln = Kiln::new();
    let (repo, commits) = small_repo();
    kiln.run(&[
        "bisect",
        "--repo",
        repo.arg(),
        "--good",
        &commits[2],
        "--bad",
        &commits[2],
        "--build-command",
        BUILD,
        "--command",
        "true",
    ])
    .exits(1)
    .complains(&["same commit"]);
}

#[test]
fn a_reproducer_that_does_not_compile_is_told_before_anything_is_built() {
    let kiln = Kiln::new();
    let (repo, commits) = small_repo();
    let file = repo.path().join("broken.c");
    std::fs::write(&file, "int main(void) { return undeclared; }\n").unwrap();
    kiln.run(&[
        "bisect",
        "--repo",
        repo.arg(),
        "--good",
        &commits[0],
        "--bad",
        &commits[3],
        "--build-command",
        "echo built >&2; exit 1",
        "--reproducer",
        file.to_str().unwrap(),
    ])
    .exits(1)
    .complains(&["reproducer", "undeclared"]);
    let stats = kiln.run(&["stats", "--json"]).exits(0).json();
    assert_eq!((&stats["builds"], &stats["failed_builds"]), (&0.into(), &0.into()), "{stats:#}");
}

#[test]
fn a_missing_reproducer_and_a_missing_config() {
    let kiln = Kiln::new();
    let (repo, commits) = small_repo();
    let ends = ["--repo", repo.arg(), "--good", &commits[0], "--bad", &commits[3]];
    let with = |more: &[&str]| {
        let args: Vec<&str> = ["bisect"].iter().chain(&ends).chain(more).copied().collect();
        kiln.run(&args)
    };
    with(&["--build-command", BUILD, "--reproducer", "/nonexistent/r.c"])
        .exits(1)
        .complains(&["/nonexistent/r.c"]);
    with(&["--config", "/nonexistent/.config", "--reproducer", &reproducer()])
        .exits(1)
        .complains(&["/nonexistent/.config"]);
    with(&["--build-command", BUILD, "--command", "true", "--title", "("])
        .exits(2)
        .complains(&["--title '('"]);
    with(&["--build-command", BUILD, "--command", "true", "--title", "KASAN"])
        .exits(2)
        .complains(&["--title 'KASAN'", "command failed"]);
    // Neither a config nor a build command, neither a reproducer nor a command: usage.
    let both = ["--config", "--build-command", "--reproducer", "--command"];
    with(&[]).exits(2).complains(&both);
    with(&["--build-command", BUILD, "--command", " "]).exits(2).complains(&["--command is empty"]);
}

#[test]
fn without_qemu_the_package_is_named() {
    let kiln = Kiln::new();
    let (repo, commits) = small_repo();
    // Everything that the machine has, but QEMU.
    let path = tempfile::tempdir().unwrap();
    for folder in ["/usr/local/bin", "/usr/bin", "/bin"] {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            if !entry.file_name().to_string_lossy().starts_with("qemu") {
                let _ =
                    std::os::unix::fs::symlink(entry.path(), path.path().join(entry.file_name()));
            }
        }
    }
    let output = kiln
        .command()
        .env("PATH", path.path())
        .args(["bisect", "--repo", repo.arg(), "--good", &commits[0], "--bad", &commits[3]])
        .args(["--build-command", BUILD, "--reproducer", &reproducer()])
        .output()
        .unwrap();
    support::Answer::from(output).exits(1).complains(&["qemu-system-x86"]);
}

#[test]
fn a_store_of_a_newer_version_is_left_alone() {
    let kiln = Kiln::new();
    kiln.run(&["token", "create", "t"]).exits(0);
    let format = kiln.store().join("format.json");
    let mut text: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(&format).unwrap()).unwrap();
    text["format"] = 999.into();
    std::fs::write(&format, text.to_string()).unwrap();
    for command in ["stats", "verify"] {
        kiln.run(&[command]).exits(1).complains(&["999", "newer"]);
    }
    assert_eq!(std::fs::read_to_string(&format).unwrap(), text.to_string());
}

#[test]
fn a_folder_that_is_no_store_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("thesis.tex"), "x").unwrap();
    let kiln = Kiln::new();
    let store = folder.path().to_str().unwrap();
    kiln.run(&["stats", "--store", store]).exits(1).complains(&[store]);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn what_is_not_there_is_said_with_exit_code_3() {
    let kiln = Kiln::new();
    let nowhere = scratch();
    let nowhere = nowhere.path().join("typo");
    for args in [
        &["stats"][..],
        &["show", "0123"],
        &["bisect", "show", "0123"],
        &["bisect", "list"],
        &["verify"],
        &["token", "list"],
        &["audit", "report"],
        &["export", nowhere.to_str().unwrap()],
        &["import", nowhere.to_str().unwrap()],
    ] {
        kiln.run(args).exits(3).complains(&["no store at"]);
        assert!(!nowhere.exists(), "{args:?}");
    }
    assert!(!kiln.store().exists(), "who only looks makes no store");
    kiln.run(&["token", "create", "t"]).exits(0);
    kiln.run(&["pull", "0123456789abcdef", "bzImage"]).exits(3).complains(&["0123456789abcdef"]);
    kiln.run(&["show", "0123456789abcdef"]).exits(3);
    kiln.run(&["bisect", "show", "0123456789abcdef"]).exits(3);
    kiln.run(&["pull", "0123456789abcdef", "x", "--remote", "http://127.0.0.1:1"])
        .exits(1)
        .complains(&["127.0.0.1:1"]);
}

#[test]
fn what_is_pushed_is_all_that_was_named_and_goes_where_it_was_told_to() {
    let mut kiln = Kiln::new();
    let (repo, commits) = small_repo();
    let folder = scratch();
    std::fs::write(folder.path().join("image"), "bytes").unwrap();
    // A commit may have a name.
    let push = ["push", folder.path().to_str().unwrap(), "--json", "--repo", repo.arg()];
    let pushed = kiln.run(&[&push[..], &["--commit", "main~1"]].concat()).exits(0).json();
    let build = kiln.run(&["show", &commits[2], "--json"]).exits(0).json();
    assert_eq!(build["input_key"], pushed[0]["build"]);
    kiln.run(&[&push[..], &["--commit", "v99.9"]].concat()).exits(1).complains(&["v99.9"]);
    // Any file is known by its digest.
    let digest = pushed[0]["digest"].as_str().unwrap();
    let (pull, place) = (["pull", digest], folder.path().join(digest));
    let pulled = |more: &[&str]| {
        let args = [&pull[..], more].concat();
        support::Answer::from(kiln.command().current_dir(&folder).args(args).output().unwrap())
    };
    pulled(&[]).exits(0);
    pulled(&[]).exits(0);
    assert_eq!(std::fs::read(&place).unwrap(), b"bytes");
    // A file of the user's own is replaced when its name was given.
    std::fs::write(&place, "my own").unwrap();
    pulled(&[]).exits(1).complains(&["is here already", "--output"]);
    assert_eq!(std::fs::read(&place).unwrap(), b"my own");
    pulled(&["--output", digest]).exits(0);
    assert_eq!(std::fs::read(&place).unwrap(), b"bytes");
    pulled(&["-o", "no/folder"]).exits(1).complains(&["there is no folder no:"]);
    std::fs::remove_file(&place).unwrap();
    kiln.run(&["pull", &commits[2]]).exits(1).complains(&["which file", "image", "--all"]);
    // Whoever names a store means it.
    kiln.set("KILN_REMOTE", "http://127.0.0.1:1");
    let store = kiln.store();
    let here = ["--store", store.to_str().unwrap()];
    kiln.run(&push).exits(1).complains(&["127.0.0.1:1"]);
    kiln.run(&[&push[..], &here].concat()).exits(0);
    // Nothing is left out unsaid.
    use std::os::unix::ffi::OsStrExt as _;
    let odd = std::ffi::OsStr::from_bytes(b"image-\xff");
    std::fs::write(folder.path().join(odd), "more").unwrap();
    kiln.run(&[&push[..], &here].concat()).exits(1).complains(&["UTF-8", "image-"]);
}

#[test]
fn a_build_that_fails_is_remembered_with_its_log() {
    let kiln = Kiln::new();
    let (repo, _) = small_repo();
    let build = ["build", "HEAD", "--json", "--repo", repo.arg(), "--build-command"];
    let command = "echo 'program:3:1: error: expected ;'; exit 2";
    let args: Vec<&str> = build.into_iter().chain([command]).collect();
    let first = kiln.run(&args).exits(4).json();
    assert_eq!(first["obtained"], "compiled");
    assert_eq!(first["result"]["errors"][0], "program:3:1: error: expected ;", "{first:#}");
    let second = kiln.run(&args).exits(4).json();
    assert_eq!(second["obtained"], "input");
    let said = kiln.run(&[&args[..2], &args[3..]].concat()).exits(4).stdout;
    assert!(said.lines().all(|line| line.chars().count() <= 80), "{said}");
    let (_, pull) = said.trim_end().rsplit_once("the whole log: kiln ").expect("a way to the log");
    let out = repo.path().join("log");
    let pull: Vec<&str> = pull.split(' ').chain(["-o", out.to_str().unwrap()]).collect();
    kiln.run(&pull).exits(0);
    assert!(std::fs::read_to_string(out).unwrap().contains("expected ;"));
}

#[test]
fn a_bad_end_that_does_not_build_ends_like_a_build_that_fails() {
    let kiln = Kiln::new();
    let (repo, commits) = small_repo();
    let args = ["bisect", "--repo", repo.arg(), "--good", &commits[0], "--bad", &commits[3]];
    let more = ["--build-command", "echo 'a.c:1:1: error: no'; exit 2", "--command", "true"];
    let said = kiln.run(&[&args[..], &more].concat()).exits(4).stdout;
    assert!(said.contains("it does not build (a.c:1:1: error: no)"), "{said}");
}

#[test]
fn a_full_disk_is_named_and_nothing_is_lost() {
    let kiln = Kiln::new();
    let (repo, commits) = small_repo();
    std::fs::create_dir_all(kiln.store()).unwrap();
    let script = format!(
        r#"
        set -e
        mount -t tmpfs -o size=3m none "$KILN_STORE"
        {kiln} build {small} --repo {repo} --build-command '{BUILD}'
        if {kiln} build {large} --repo {repo} --build-command 'head -c 20000000 /dev/urandom >"$KILN_OUT/program"'
        then echo "the disk was not full" >&2; exit 90
        else test $? = 1; fi
        {kiln} verify --deep
        {kiln} pull {small} program -o "$KILN_WORK/pulled"
        "#,
        kiln = support::kiln_binary().display(),
        repo = repo.arg(),
        small = commits[0],
        large = commits[1],
    );
    let output = Command::new("unshare")
        .args(["--map-root-user", "--mount", "sh", "-c", &script])
        .env("KILN_STORE", kiln.store())
        .env("KILN_WORK", kiln.work())
        .output()
        .expect("unshare (util-linux)");
    let answer = support::Answer::from(output);
    if answer.stderr.contains("unshare failed") {
        kiln_skip::skip(kiln_skip::Lack::Namespaces, "nothing may be mounted here");
        return;
    }
    answer.exits(0).complains(&["no space left", kiln.store().to_str().unwrap()]);
    assert_eq!(std::fs::read(kiln.work().join("pulled")).unwrap(), b"0\n");
}

#[test]
fn a_flipped_byte_is_refused_and_reported() {
    let kiln = Kiln::new();
    let (repo, commits) = small_repo();
    let args = ["build", &commits[0], "--json", "--repo", repo.arg(), "--build-command", BUILD];
    let built = kiln.run(&args).exits(0).json();
    let artifact = built["artifacts"]
        .as_array()
        .unwrap()
        .iter()
        .find(|artifact| artifact["name"] == "program")
        .unwrap();
    let digest = artifact["digest"].as_str().unwrap();
    let blob = find(&kiln.store(), digest).expect("the blob is a file");
    let mut bytes = std::fs::read(&blob).unwrap();
    bytes[0] ^= 1;
    std::fs::write(&blob, bytes).unwrap();

    let verify = kiln.run(&["verify", "--deep", "--json"]).exits(8).json();
    assert!(verify.to_string().contains(digest), "{verify:#}");
    let out = repo.path().join("pulled");
    let pulled = kiln.run(&["pull", &commits[0], "program", "-o", out.to_str().unwrap()]);
    // The verification took it out of use.
    pulled.exits(3).complains(&[&digest[..12]]);
    assert!(!out.exists(), "wrong bytes were given out");
    // Built again, it is whole again.
    let again = kiln.run(&args).exits(0).json();
    assert_eq!(again["obtained"], "compiled", "{again:#}");
    kiln.run(&["pull", &commits[0], "program", "-o", out.to_str().unwrap()]).exits(0);
    let printed = kiln.run(&["pull", &commits[0], "program", "-o", "-"]).exits(0).stdout;
    assert_eq!(printed, "0\n");
    assert_eq!(std::fs::read(&out).unwrap(), b"0\n");
    kiln.run(&["verify", "--deep"]).exits(0);
}

#[test]
fn a_remote_that_is_down_is_passed_over() {
    let kiln = Kiln::new();
    let (repo, commits) = small_repo();
    kiln.run(&["build", &commits[0], "--repo", repo.arg(), "--build-command", BUILD]).exits(0);
    let out = repo.path().join("pulled");
    let pull = |commit: &str| {
        // Port 9 of this machine: nobody listens.
        let remote = ["--remote", "http://127.0.0.1:9", "-o", out.to_str().unwrap()];
        kiln.run(&[&["pull", commit, "program"], &remote[..]].concat())
    };
    pull(&commits[0]).exits(0).complains(&["127.0.0.1:9", "looking in this store instead"]);
    assert_eq!(std::fs::read_to_string(&out).unwrap(), "0\n");
    // What this store has not got either is the remote's failure.
    pull(&commits[1]).exits(1).complains(&["can't be reached"]);
    // What it has got, and broken, is its own.
    let shown = kiln.run(&["show", &commits[0], "--json"]).exits(0).json();
    let artifacts = shown["artifacts"].as_array().unwrap();
    let program = artifacts.iter().find(|artifact| artifact["name"] == "program").unwrap();
    let digest = program["digest"].as_str().unwrap();
    let blob = find(&kiln.store(), digest).expect("the blob is a file");
    let mut bytes = std::fs::read(&blob).unwrap();
    bytes[0] ^= 1;
    std::fs::write(&blob, bytes).unwrap();
    pull(&commits[0]).exits(8).complains(&[&digest[..12], "corrupt"]);
}

/// The file of a store whose name holds a digest.
fn find(folder: &Path, digest: &str) -> Option<std::path::PathBuf> {
    std::fs::read_dir(folder).ok()?.flatten().find_map(|entry| {
        let path = entry.path();
        match path.is_dir() {
            true => find(&path, digest),
            false => entry.file_name().to_string_lossy().contains(digest).then_some(path),
        }
    })
}
