//! What a cache would have saved: kernels that the log itself shows to be the same.

use std::collections::HashMap;

use serde::Serialize;

use crate::log::import::{Imported, Mark, Role};

use super::next::Prices;

/// Builds and runs of kernels that had been built and run before.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Saved {
    /// Builds whose kernel an earlier one equals.
    pub builds: u32,
    /// Runs of those kernels, where the earlier one had been run as often.
    pub runs: u32,
    /// Seconds of those builds, at the log's mean. An upper limit: a build is spared only where a
    /// closure proves beforehand what the signatures show afterwards.
    pub build_seconds: f64,
    /// Seconds of those runs, at the log's mean.
    pub run_seconds: f64,
    /// The kernels.
    pub twins: Vec<Twins>,
}

/// Tests of one kernel.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Twins {
    /// The signature that syzkaller gave it.
    pub signature: String,
    /// The commits that give it, in the order of their tests.
    pub commits: Vec<String>,
    /// It was called good once and bad once: one of the two verdicts is wrong.
    pub contradict: bool,
}

/// Adds up a log.
pub(super) fn saved(log: &Imported, prices: &Prices) -> Saved {
    let mut order: Vec<&str> = Vec::new();
    let mut tests: HashMap<&str, Vec<usize>> = HashMap::new();
    for (index, test) in log.tests.iter().enumerate() {
        // With another configuration the same commit is another kernel; its signature says so too.
        if let Some(signature) = test.signature.as_deref() {
            let list = tests.entry(signature).or_default();
            if list.is_empty() {
                order.push(signature);
            }
            list.push(index);
        }
    }
    let mut saved = Saved::default();
    for signature in order {
        let twins = &tests[signature];
        if twins.len() < 2 {
            continue;
        }
        let mut known = 0;
        for (place, index) in twins.iter().enumerate() {
            let test = &log.tests[*index];
            let runs = test.counts.total();
            if place > 0 {
                saved.builds += 1;
                saved.runs += runs.min(known);
            }
            known = known.max(runs);
        }
        let marked = |mark| {
            twins.iter().any(|index| {
                let test = &log.tests[*index];
                test.mark == Some(mark) && test.role != Role::Config
            })
        };
        saved.twins.push(Twins {
            signature: signature.to_owned(),
            commits: twins.iter().map(|index| log.tests[*index].commit.clone()).collect(),
            contradict: marked(Mark::Good) && marked(Mark::Bad),
        });
    }
    saved.build_seconds = f64::from(saved.builds) * prices.build_seconds;
    saved.run_seconds = f64::from(saved.runs) * prices.run_seconds;
    saved
}
