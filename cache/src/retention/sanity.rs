//! When collecting does not believe what it sees.

use std::collections::HashSet;

use crate::digest::Digest;

use super::needed::Shelf;
use super::policy::Known;

/// Days without a sign of life after which a clock is rather wrong than the store unused.
const SILENCE: i64 = 30;

/// A day in seconds.
const DAY: i64 = 24 * 3600;

/// What was looked at.
pub(super) struct Sight<'a> {
    pub(super) builds: &'a [Known],
    /// Blobs that builds name.
    pub(super) named: &'a HashSet<Digest>,
    pub(super) shelf: &'a Shelf,
    /// Builds that the index knows.
    pub(super) indexed: usize,
    pub(super) now: i64,
}

impl Sight<'_> {
    /// Why this can't be the whole store: folders that are not there look like empty ones.
    pub(super) fn is_blind(&self) -> Option<&'static str> {
        if self.builds.is_empty() && self.indexed > 0 {
            return Some("the index knows builds, and not one of their manifests is here");
        }
        let is_here = |digest| self.shelf.blobs.contains_key(digest);
        let is_missed = !self.named.is_empty() && !self.named.iter().any(is_here);
        is_missed.then_some("not one of the blobs that builds name is here")
    }

    /// The days, more than a few, for which nobody has used the store by this clock. That may be so;
    /// but a clock that was set ahead says the same, and then everything looks old.
    pub(super) fn silence(&self) -> Option<i64> {
        let used = self.builds.iter().map(|build| build.last_use);
        let written = self.shelf.blobs.values().map(|blob| blob.written);
        let days = self.now.saturating_sub(used.chain(written).max()?) / DAY;
        (days > SILENCE).then_some(days)
    }
}

#[cfg(test)]
mod tests {
    use super::super::needed::Stored;
    use super::*;
    use crate::index::Seen;
    use crate::input::InputKey;

    #[test]
    fn what_can_not_be_is_not_believed() {
        let id = |n: u8| Digest::of(&[n]);
        let build = |at| Known {
            key: InputKey(id(1)),
            seen: Seen { manifest: id(1), tag: None, uses: 0 },
            commit: String::new(),
            commits: vec![],
            last_use: at,
            pinned: false,
        };
        let (builds, named) = ([build(1000 * DAY)], HashSet::from([id(2), id(3)]));
        let empty = Shelf::default();
        let mut shelf = Shelf::default();
        let sight =
            |builds, shelf, indexed, now| Sight { builds, named: &named, shelf, indexed, now };
        let blob = Stored { bytes: 1, rests_on: vec![], written: 990 * DAY };
        shelf.blobs.insert(id(2), blob);
        assert_eq!(sight(&builds, &shelf, 1, 0).is_blind(), None, "one of two is here");
        assert!(sight(&builds, &empty, 1, 0).is_blind().unwrap().contains("blobs"));
        assert!(sight(&[], &shelf, 1, 0).is_blind().unwrap().contains("manifests"));
        let late = |day: i64| sight(&builds, &shelf, 1, day * DAY).silence();
        assert_eq!((late(0), late(1001), late(1030), late(1400)), (None, None, None, Some(400)));
        let none = HashSet::new();
        let new = Sight { builds: &[], named: &none, shelf: &empty, indexed: 0, now: DAY };
        assert_eq!((new.is_blind(), new.silence()), (None, None));
    }
}
