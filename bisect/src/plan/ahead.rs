//! Builds that will probably be asked for soon, so that builders without work can make them now.
//!
//! What a test will show is not known, but the planner can be asked what it would want next if it
//! showed the target, and if it did not; and what after that. A build is needed with the chance of
//! all futures in which it is asked for.

use serde::{Deserialize, Serialize};

use crate::belief::Counts;

use super::choose::Search;
use super::decide::{Decision, Steps, Test, searching};
use super::problem::{Place, Problem, ProblemError, State, Status};
use super::scarce::builds_left;
use super::settings::Settings;

/// Futures less probable than this are not looked into.
const LEAST: f64 = 0.1;
/// A build is begun ahead when it will be asked for with this probability: in simulation, builders that
/// were content with less built more and ended no sooner.
const WORTH: f64 = 0.35;
/// The same where the number of builds is limited: more often than not they must be of use.
const WORTH_LIMITED: f64 = 0.5;
/// Futures that are looked into for each builder, and for all of them. Each costs a decision.
const FUTURES: usize = 3;
const FUTURES_IN_ALL: usize = 24;

/// A build that will be asked for with some probability.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Need {
    /// Of which revision.
    pub place: Place,
    /// Probability that it will be asked for within the next few decisions.
    pub probability: f64,
}

/// The builds that will probably be asked for after the next test, the most probable first; those
/// under way are among them, and what the budget forbids is not. `builders`: how many of them can be
/// made side by side.
pub(super) fn ahead(
    problem: &Problem,
    settings: &Settings,
    builders: usize,
    test: &Test,
) -> Result<Vec<Need>, ProblemError> {
    let mut needs: Vec<Need> = Vec::new();
    let mut open: Vec<(f64, Problem)> = vec![(1.0, problem.clone())];
    for future in 0..=(FUTURES * builders).min(FUTURES_IN_ALL) {
        let Some(likeliest) = (0..open.len()).max_by(|a, b| open[*a].0.total_cmp(&open[*b].0))
        else {
            break;
        };
        // What was not looked into yet can't make another build more needed than these.
        let sure = needs.iter().filter(|need| {
            need.probability >= open[likeliest].0 && problem.build_under_way(need.place).is_none()
        });
        if sure.count() >= builders {
            break;
        }
        let (chance, stands) = open.swap_remove(likeliest);
        // What is done first is decided already.
        let known = (future == 0).then_some(test);
        let weighed = searching(&stands, settings, |search| {
            let test = match known {
                Some(test) => test.clone(),
                None => match (Steps { search }).next() {
                    Decision::Test(test) => test,
                    Decision::Stop(_) => return None,
                },
            };
            Some((shows(search, &test), search.posterior.rate.mean, test))
        })?;
        let Some((shows, rate, test)) = weighed else { continue };
        // The first is what is being tested, or built for that.
        if test.build && future > 0 {
            match needs.iter_mut().find(|need| need.place == test.revision) {
                Some(need) => need.probability += chance,
                None => needs.push(Need { place: test.revision, probability: chance }),
            }
        }
        for (crashed, share) in [(true, shows), (false, 1.0 - shows)] {
            if chance * share >= LEAST {
                open.push((chance * share, after(&stands, &test, crashed, rate)));
            }
        }
    }
    needs.sort_by(|a, b| b.probability.total_cmp(&a.probability));
    Ok(worth_building(needs, problem, settings, test))
}

/// Leaves out builds that are not under way and that are not needed enough, or that the budget has
/// no room for beside the one that `test` asks for.
fn worth_building(
    mut needs: Vec<Need>,
    problem: &Problem,
    settings: &Settings,
    test: &Test,
) -> Vec<Need> {
    let own = test.build && problem.build_under_way(test.revision).is_none();
    let mut left = builds_left(problem, settings).saturating_sub(u32::from(own));
    let worth = if settings.max_builds.is_some() { WORTH_LIMITED } else { WORTH };
    needs.retain(|need| {
        if problem.build_under_way(need.place).is_some() {
            return true;
        }
        let taken = left > 0 && need.probability >= worth;
        left -= u32::from(taken);
        taken
    });
    needs
}

/// Probability that a test shows the target.
pub(super) fn shows(search: &Search<'_>, test: &Test) -> f64 {
    let bad = search.bad(test.revision);
    let once = |rate: f64| 1.0 - (f64::from(test.runs) * (-rate.clamp(0.0, 0.999)).ln_1p()).exp();
    bad * once(search.posterior.rate.mean) + (1.0 - bad) * once(search.settings.model.epsilon)
}

/// How it would stand after a test.
pub(super) fn after(problem: &Problem, test: &Test, crashed: bool, rate: f64) -> Problem {
    let mut next = problem.clone();
    let image = problem.status(test.revision).image.unwrap_or_else(|| {
        next.images.push(Counts::default());
        next.images.len() as u32 - 1
    });
    next.set(test.revision, Status { image: Some(image), state: State::Built });
    next.building.retain(|building| building.place != test.revision);
    for building in &mut next.building {
        building.seconds = (building.seconds - test.expected_seconds).max(0.0);
    }
    // Clean runs come before the first crash, by its rate.
    let clean = match crashed {
        true => ((1.0 / rate.max(1e-3)) as u32).clamp(1, test.runs.max(1)) - 1,
        false => test.runs,
    };
    let counts = &mut next.images[image as usize];
    counts.crashes += u32::from(crashed);
    counts.clean += clean;
    if test.build {
        // Upon this one other revisions are near, and nobody can say which.
        next.builds.clear();
    }
    next.spent.builds += u32::from(test.build);
    next.spent.runs += clean + u32::from(crashed);
    next.seconds_left = next.seconds_left.map(|left| (left - test.expected_seconds).max(0.0));
    next
}
