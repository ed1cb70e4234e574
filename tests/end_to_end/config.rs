//! `kiln bisect config` on fakes: the "kernel" is its configuration.

mod support;

use serde_json::Value;
use support::{Kiln, Repo, coin};

/// What `make olddefconfig` would do: D needs C.
const BUILD: &str = "cp \"$KILN_CONFIG\" \"$KILN_OUT/.config\"; \
    tac \"$KILN_CONFIG\" | awk -F'[= ]' '{n = $1 == \"#\" ? $2 : $1} !seen[n]++' | tac >c; \
    grep -q '^CONFIG_C=y' c || sed -i '/^CONFIG_D=/d' c; cp c \"$KILN_OUT/.config\"";

fn config(kiln: &Kiln, repo: &Repo, base: &str, given: &str, command: &str) -> support::Answer {
    config_with(kiln, repo, (base, given), command, &[])
}

fn config_with(
    kiln: &Kiln,
    repo: &Repo,
    (base, given): (&str, &str),
    command: &str,
    more: &[&str],
) -> support::Answer {
    let file = |name: &str, text: &str| {
        let path = kiln.work().parent().unwrap().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let (base, given) = (file("base", base), file("given", given));
    let args = [
        "bisect",
        "config",
        "--json",
        "--repo",
        repo.arg(),
        "--revision",
        "HEAD",
        "--base",
        &base,
        "--config",
        &given,
        "--build-command",
        BUILD,
        "--command",
        command,
    ];
    kiln.run(&[&args, more].concat())
}

/// Many options, of which the last assignment in the list counts.
fn options(n: usize, more: &str) -> String {
    (0..n).map(|i| format!("CONFIG_X{i}=y\n")).collect::<String>() + more
}

/// Fails one time in `n` when the configuration has all of the options.
fn needs(options: &[&str], n: u32) -> String {
    let all: Vec<String> = options
        .iter()
        .map(|option| format!("grep -q '^CONFIG_{option}=y' \"$KILN_ARTIFACTS/.config\""))
        .collect();
    format!("if {} && {}; then exit 1; fi", all.join(" && "), coin(n))
}

fn found(answer: &Value) -> Vec<&str> {
    let options = answer["result"]["options"].as_array().unwrap();
    options.iter().map(|needed| needed["option"].as_str().unwrap()).collect()
}

#[test]
fn a_flaky_crash_gives_up_the_two_options_that_it_needs() {
    let repo = Repo::new();
    repo.commit("a kernel", &[("file", "1\n")]);
    let kiln = Kiln::new();
    let given = options(30, "CONFIG_A=y\n# CONFIG_B is not set\nCONFIG_C=y\nCONFIG_D=y\n");
    let base = "# CONFIG_A is not set\nCONFIG_B=y\n";
    let command = needs(&["X7", "A"], 3);
    let answer = config(&kiln, &repo, base, &given, &command).exits(0).json();
    assert_eq!(found(&answer), ["CONFIG_X7", "CONFIG_A"], "{answer:#}");
    assert_eq!(answer["differences"].as_array().unwrap().len(), 34);
    assert!(answer["result"]["probability"].as_f64().unwrap() > 0.95, "{answer:#}");
    let builds = answer["builds_compiled"].as_u64().unwrap();
    assert!(builds <= 18, "{builds} builds");

    // Asked again, the store knows it all.
    let again = config(&kiln, &repo, base, &given, &command).exits(0).json();
    assert_eq!(again["result"], answer["result"]);
    assert_eq!((&again["builds_compiled"], &again["runs_made"]), (&0.into(), &0.into()));

    // So nothing has to be compiled for it; with an empty store all would.
    let nothing = ["--max-builds", "0"];
    let ask = |kiln: &Kiln| config_with(kiln, &repo, (base, &given), &command, &nothing);
    assert_eq!(ask(&kiln).exits(0).json()["result"], answer["result"]);
    let none = ask(&Kiln::new()).exits(5).json();
    assert_eq!(
        (&none["result"]["result"], &none["builds_compiled"]),
        (&"budget".into(), &0.into())
    );
}

#[test]
fn what_an_option_depends_on_is_needed_too() {
    let repo = Repo::new();
    repo.commit("a kernel", &[("file", "1\n")]);
    let kiln = Kiln::new();
    let given = options(6, "CONFIG_C=y\nCONFIG_D=y\n");
    let answer = config(&kiln, &repo, "", &given, &needs(&["D"], 2)).exits(0).json();
    assert_eq!(found(&answer), ["CONFIG_C", "CONFIG_D"], "{answer:#}");
}

#[test]
fn ends_that_do_not_fit_are_told_apart() {
    let repo = Repo::new();
    repo.commit("a kernel", &[("file", "1\n")]);
    let kiln = Kiln::new();
    let both = "CONFIG_A=y\nCONFIG_B=y\n";
    let answer = config(&kiln, &repo, "CONFIG_A=y\n", both, &needs(&["A"], 2)).exits(6).json();
    assert_eq!(answer["result"]["result"], "base-shows");
    config(&kiln, &repo, "CONFIG_A=y\n", both, "true").exits(7);
}

#[test]
fn what_ends_before_anything_is_known_is_no_answer() {
    let repo = Repo::new();
    repo.commit("a kernel", &[("file", "1\n")]);
    let kiln = Kiln::new();
    let ends = ("CONFIG_A=y\n", "CONFIG_A=y\nCONFIG_B=y\n");
    for budget in [["--max-runs", "4"], ["--budget", "0.001s"]] {
        let command = format!("true {}", budget[0]);
        let answer = config_with(&kiln, &repo, ends, &command, &budget).exits(5).json();
        assert_eq!(answer["result"]["result"], "budget", "{answer:#}");
        assert!(answer["runs_made"].as_u64().unwrap() <= 4, "{answer:#}");
    }
}
