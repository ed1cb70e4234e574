//! When collecting does not believe what it sees.

use std::collections::HashSet;

use crate::digest::Digest;

use super::needed::Shelf;
use super::policy::Known;

/// Days without a sign of life after which a clock may be wrong rather than the store unused.
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

    /// When there was life in the store.
    pub(super) fn life(&self) -> Life {
        let used = self.builds.iter().map(|build| build.last_use);
        let written = self.shelf.blobs.values().map(|blob| blob.written);
        let signs = used.chain(written).chain([self.now]).filter(|sign| *sign <= self.now);
        let mut signs: Vec<_> = signs.collect();
        signs.sort_unstable();
        Life { signs, now: self.now }
    }
}

/// Signs of life: uses, and blobs that were written. The last one is now.
pub(super) struct Life {
    signs: Vec<i64>,
    now: i64,
}

impl Life {
    /// Why it is not sure that what was last used at `at` is as old as `age` seconds: the days for
    /// which there was no life since. That may have been so; but a clock that was set ahead looks the
    /// same, and goes on. When there was life for long enough since, it does not matter which.
    pub(super) fn doubt(&self, at: i64, age: i64) -> Option<i64> {
        let mut before = at;
        for sign in &self.signs[self.signs.partition_point(|sign| *sign <= at)..] {
            let days = sign.saturating_sub(before) / DAY;
            if days > SILENCE && self.now.saturating_sub(*sign) < age {
                return Some(days);
            }
            before = *sign;
        }
        None
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
        let late = |day: i64| sight(&builds, &shelf, 1, day * DAY).life();
        let doubt = |day, at: i64, age: i64| late(day).doubt(at * DAY, age * DAY);
        assert_eq!((doubt(1001, 990, 5), doubt(1030, 1000, 5)), (None, None));
        assert_eq!((doubt(1400, 990, 180), doubt(1400, 1000, 180)), (Some(400), Some(400)));
        assert_eq!(doubt(1400, 1000, 0), None, "whatever the clock says, it goes");
        // One use by the wrong clock changes nothing, half a year of uses does.
        let used = [1000].into_iter().chain((1400..1600).step_by(20));
        let builds: Vec<_> = used.map(|day| build(day * DAY)).collect();
        let later = |day: i64, at: i64| {
            sight(&builds, &shelf, 1, day * DAY).life().doubt(at * DAY, 180 * DAY)
        };
        assert_eq!((later(1400, 990), later(1579, 1000)), (Some(400), Some(400)));
        assert_eq!((later(1580, 1000), later(1580, 1400)), (None, None));
        let none = HashSet::new();
        let new = Sight { builds: &[], named: &none, shelf: &empty, indexed: 0, now: DAY };
        assert_eq!((new.is_blind(), new.life().doubt(DAY, DAY)), (None, None));
    }
}
