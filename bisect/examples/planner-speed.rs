//! How long the planner takes for a decision, and how much memory, on a history of a given size.
//!
//!     planner-speed COMMITS [linear|merges] [MACHINES BUILDERS]
//!
//! Plays one bisection (a third of the way, one run in ten crashes) and times every decision of it, with
//! what builders and machines are to do beside it where there are builders. Two of three commits change
//! nothing that the builds read, and each has its own price of a build, as real ones have.
//! Prints one line of JSON; `tests/bench/planner` runs it.

// Its one line is its answer.
#![allow(clippy::print_stdout)]

use std::sync::Arc;
use std::time::Instant;

use kiln_bisect::belief::Counts;
use kiln_bisect::graph::Graph;
use kiln_bisect::plan::{Costs, Decision, Place, Problem, Settings, State, Status, beside, decide};
use kiln_bisect::simulate::merge_history;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let commits: u32 = args.next().ok_or("planner-speed COMMITS [linear|merges]")?.parse()?;
    let merges = args.next().as_deref() == Some("merges");
    let machines: u32 = args.next().as_deref().unwrap_or("1").parse()?;
    let builders: usize = args.next().as_deref().unwrap_or("0").parse()?;
    let graph = match merges {
        true => Graph::new(merge_history(commits, 1))?,
        false => Graph::linear(commits)?,
    };
    let culprit = commits / 3;
    let bad = graph.descendants(culprit);
    let mut problem = Problem { machines, ..Problem::new(Arc::new(graph), Costs::default()) };
    problem.untouched = (0..commits).filter(|at| at % 3 > 0 && *at != culprit).collect();
    problem.builds = (0..commits).map(|at| 10.0 + f64::from(at.wrapping_mul(7919) % 600)).collect();
    let mut runs = 0u32;
    let mut took = Vec::new();
    loop {
        let start = Instant::now();
        let settings = Settings::default();
        let decision = decide(&problem, &settings)?;
        let beside = beside(&problem, &settings, builders, &decision)?;
        took.push(start.elapsed().as_secs_f64());
        let Decision::Test(test) = decision else { break };
        // (What is built ahead is thrown away here: it is about what thinking of it takes.)
        std::hint::black_box(beside);
        let image = match problem.status(test.revision).image {
            Some(image) => image,
            None => {
                problem.images.push(Counts::default());
                problem.images.len() as u32 - 1
            }
        };
        let status = Status { image: Some(image), state: State::Built };
        let crashing = match test.revision {
            Place::Base => {
                problem.base = status;
                false
            }
            Place::Fork(_) => unreachable!("no branch forked off before the older end"),
            Place::Commit(commit) => {
                problem.revisions[commit as usize] = status;
                bad[commit as usize]
            }
        };
        for _ in 0..test.runs {
            runs += 1;
            // One in ten, in no order that a plan could follow.
            if crashing && runs.wrapping_mul(2_654_435_761) >> 16 & 0xff < 26 {
                problem.images[image as usize].crashes += 1;
                break;
            }
            problem.images[image as usize].clean += 1;
        }
    }
    took.sort_by(f64::total_cmp);
    let peak = std::fs::read_to_string("/proc/self/status")?
        .lines()
        .find_map(|line| {
            line.strip_prefix("VmHWM:")?.trim().strip_suffix("kB")?.trim().parse().ok()
        })
        .unwrap_or(0u64);
    println!(
        "{{\"commits\":{commits},\"merges\":{},\"decisions\":{},\"median_ms\":{:.1},\
         \"slowest_ms\":{:.1},\"peak_mb\":{:.0}}}",
        problem.graph.merges(),
        took.len(),
        1e3 * took[took.len() / 2],
        1e3 * took[took.len() - 1],
        peak as f64 / 1024.0
    );
    Ok(())
}
