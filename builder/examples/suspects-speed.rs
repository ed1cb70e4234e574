//! How long it takes to find the commits that change files of given functions.
//!
//!     suspects-speed REPOSITORY OLDER NEWER FUNCTION...
//!
//! Prints one line of JSON; `tests/bench/suspects` runs it. The comparison of the commits with their
//! parents is told apart: a bisection has it from asking which of them its build reads. Seconds of
//! processors, all threads together, are told beside those that passed: other work may run.

// Its one line is its answer.
#![allow(clippy::print_stdout)]

use std::time::Instant;

use kiln_builder::closure::Edges;
use kiln_builder::{Repository, commits_changing};

/// Seconds that have passed, and that processors have worked for this process.
struct Clock(Instant);

impl Clock {
    fn now(&self) -> std::io::Result<[f64; 2]> {
        // `man 5 proc_pid_stat`: fields 14 and 15, in ticks, of which Linux has 100 a second for programs.
        let text = std::fs::read_to_string("/proc/self/stat")?;
        let after_name = text.rsplit(')').next().unwrap_or_default();
        let ticks = after_name.split_whitespace().skip(11).take(2);
        let ticks: f64 = ticks.filter_map(|field| field.parse::<f64>().ok()).sum();
        Ok([self.0.elapsed().as_secs_f64(), ticks / 100.0])
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [repository, older, newer, functions @ ..] = args.as_slice() else {
        return Err("suspects-speed REPOSITORY OLDER NEWER FUNCTION...".into());
    };
    let repository = Repository::open(repository)?;
    let clock = Clock(Instant::now());
    let history = repository.history(older, newer)?;
    let edges = Edges::new(&repository, &history);
    let walked = clock.now()?;
    edges.compare_all()?;
    let compared = clock.now()?;
    let suspects = commits_changing(&edges, functions)?;
    let found = clock.now()?;
    let peak: u64 = std::fs::read_to_string("/proc/self/status")?
        .lines()
        .find_map(|line| {
            line.strip_prefix("VmHWM:")?.trim().strip_suffix("kB")?.trim().parse().ok()
        })
        .unwrap_or(0);
    let sum = suspects.iter().fold(0u64, |sum, c| sum.wrapping_mul(31).wrapping_add(u64::from(*c)));
    println!(
        "{{\"commits\":{},\"walk_s\":{:.2},\"compare_s\":{:.2},\"search_s\":{:.2},\"compare_cpu_s\":{:.2},\
         \"search_cpu_s\":{:.2},\"suspects\":{},\"checksum\":{sum},\"peak_mb\":{}}}",
        history.commits.len(),
        walked[0],
        compared[0] - walked[0],
        found[0] - compared[0],
        compared[1] - walked[1],
        found[1] - compared[1],
        suspects.len(),
        peak / 1024
    );
    Ok(())
}
