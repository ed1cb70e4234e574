//! Branches that forked off before the older end: those that may never have had the bug whose fix is
//! sought, and those that had the bug already whose cause is.

use super::{Knowledge, Known, telling};
use crate::belief::Find;
use crate::plan::{Place, Settings, parents};
use crate::title::Target;

/// Target crashes that show that a revision has the bug.
const SHOWN: u32 = 2;

impl Knowledge {
    /// For each commit whether what its revision shows speaks of the commit that is sought.
    ///
    /// When a cause is sought, all do but those of branches that forked off where the bug was already: it
    /// is another commit's, which the older end may have lost again. When a fix is sought, those do that
    /// are known to have the bug: whatever contains the older end, or a revision that has shown the target
    /// itself.
    pub(in crate::bisection) fn tells(&self, target: &Target) -> Vec<bool> {
        let commits = 0..self.revisions.len() as u32;
        match self.find {
            Find::Cause => {
                let old = self.after(|parent| self.is_shown_at_fork(target, parent));
                commits.zip(old).map(|(it, old)| !old || self.graph.contains_base(it)).collect()
            }
            Find::Fix => self.after(|place| match place {
                Place::Base => true,
                Place::Fork(_) => self.is_shown_at_fork(target, place),
                Place::Commit(_) => self.is_shown(target, place),
            }),
        }
    }

    /// The fork points that have shown the target themselves.
    pub(in crate::bisection) fn bad_forks(&self, target: &Target) -> Vec<Place> {
        let forks = (0..self.graph.forks()).map(Place::Fork);
        forks.filter(|fork| self.is_shown_at_fork(target, *fork)).collect()
    }

    fn is_shown_at_fork(&self, target: &Target, place: Place) -> bool {
        matches!(place, Place::Fork(_)) && self.is_shown(target, place)
    }

    /// Whether a revision has shown the target itself (twice: once could be chance).
    fn is_shown(&self, target: &Target, place: Place) -> bool {
        let Some(Known::Built { image, .. }) = self.build(place) else { return false };
        target.informative(&self.judging(image)).target >= SHOWN
    }

    /// For each commit whether `is` says so of it, or of anything that it descends from.
    fn after(&self, is: impl Fn(Place) -> bool) -> Vec<bool> {
        let mut after: Vec<bool> = Vec::with_capacity(self.revisions.len());
        for commit in 0..self.revisions.len() as u32 {
            let of_parent = parents(&self.graph, commit).any(|parent| match parent {
                Place::Commit(parent) => after[parent as usize],
                before => is(before),
            });
            after.push(of_parent || is(Place::Commit(commit)));
        }
        after
    }

    /// When a fix is sought: the oldest revision, of the branches that hold some of `suspects`, whose runs
    /// would show whether its branch had the bug when it forked off, and how many of `needed` clean runs
    /// it lacks. Nothing when each of them was tried.
    pub(in crate::bisection) fn doubtful_branch(
        &self,
        suspects: &[u32],
        target: &Target,
        needed: u32,
    ) -> Option<(Place, u32)> {
        if self.find == Find::Cause {
            return None;
        }
        let holds = self.tells(target);
        let mut within = vec![0u64; self.graph.len()];
        suspects.iter().filter(|c| !holds[**c as usize]).for_each(|c| within[*c as usize] = 1);
        self.graph.carry_to_ancestors(&mut within);
        let clean = |known: &Option<Known>| match known {
            None => Some(0),
            Some(Known::Broken) => None,
            Some(Known::Built { image, .. }) => {
                let counts = self.judging(*image);
                // One that mostly shows other crashes tells nothing of the branch, either.
                let tells = !telling(&counts, target).in_vain(Settings::default().patience);
                (self.can_run(*image) && tells).then(|| target.informative(&counts).clean)
            }
        };
        // A branch that was tried in vain is not tried at its next commit.
        let mut tried = vec![false; holds.len()];
        for commit in 0..holds.len() {
            let clean = clean(&self.revisions[commit]);
            let parents = self.graph.parents(commit as u32);
            tried[commit] = clean.is_some_and(|clean| clean >= needed)
                || parents.iter().any(|parent| tried[*parent as usize]);
            if within[commit] == 1
                && !holds[commit]
                && !tried[commit]
                && let Some(clean) = clean
            {
                return Some((Place::Commit(commit as u32), needed - clean));
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use kiln_cache::evidence::Counts;
    use kiln_cache::signature::ImageId;

    use super::*;
    use crate::graph::{Graph, Outside};
    use crate::plan::State;

    /// 0 and 1 forked off before the older end, which 2 merges with them.
    fn branch() -> Graph {
        let outside = vec![(0, Outside::Fork(0)), (2, Outside::Base)];
        Graph::with_outside(vec![vec![], vec![0], vec![1]], outside).unwrap()
    }

    #[test]
    fn a_branch_says_nothing_of_the_cause_where_it_had_the_bug_before_it_forked_off() {
        let target = Target::exactly("A").unwrap();
        let image = ImageId(kiln_cache::Digest::of(b"fork"));
        for (crashes, cause, fix) in
            [(0, [true; 3], [false, false, true]), (2, [false, false, true], [true; 3])]
        {
            for (find, tells) in [(Find::Cause, cause), (Find::Fix, fix)] {
                let mut knowledge = Knowledge::new(branch(), find);
                knowledge.learn_build(Place::Fork(0), Known::Built { image, seconds: 1.0 });
                let crashes = [("A".to_owned(), crashes)].into();
                knowledge.learn_counts(image, Counts { ok: 9, crashes, ..Counts::default() });
                assert_eq!(knowledge.tells(&target), tells, "{find:?}");
                let problem = knowledge.problem(&target, 1);
                let unclear = problem.revisions.iter().map(|it| it.state == State::Unclear);
                assert_eq!(unclear.collect::<Vec<_>>(), tells.map(|tells| !tells));
            }
        }
    }

    #[test]
    fn a_branch_that_only_shows_other_crashes_is_not_run_for_ever() {
        let mut knowledge = Knowledge::new(branch(), Find::Fix);
        let image = ImageId(kiln_cache::Digest::of(b"0"));
        knowledge.learn_build(Place::Commit(0), Known::Built { image, seconds: 1.0 });
        let target = Target::exactly("A").unwrap();
        let mut asked = |others: u32| {
            let crashes = [("B".to_owned(), others)].into();
            knowledge.learn_counts(image, Counts { crashes, ..Counts::default() });
            knowledge.doubtful_branch(&[1], &target, 10)
        };
        assert_eq!(asked(5), Some((Place::Commit(0), 10)));
        assert_eq!(asked(30), Some((Place::Commit(1), 10)), "another revision of it may tell");
    }
}
