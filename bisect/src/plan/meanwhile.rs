//! What machines without work can run while a build is waited for.

use super::choose::{Choice, Which};
use super::decide::{Test, searching};
use super::problem::{Problem, ProblemError};
use super::settings::Settings;

/// Share of what a second of the test that is waited for tells, from which a second of another one
/// is worth its runs.
const WORTH: f64 = 0.25;

/// The best runs of what is built that end before the build does that `test` waits for, if they are
/// worth it.
pub(super) fn meanwhile(
    problem: &Problem,
    settings: &Settings,
    test: &Test,
) -> Result<Option<Test>, ProblemError> {
    searching(problem, settings, |search| {
        let rounds = search.build_seconds(test.revision) / problem.costs.run_seconds;
        if rounds < 1.0 || test.expected_gain <= 0.0 {
            return None;
        }
        // A round at a time: what it shows may change what is waited for.
        let Choice { place, prospect, .. } =
            search.best(Which::AtHand { runs: problem.machines })?;
        let worth = WORTH * test.expected_gain / test.expected_seconds;
        (prospect.value() >= worth).then(|| Test {
            revision: place,
            runs: prospect.runs,
            build: false,
            why: "while a build is waited for: tells the most of what is built".to_owned(),
            expected_gain: prospect.bits,
            expected_seconds: prospect.seconds,
        })
    })
}
