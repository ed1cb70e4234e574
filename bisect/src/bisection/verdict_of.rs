//! The planner's answer, which speaks of indices, as one that speaks of commits.

use super::knowledge::Known;
use super::setup::Bisection;
use crate::belief::{Credible, Find};
use crate::plan::{self, Place};
use crate::record::Commit;
use crate::title::{self, Target};
use crate::verdict::{Finding, MoreRuns, Verdict};

/// Points where branches forked off that are named, at most.
const NAMED: usize = 3;

/// Turns the planner's verdict into the record's.
pub(super) fn verdict_of(
    bisection: &Bisection,
    target: &Target,
    verdict: plan::Verdict,
    findings: Vec<Finding>,
) -> Verdict {
    match verdict {
        plan::Verdict::Culprit { commit, probability, parents, .. } => {
            let mut findings = findings;
            findings.extend(of_forks(bisection, target, &parents));
            let (good, untested): (Vec<_>, Vec<_>) = parents.iter().partition(|p| p.is_settled());
            let commits = |list: Vec<&plan::Cleared>| {
                list.into_iter().map(|parent| bisection.commit(parent.parent)).collect()
            };
            if let Some(why) = refuted(bisection, &findings) {
                return Verdict::Inconclusive {
                    credible: vec![(bisection.commit(Place::Commit(commit)), probability)],
                    older: 0.0,
                    not_reproducible: 0.0,
                    share: Some(probability),
                    why,
                    more: None,
                    // Runs speak against the one commit that explained the others.
                    contradiction: true,
                };
            }
            Verdict::Culprit {
                commit: bisection.commit(Place::Commit(commit)),
                probability,
                parents: commits(good),
                untested: commits(untested),
                findings,
            }
        }
        plan::Verdict::OlderThanGood { probability, crashes, clean } => {
            let target = crashes;
            match bisection.header.find {
                Find::Cause => Verdict::OlderThanGood { probability, target, clean, release: None },
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
            let why = match unclear(bisection, target, &set) {
                None => why,
                Some(unclear) => format!("{why}; {unclear}"),
            };
            Verdict::Inconclusive {
                credible: set
                    .commits
                    .iter()
                    .map(|(commit, p)| (bisection.commit(Place::Commit(*commit)), *p))
                    .collect(),
                older: set.older.unwrap_or(0.0),
                not_reproducible: set.not_reproducible.unwrap_or(0.0),
                share: Some(set.share),
                why,
                more: more.map(|more| MoreRuns {
                    commit: bisection.commit(more.revision),
                    runs: more.runs,
                    build: more.build,
                    bits: more.bits,
                    seconds: more.seconds,
                }),
                contradiction,
            }
        }
    }
}

/// What is said of the branches that an answer without a commit leaves out.
fn unclear(bisection: &Bisection, target: &Target, set: &Credible) -> Option<String> {
    let tells = bisection.knowledge.tells(target);
    let unclear = set.commits.iter().filter(|(commit, _)| !tells[*commit as usize]).count();
    let bad_forks = bisection.knowledge.bad_forks(target);
    match bisection.header.find {
        Find::Fix if unclear > 0 => Some(format!(
            "{unclear} of the commits lie on branches that forked off before the bad end, and are not \
             known to have had the bug"
        )),
        Find::Cause if !bad_forks.is_empty() => {
            let named = bad_forks.iter().take(NAMED).map(|fork| {
                let Commit { id, subject } = bisection.commit(*fork);
                format!("{} (\"{subject}\")", id.get(..12).unwrap_or(&id))
            });
            let named = named.collect::<Vec<_>>().join(", ");
            let more = match bad_forks.len().saturating_sub(NAMED) {
                0 => String::new(),
                more => format!(" and {more} more"),
            };
            Some(format!(
                "the bug was there before a branch forked off at {named}{more}, and is older than the \
                 good end or was mended on the way to it: what such a branch shows says nothing, and \
                 {unclear} of the commits lie there"
            ))
        }
        _ => None,
    }
}

/// What is said, beside a culprit, of the points where branches forked off before the good end.
fn of_forks(bisection: &Bisection, target: &Target, parents: &[plan::Cleared]) -> Vec<Finding> {
    if bisection.header.find == Find::Fix {
        return Vec::new();
    }
    let untested = parents.iter().filter(|parent| !parent.is_settled());
    let forks = untested.map(|it| it.parent).filter(|place| matches!(place, Place::Fork(_)));
    let untested = forks.map(|it| Finding::ForkUntested { fork: bisection.commit(it) });
    let shown = bisection.knowledge.bad_forks(target).into_iter().take(NAMED);
    let shown = shown.map(|it| Finding::ForkShows { fork: bisection.commit(it) });
    untested.chain(shown).collect()
}

/// What is said when undoing the commit did not help (or, of a fix, did not bring the crash back).
fn refuted(bisection: &Bisection, findings: &[Finding]) -> Option<String> {
    findings.iter().find_map(|finding| match finding {
        Finding::Reverted { target, clean, holds: Some(false), .. } => {
            let runs = target + clean;
            Some(match bisection.header.find {
                Find::Cause => format!(
                    "with the commit undone on top of the bad end, the target still shows in \
                     {target} of {runs} runs: it is not the cause, or not alone"
                ),
                Find::Fix => format!(
                    "with the commit undone on top of the good end, {runs} runs stay without the \
                     target ({target} crashes): it is not what keeps the crash away, or not alone"
                ),
            })
        }
        _ => None,
    })
}
