//! The planner's answer, which speaks of indices, as one that speaks of commits.

use super::knowledge::Known;
use super::setup::Bisection;
use crate::belief::Find;
use crate::plan::{self, Place};
use crate::title::{self, Target};
use crate::verdict::Verdict;

/// Turns the planner's verdict into the record's.
pub(super) fn verdict_of(
    bisection: &Bisection,
    target: &Target,
    verdict: plan::Verdict,
) -> Verdict {
    match verdict {
        plan::Verdict::Culprit { commit, probability, parents, .. } => {
            let (good, untested): (Vec<_>, Vec<_>) = parents.iter().partition(|p| p.is_settled());
            let commits = |list: Vec<&plan::Cleared>| {
                list.into_iter().map(|parent| bisection.commit(parent.parent)).collect()
            };
            Verdict::Culprit {
                commit: bisection.commit(Place::Commit(commit)),
                probability,
                parents: commits(good),
                untested: commits(untested),
            }
        }
        plan::Verdict::OlderThanGood { probability, crashes, clean } => {
            let target = crashes;
            match bisection.header.find {
                Find::Cause => Verdict::OlderThanGood { probability, target, clean },
                Find::Fix => Verdict::NotFixed { probability, target, clean },
            }
        }
        plan::Verdict::NotReproduced { clean, .. } => {
            let counts = match bisection.knowledge.build(bisection.bad_end()) {
                Some(Known::Built { image, .. }) => bisection.knowledge.counts(image),
                _ => kiln_cache::evidence::Counts::default(),
            };
            if let (true, Some(title)) =
                (counts.crashes.is_empty(), counts.boot_failures.keys().next())
                && clean == 0
            {
                let commit = bisection.commit(bisection.bad_end());
                return Verdict::EndUnusable { commit, why: format!("it does not boot ({title})") };
            }
            let mut crashes = title::ranked(&counts.crashes);
            crashes.sort_by_key(|(title, _)| !target.is(title));
            Verdict::NotReproduced { clean, crashes }
        }
        plan::Verdict::Inconclusive { why, set, more, contradiction } => {
            let holds = bisection.knowledge.holds_bug(target);
            let unclear = set.commits.iter().filter(|(commit, _)| !holds[*commit as usize]).count();
            let why = match unclear {
                0 => why,
                n => format!(
                    "{why}; {n} of the commits lie on branches that forked off before the bad end, \
                     and are not known to have had the bug"
                ),
            };
            let advice = more.map(|more| {
                let commit = bisection.commit(more.revision);
                let build = if more.build { "a build and " } else { "" };
                format!(
                    "; {build}{} runs of {} would help most (about {:.0} s)",
                    more.runs,
                    commit.short(),
                    more.seconds
                )
            });
            Verdict::Inconclusive {
                credible: set
                    .commits
                    .iter()
                    .map(|(commit, p)| (bisection.commit(Place::Commit(*commit)), *p))
                    .collect(),
                older: set.older.unwrap_or(0.0),
                why: why + &advice.unwrap_or_default(),
                contradiction,
            }
        }
    }
}
