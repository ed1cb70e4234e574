//! The real planner in a made-up world.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::belief::Counts;
use crate::plan::{
    self, Beside, Building, Costs, Decision, Place, Problem, Settings, State, Status, Test,
    Verdict, decide,
};

use super::history::History;
use super::lab::{Lab, Seen};

/// Steps after which a bisection counts as endless.
const MOST_STEPS: u32 = 5000;

/// Plays [`decide`] to its end. Where not every commit changes the image, closures tell what they do in
/// real bisections: which commits change nothing that a build at hand reads (hardly one of them is the one),
/// and of what is built the commits around it that give the same. Nothing when there is no end.
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
        problem.untouched = history.unchanging();
    }
    if lab.world.warm {
        let commits = (0..history.graph.len() as u32).map(Place::Commit);
        for place in commits.chain([Place::Base]) {
            let works = lab.works(place);
            let state = if works { State::Built } else { State::Broken };
            problem.set(place, Status { image: works.then(|| history.image_of(place)), state });
        }
    }
    let builders = lab.world.builders as usize;
    for _ in 0..MOST_STEPS {
        learn_builds(lab, &mut problem);
        // A console of the target names them.
        if problem.blamed.is_empty() && problem.images.iter().any(|image| image.crashes > 0) {
            problem.blamed.clone_from(&history.suspects);
        }
        let decision = decide(&problem, settings).expect("the problem is well formed");
        let beside = plan::beside(&problem, settings, builders, &decision)
            .expect("the problem is well formed");
        let test = match decision {
            Decision::Stop(verdict) => return Some(verdict),
            Decision::Test(test) => test,
        };
        if let Some(place) = beside.give_up {
            lab.give_up(place);
        }
        if test.build {
            begin(lab, Some(test.revision), &beside);
            if let Some(side) = beside.meanwhile {
                run(lab, &mut problem, &[side]);
                continue;
            }
            lab.wait();
            learn_builds(lab, &mut problem);
            if problem.status(test.revision).state != State::Built {
                continue;
            }
        } else {
            begin(lab, None, &beside);
            // A twin's build serves.
            let image = Some(history.image_of(test.revision));
            problem.set(test.revision, Status { image, state: State::Built });
        }
        match beside.several.is_empty() {
            true => run(lab, &mut problem, &[test]),
            false => run(lab, &mut problem, &beside.several),
        }
    }
    None
}

/// Has builders make what is asked for, and then what probably will be.
fn begin(lab: &mut Lab<'_>, asked: Option<Place>, beside: &Beside) {
    let flying: Vec<Place> = lab.building().map(|(place, _)| place).collect();
    let ahead = beside.ahead.iter().map(|need| need.place).filter(|place| Some(*place) != asked);
    lab.want(asked.into_iter().chain(ahead).filter(|place| !flying.contains(place)));
}

/// Takes note of the builds that have ended, and of those under way.
fn learn_builds(lab: &mut Lab<'_>, problem: &mut Problem) {
    for place in lab.ended() {
        let works = lab.works(place);
        let state = if works { State::Built } else { State::Broken };
        let image = lab.history.image_of(place);
        if works && lab.world.changing < 1.0 {
            prove(lab.history, problem, image);
        }
        problem.set(place, Status { image: works.then_some(image), state });
    }
    problem.building = lab.building().map(|(place, seconds)| Building { place, seconds }).collect();
    problem.spent.builds = lab.builds - problem.building.len() as u32;
}

/// Takes note of all revisions that give this image: between any two of them lie only commits that change
/// nothing.
fn prove(history: &History, problem: &mut Problem, image: u32) {
    let same = problem.revisions.iter_mut().zip(&history.image).filter(|(_, own)| **own == image);
    same.for_each(|(status, _)| status.image = Some(image));
    if image == 0 {
        problem.base.image = Some(image);
    }
}

/// Runs of one revision, or a round of several.
fn run(lab: &mut Lab<'_>, problem: &mut Problem, tests: &[Test]) {
    let seen = match tests {
        [test] => {
            let runs = lab.run(test.revision, test.runs, |seen| seen == Seen::Target);
            runs.into_iter().map(|seen| (test.revision, seen)).collect()
        }
        several => lab.round(several.iter().map(|test| (test.revision, test.runs))),
    };
    for (place, seen) in seen {
        let image = lab.history.image_of(place) as usize;
        let counts = &mut problem.images[image];
        match seen {
            Seen::Target => counts.crashes += 1,
            Seen::Clean => counts.clean += 1,
            Seen::Other(title) => {
                counts.censored += 1;
                *problem.others[image].entry(title.to_owned()).or_default() += 1;
            }
            // Costs its time and says nothing of the image.
            Seen::Infra => {}
        }
    }
    problem.spent.runs = lab.runs;
}
