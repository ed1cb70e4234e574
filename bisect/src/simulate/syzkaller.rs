//! syzkaller's rules for a verdict (`pkg/bisect`), for comparison.
//!
//! The bad end is tested with 20 runs, every other revision with 10, or 20 once the crash is taken
//! for flaky (it showed in less than half of the telling runs). Any crash counts, whatever its
//! title. The good end is tested too, as a release would be.

use crate::plan::Place;

use super::git::{Told, halve};
use super::lab::{Lab, Seen};

/// Which year's rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rules {
    /// One crash is bad; no crash is good unless two thirds of the runs failed.
    Of2021,
    /// Bad needs two crashes and a sixth of the runs, good half of the runs clean (three quarters
    /// when flaky); what is neither is skipped, or ends it all when the host is to blame.
    Of2026,
}

struct Tester {
    rules: Rules,
    flaky: bool,
    first: bool,
}

/// Plays a whole bisection; nothing when it ends without a culprit.
pub(super) fn play(lab: &mut Lab<'_>, rules: Rules) -> Option<u32> {
    let mut tester = Tester { rules, flaky: false, first: true };
    let bad_end = Place::Commit(lab.history.graph.tip());
    if tester.test(lab, bad_end) != Told::Bad || tester.test(lab, Place::Base) != Told::Good {
        return None;
    }
    halve(lab, |lab, place| tester.test(lab, place))
}

impl Tester {
    fn test(&mut self, lab: &mut Lab<'_>, place: Place) -> Told {
        if !lab.build(place) {
            return Told::Skip;
        }
        let total: u32 = if self.flaky || self.first { 20 } else { 10 };
        self.first = false;
        let seen = lab.run(place, total, |_| false);
        let bad = seen.iter().filter(|s| s.crashed()).count() as u32;
        let count = |what: Seen| seen.iter().filter(|s| **s == what).count() as u32;
        let (good, infra) = (count(Seen::Clean), count(Seen::Infra));
        let told = match self.rules {
            Rules::Of2021 if bad > 0 => Told::Bad,
            Rules::Of2021 if total - good > total / 3 * 2 => Told::Skip,
            Rules::Of2021 => Told::Good,
            Rules::Of2026 => self.decide(total, bad, good, infra),
        };
        self.flaky |= told == Told::Bad && bad < good;
        told
    }

    fn decide(&self, total: u32, bad: u32, good: u32, infra: u32) -> Told {
        let want_good = if self.flaky { total * 3 / 4 } else { total / 2 };
        let want_bad = ((total - infra) / 6).max(2);
        if bad == 0 && good >= want_good {
            Told::Good
        } else if bad >= want_bad && good + bad >= total / 2 {
            Told::Bad
        } else if infra > total - bad - good - infra && bad == 0 {
            Told::Abort
        } else {
            Told::Skip
        }
    }
}
