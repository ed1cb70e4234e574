//! Branches that may never have had the bug.

use super::{Knowledge, Known, telling};
use crate::belief::Find;
use crate::plan::{Place, Settings};
use crate::title::Target;

/// Target crashes that show that a revision has the bug.
const SHOWN: u32 = 2;

impl Knowledge {
    /// For each commit whether what its revision shows speaks of the commit that is sought.
    ///
    /// A cause always does. A fix does where the bug is known to be: in whatever contains the older
    /// end, or a revision that has shown the target itself (twice: once could be chance).
    pub(in crate::bisection) fn holds_bug(&self, target: &Target) -> Vec<bool> {
        let mut holds = match self.find {
            Find::Cause => return vec![true; self.revisions.len()],
            Find::Fix => self.holds.clone(),
        };
        let crashes: Vec<u32> = {
            let mut crashes = vec![0; self.counts.len()];
            for (image, slot) in &self.images {
                crashes[*slot as usize] = target.informative(&self.judging(*image)).target;
            }
            crashes
        };
        for commit in 0..holds.len() {
            let shown = match &self.revisions[commit] {
                Some(Known::Built { image, .. }) => crashes[self.images[image] as usize] >= SHOWN,
                _ => false,
            };
            let parents = self.graph.parents(commit as u32);
            holds[commit] |= shown || parents.iter().any(|parent| holds[*parent as usize]);
        }
        holds
    }

    /// The oldest revision, of the branches that hold some of `suspects`, whose runs would show
    /// whether its branch had the bug when it forked off, and how many of `needed` clean runs it
    /// lacks. Nothing when each of them was tried.
    pub(in crate::bisection) fn doubtful_branch(
        &self,
        suspects: &[u32],
        target: &Target,
        needed: u32,
    ) -> Option<(Place, u32)> {
        let holds = self.holds_bug(target);
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
    use crate::graph::Graph;

    #[test]
    fn a_branch_that_only_shows_other_crashes_is_not_run_for_ever() {
        // 0 and 1 forked off before the bad end, which 2 merges with them.
        let graph = Graph::new(vec![vec![], vec![0], vec![1]]).unwrap();
        let mut knowledge = Knowledge::new(graph, Find::Fix, &[false, false, true]);
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
