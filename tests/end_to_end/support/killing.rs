//! `kill -9` of a bisection at moments that are the same on every run, until it has ended.

use std::collections::HashSet;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use super::{Kiln, events};

/// When processes are killed, and how many still are.
pub struct Kills {
    /// How many are left.
    pub left: u32,
    random: u64,
    longest: u64,
}

impl Kills {
    /// So many, each after 20 ms and up to `longest` ms more.
    pub fn new(count: u32, seed: u64, longest: u64) -> Self {
        Self { left: count, random: seed, longest }
    }

    fn moment(&mut self) -> Duration {
        // xorshift: the same moments on every run.
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        Duration::from_millis(20 + self.random % self.longest)
    }
}

/// Begins a bisection, kills it and goes on with it, until it has ended or nothing is left to kill: then
/// it runs to its end. `look` is called after each kill, with the bisection's id if its record had
/// begun. Gives what `list` and `show` say of it.
pub fn killed_and_resumed(
    kiln: &Kiln,
    start: impl Fn() -> Command,
    kills: &mut Kills,
    look: impl Fn(u32, Option<&str>),
) -> (Value, Value) {
    let list = || kiln.bisections();
    let mut next = start();
    loop {
        let mut child = next.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        if kills.left == 0 {
            assert!(child.wait().unwrap().success());
            break;
        }
        std::thread::sleep(kills.moment());
        if let Some(ended) = child.try_wait().unwrap() {
            assert!(ended.success());
            break;
        }
        child.kill().unwrap();
        child.wait().unwrap();
        kills.left -= 1;
        let list = list();
        let id = list[0]["id"].as_str();
        look(kills.left, id);
        next = match id {
            // Killed before the record began: nothing to resume, and nothing was lost.
            None => start(),
            Some(id) => {
                // Who only looks is told how it stands.
                kiln.run(&["bisect", "show", id]).exits(0);
                let mut resume = kiln.command();
                resume.args(["bisect", "resume", id, "--json"]);
                resume
            }
        };
    }
    let list = list();
    assert_eq!(list.as_array().unwrap().len(), 1, "one bisection, however often resumed");
    let id = list[0]["id"].as_str().unwrap();
    let record = kiln.run(&["bisect", "show", id, "--json"]).exits(0).json();
    // What a killed process ran was paid for by this bisection: nothing of it was spared.
    assert_eq!(record["bill"]["runs_avoided_evidence"], 0, "{:#}", record["bill"]);
    kiln.run(&["bisect", "replay-check", id]).exits(0);
    (list[0].clone(), record)
}

/// How many runs a record holds, each of which counts once.
pub fn runs_that_count_once(record: &Value) -> usize {
    let mut seen = HashSet::new();
    for step in events(record, "step") {
        for run in step["runs"].as_array().unwrap() {
            let run = (step["commit"]["id"].to_string(), run["id"].to_string());
            assert!(seen.insert(run.clone()), "a run counts once, however often resumed: {run:?}");
        }
    }
    seen.len()
}
