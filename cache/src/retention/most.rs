//! Whether a quota asks for more than its owner may mean.

use serde::{Deserialize, Serialize};

#[cfg(doc)]
use super::report::Gone;

/// A quota for which more than half of the builds would go. That is seldom meant: a slip in the number
/// does it, and so does a store that is packed, where neighbours are differences to a keyframe that
/// stays until the last of them has gone. Removing one then frees next to nothing, and a quota a
/// little below what the store takes may cost nearly all builds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MostGo {
    /// The quota, in bytes.
    pub quota: u64,
    /// Builds that are left once those have gone that go for their age.
    pub builds: u64,
    /// Of these, the ones that go for the quota.
    pub going: u64,
    /// How many may go unasked: half of them.
    pub half: u64,
    /// What these free, in bytes: the longest unused ones.
    pub half_frees: u64,
    /// What all that go free, in bytes.
    pub all_free: u64,
    /// The smallest quota, in bytes, for which no more than half of the builds go.
    pub smallest: u64,
}

/// Says so if more than half of `builds` go for a quota. `left`: what the blobs take before the first of
/// them goes, before the second, and so on; `freed`: what becomes free with each ([`Gone::freed`]); in
/// bytes.
///
/// Only the number of builds counts, not how much each frees: so a smaller quota is never refused less
/// than a larger one, and who collects again and again, and has a few builds more each time, is
/// never asked.
pub(super) fn most_go(quota: u64, builds: usize, left: &[u64], freed: &[u64]) -> Option<MostGo> {
    let (half, going) = (builds / 2, freed.len());
    let smallest = *left.get(half).filter(|_| going > half)?;
    Some(MostGo {
        quota,
        builds: builds as u64,
        going: going as u64,
        half: half as u64,
        half_frees: freed[..half].iter().sum(),
        all_free: freed.iter().sum(),
        smallest,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_neighbour_takes_the_keyframe_along() {
        // Six differences of 10 bytes to a keyframe of 100.
        let (left, freed) = ([160, 150, 140, 130, 120, 110], [10, 10, 10, 10, 10, 110]);
        let said = most_go(90, 6, &left, &freed).unwrap();
        let expected = MostGo {
            quota: 90,
            builds: 6,
            going: 6,
            half: 3,
            half_frees: 30,
            all_free: 160,
            smallest: 130,
        };
        assert_eq!(said, expected);
        // What it offers is not refused, and the next smaller one is.
        assert_eq!(most_go(130, 6, &left[..3], &freed[..3]), None);
        assert_eq!(most_go(129, 6, &left[..4], &freed[..4]).map(|it| it.smallest), Some(130));
    }

    #[test]
    fn half_may_go_and_few_builds_are_builds() {
        assert_eq!(most_go(0, 0, &[], &[]), None);
        assert_eq!(most_go(0, 9, &[], &[]), None);
        assert_eq!(most_go(5, 2, &[10], &[5]), None);
        let said = |most: Option<MostGo>| most.map(|it| (it.half, it.smallest));
        assert_eq!(said(most_go(5, 3, &[15, 10], &[5, 5])), Some((1, 10)));
        assert_eq!(said(most_go(0, 1, &[10], &[10])), Some((0, 10)));
    }
}
