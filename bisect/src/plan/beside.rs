//! What to do beside a test, or in its place: builds that will be asked for soon, runs while a build is
//! waited for, and rounds of several revisions.

use serde::{Deserialize, Serialize};

use super::ahead::{Need, ahead};
use super::decide::{Decision, Test};
use super::meanwhile::meanwhile;
use super::problem::{Building, Place, Problem, ProblemError};
use super::settings::Settings;
use super::several::several;

/// Work for builders and machines that a test leaves without any.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Beside {
    /// Builds that will probably be asked for soon, the most probable first. Those under way are
    /// among them, by what they are still good for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ahead: Vec<Need>,
    /// Runs of what is built, while the test waits for its build.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub meanwhile: Option<Test>,
    /// Runs of several revisions side by side, instead of those that the test asks for: a round of all
    /// machines, after which is decided again.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub several: Vec<Test>,
    /// A build under way that is given up, so that the one which the test needs can begin.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub give_up: Option<Place>,
}

impl Beside {
    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// What to do beside a decision, with so many builders that work while machines run. Nothing at the end. Like the decision, it depends on nothing but its arguments.
///
/// # Errors
/// As [`super::decide`].
pub fn beside(
    problem: &Problem,
    settings: &Settings,
    builders: usize,
    decision: &Decision,
) -> Result<Beside, ProblemError> {
    let Decision::Test(test) = decision else { return Ok(Beside::default()) };
    let several = several(problem, settings, test)?;
    if builders == 0 {
        return Ok(Beside { several, ..Beside::default() });
    }
    let ahead = ahead(problem, settings, builders, test)?;
    let meanwhile = if test.build { meanwhile(problem, settings, test)? } else { None };
    let give_up = given_up(problem, builders, test, &ahead);
    Ok(Beside { ahead, meanwhile, several, give_up })
}

/// Which build under way is given up for the one that a test needs, when all builders are at work. By
/// what is lost: the seconds until the first of them ends, or those that were spent on the least
/// needed one, as far as it is needed. (To give builds up for others that are only likely to be
/// needed was tried in simulation: builders then began twice as many builds and ended none sooner.)
fn given_up(problem: &Problem, builders: usize, test: &Test, needs: &[Need]) -> Option<Place> {
    let asks = test.build && problem.build_under_way(test.revision).is_none();
    if !asks || problem.building.len() < builders {
        return None;
    }
    let wait = problem.building.iter().map(|building| building.seconds).fold(f64::MAX, f64::min);
    let loss = |building: &Building| {
        let need = needs.iter().find(|need| need.place == building.place);
        let spent = (problem.build_seconds(building.place) - building.seconds).max(0.0);
        need.map_or(0.0, |need| need.probability) * spent
    };
    let least = problem.building.iter().min_by(|a, b| loss(a).total_cmp(&loss(b)))?;
    (loss(least) < wait).then_some(least.place)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::belief::Counts;
    use crate::graph::Graph;
    use crate::plan::{Costs, State, Status, decide};

    /// A thousand commits; the bad end crashes nearly always, the good end is not built.
    fn begun() -> Problem {
        let mut problem = Problem::new(Arc::new(Graph::linear(1000).unwrap()), Costs::default());
        saw(&mut problem, 999, Counts { crashes: 20, clean: 1, censored: 0 });
        problem
    }

    fn saw(problem: &mut Problem, commit: u32, counts: Counts) {
        problem.images.push(counts);
        let image = Some(problem.images.len() as u32 - 1);
        problem.set(Place::Commit(commit), Status { image, state: State::Built });
        problem.spent.builds += 1;
    }

    fn asked(problem: &Problem, settings: &Settings, builders: usize) -> (Test, Beside) {
        let decision = decide(problem, settings).unwrap();
        let beside = beside(problem, settings, builders, &decision).unwrap();
        let Decision::Test(test) = decision else { panic!("{decision:?}") };
        (test, beside)
    }

    fn at(place: Place) -> u32 {
        place.commit().unwrap()
    }

    #[test]
    fn both_next_midpoints_are_built_ahead() {
        let (test, beside) = asked(&begun(), &Settings::default(), 2);
        let middle = at(test.revision);
        assert!(test.build && (400..600).contains(&middle), "{test:?}");
        let next: Vec<u32> = beside.ahead.iter().map(|need| at(need.place)).collect();
        assert!(next.iter().any(|at| (100..400).contains(at)), "{next:?}");
        assert!(next.iter().any(|at| (600..900).contains(at)), "{next:?}");
        let sum: f64 = beside.ahead.iter().take(2).map(|need| need.probability).sum();
        assert!((0.8..=1.05).contains(&sum), "{beside:?}");
        assert!(beside.ahead.windows(2).all(|two| two[0].probability >= two[1].probability));
        assert!(asked(&begun(), &Settings::default(), 0).1.is_empty());
    }

    #[test]
    fn a_budget_of_builds_counts_those_ahead() {
        let problem = begun();
        let with = |left: u32| Settings {
            max_builds: Some(problem.spent.builds + left),
            ..Settings::default()
        };
        let (test, beside) = asked(&problem, &with(1), 2);
        assert!(test.build && beside.ahead.is_empty(), "the last one is for the test: {beside:?}");
        let (_, beside) = asked(&problem, &with(9), 2);
        assert!(beside.ahead.iter().all(|need| need.probability >= 0.5), "{beside:?}");
        // What is under way has its place in the budget already, and may be waited for.
        let mut problem = problem.clone();
        problem.building = vec![Building { place: test.revision, seconds: 300.0 }];
        let (again, beside) = asked(&problem, &with(1), 2);
        assert_eq!(again.revision, test.revision);
        assert!(again.build && beside.ahead.is_empty(), "{beside:?}");
    }

    #[test]
    fn what_is_nearly_built_is_waited_for_and_what_is_useless_given_up() {
        let under_way = |seconds: f64| {
            let mut problem = begun();
            // 500 crashes: nothing after it matters any more.
            saw(&mut problem, 500, Counts { crashes: 20, clean: 1, censored: 0 });
            problem.building = vec![Building { place: Place::Commit(750), seconds }];
            let (test, beside) = asked(&problem, &Settings::default(), 1);
            assert!(test.build && at(test.revision) < 500, "{test:?}");
            beside.give_up
        };
        assert_eq!(under_way(400.0), Some(Place::Commit(750)));
        assert_eq!(under_way(0.0), None);
    }

    #[test]
    fn the_test_waits_for_a_build_that_is_nearly_as_good() {
        let mut problem = begun();
        problem.building = vec![Building { place: Place::Commit(470), seconds: 60.0 }];
        let (test, _) = asked(&problem, &Settings::default(), 1);
        assert!(test.build && test.revision == Place::Commit(470), "{test:?}");
    }

    #[test]
    fn machines_run_what_is_built_while_a_build_is_waited_for() {
        // Seldom enough for some clean runs of 500 to say little.
        let mut problem = begun();
        problem.images[0] = Counts { crashes: 2, clean: 40, censored: 0 };
        saw(&mut problem, 500, Counts::default());
        problem.machines = 10;
        let (test, beside) = (1..40)
            .find_map(|round| {
                problem.images[1].clean = 10 * round;
                Some(asked(&problem, &Settings::default(), 1)).filter(|(test, _)| test.build)
            })
            .expect("at last another revision tells more");
        let side = beside.meanwhile.expect("500 is not known well");
        assert_eq!((side.revision, side.build, side.runs), (Place::Commit(500), false, 10));
        // Not when they would take longer than the build does.
        problem.building = vec![Building { place: test.revision, seconds: 30.0 }];
        let (test, beside) = asked(&problem, &Settings::default(), 1);
        assert!(test.build && beside.meanwhile.is_none(), "{test:?} {beside:?}");
    }
}
