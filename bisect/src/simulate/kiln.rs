//! The real planner in a made-up world.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::belief::Counts;
use crate::plan::{Costs, Decision, Place, Problem, Settings, State, Status, Verdict, decide};

use super::lab::{Lab, Seen};

/// Steps after which a bisection counts as endless.
const MOST_STEPS: u32 = 5000;

/// Plays [`decide`] to its end. Images are known beforehand, as closures tell them, when not every
/// commit changes the image; else only once built. Nothing when there is no end.
pub(super) fn play(lab: &mut Lab<'_>, settings: &Settings) -> Option<Verdict> {
    let history = lab.history;
    let costs = Costs {
        build_seconds: lab.world.build_minutes * 60.0,
        run_seconds: lab.world.run_minutes * 60.0,
    };
    let mut problem = Problem::new(Arc::clone(&history.graph), costs);
    problem.machines = lab.world.machines;
    problem.images = vec![Counts::default(); history.rate.len()];
    problem.others = vec![BTreeMap::new(); history.rate.len()];
    if lab.world.changing < 1.0 {
        for (status, image) in problem.revisions.iter_mut().zip(&history.image) {
            status.image = Some(*image);
        }
        problem.base.image = Some(0);
    }
    for _ in 0..MOST_STEPS {
        let test = match decide(&problem, settings).expect("the problem is well formed") {
            Decision::Stop(verdict) => return Some(verdict),
            Decision::Test(test) => test,
        };
        let image = history.image_of(test.revision);
        let works = !test.build || lab.build(test.revision);
        let state = if works { State::Built } else { State::Broken };
        set(&mut problem, test.revision, Status { image: works.then_some(image), state });
        problem.spent.builds = lab.builds;
        if !works {
            continue;
        }
        let counts = &mut problem.images[image as usize];
        for seen in lab.run(test.revision, test.runs, |seen| seen == Seen::Target) {
            match seen {
                Seen::Target => counts.crashes += 1,
                Seen::Clean => counts.clean += 1,
                Seen::Other(title) => {
                    counts.censored += 1;
                    *problem.others[image as usize].entry(title.to_owned()).or_default() += 1;
                }
                // Costs its time and says nothing of the image.
                Seen::Infra => {}
            }
        }
        problem.spent.runs = lab.runs;
    }
    None
}

fn set(problem: &mut Problem, place: Place, status: Status) {
    match place {
        Place::Base => problem.base = status,
        Place::Commit(commit) => problem.revisions[commit as usize] = status,
    }
}
