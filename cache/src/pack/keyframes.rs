//! Which blobs others are stored as differences to.

use crate::digest::Digest;
use crate::input::InputKey;

/// A difference that takes more than this share of what the blob takes alone is not worth reading
/// two blobs for one.
const WORTH: f64 = 0.5;
/// Keyframes that are tried for a blob: those of its family, the youngest first, then others.
const TRIED: usize = 2;

/// A blob that is stored whole.
#[derive(Clone, Debug)]
pub(super) struct Keyframe {
    pub(super) digest: Digest,
    pub(super) family: InputKey,
    /// What it takes.
    alone: u64,
    /// The smallest difference to it so far.
    least: u64,
    /// By how much all differences to it exceed that: what its age costs.
    excess: u64,
}

/// The keyframes of one file name, oldest first.
#[derive(Clone, Debug, Default)]
pub(super) struct Keyframes(Vec<Keyframe>);

/// A blob that an earlier run has packed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Earlier {
    pub(super) digest: Digest,
    pub(super) family: InputKey,
    /// What it takes.
    pub(super) stored: u64,
    /// What it is a difference to; `None` of one that is stored whole.
    pub(super) base: Option<Digest>,
}

/// What to do with a blob.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Decision {
    /// Store it as the difference that was measured.
    Difference,
    /// Store it whole: others will be differences to it.
    Whole,
}

impl Keyframe {
    /// Notes a difference to it; whether its age has cost as much as a new one would.
    fn is_due(&mut self, difference: u64) -> bool {
        self.least = self.least.min(difference);
        let excess = difference - self.least;
        let is_due = self.excess + excess > self.alone && excess > self.least;
        self.excess = if is_due { 0 } else { self.excess + excess };
        is_due
    }
}

impl Keyframes {
    /// Those of earlier runs, given what these have packed, oldest first. What their age has cost
    /// counts on: a store that is packed often needs new ones no later than one that is packed once.
    pub(super) fn of(packed: &[Earlier]) -> Self {
        let mut keyframes = Self::default();
        // The first one is not the oldest blob, so all are here before any difference to one is.
        for blob in packed.iter().filter(|blob| blob.base.is_none()) {
            keyframes.add(blob.digest, blob.family, blob.stored);
        }
        for blob in packed {
            match &blob.base {
                None => keyframes.renewed(&blob.family),
                Some(base) => _ = keyframes.find(base).map(|it| it.is_due(blob.stored)),
            }
        }
        keyframes
    }

    /// Adds a blob that is stored whole in so many bytes.
    pub(super) fn add(&mut self, digest: Digest, family: InputKey, alone: u64) {
        self.renewed(&family);
        self.0.push(Keyframe { digest, family, alone, least: u64::MAX, excess: 0 });
    }

    /// A family has a new one: what the age of its others has cost is paid.
    fn renewed(&mut self, family: &InputKey) {
        self.0.iter_mut().filter(|it| it.family == *family).for_each(|it| it.excess = 0);
    }

    fn find(&mut self, digest: &Digest) -> Option<&mut Keyframe> {
        self.0.iter_mut().find(|keyframe| keyframe.digest == *digest)
    }

    /// Whether there is none.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The ones to try for a blob of a family, the most promising first.
    pub(super) fn candidates(&self, family: &InputKey) -> Vec<Digest> {
        let (own, others): (Vec<_>, Vec<_>) =
            self.0.iter().rev().partition(|keyframe| keyframe.family == *family);
        // Another family is tried once even when its own has several.
        let most = if others.is_empty() { TRIED } else { TRIED - 1 };
        let own = own.into_iter().take(most);
        own.chain(others).take(TRIED).map(|keyframe| keyframe.digest).collect()
    }

    /// Decides by what was measured: `difference` bytes as a difference to `base`, about `alone`
    /// bytes by itself.
    ///
    /// A chain of builds drifts away from its keyframe, and differences grow. A new keyframe costs
    /// what a whole blob takes; it is due when the old one's age has cost as much (to rent until
    /// one could have bought costs at most twice the best choice in hindsight).
    pub(super) fn decide(&mut self, base: &Digest, difference: u64, alone: u64) -> Decision {
        if difference as f64 > WORTH * alone as f64 {
            return Decision::Whole;
        }
        match self.find(base).is_some_and(|keyframe| keyframe.is_due(difference)) {
            true => Decision::Whole,
            false => Decision::Difference,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(n: u8) -> Digest {
        Digest::of(&[n])
    }

    #[test]
    fn own_family_first_and_the_youngest_of_it() {
        let (ours, theirs) = (InputKey(id(100)), InputKey(id(101)));
        let mut keyframes = Keyframes::default();
        for (n, family) in [(1, ours), (2, theirs), (3, ours)] {
            keyframes.add(id(n), family, 1000);
        }
        assert_eq!(keyframes.candidates(&ours), [id(3), id(2)]);
        assert_eq!(keyframes.candidates(&theirs), [id(2), id(3)]);
    }

    #[test]
    fn a_keyframe_is_renewed_when_its_age_has_cost_as_much() {
        let mut keyframes = Keyframes::default();
        keyframes.add(id(1), InputKey(id(0)), 1000);
        assert_eq!(keyframes.decide(&id(1), 600, 1000), Decision::Whole, "not worth it");
        let mut kept = 0;
        for n in 1..100 {
            if keyframes.decide(&id(1), n * 10, 1000) == Decision::Whole {
                break;
            }
            kept += 1;
        }
        assert!((10..20).contains(&kept), "{kept}");
    }

    /// How many of a chain of blobs that drifts away are stored whole when it is packed so many at a
    /// time. Each differs the more from another the further they are apart.
    fn whole(at_once: usize) -> usize {
        let family = InputKey(id(0));
        let mut packed: Vec<Earlier> = Vec::new();
        for run in (0..200_u8).collect::<Vec<_>>().chunks(at_once) {
            let mut keyframes = Keyframes::of(&packed);
            for n in run {
                let base = keyframes.candidates(&family).first().copied();
                let far = |base: &Digest| (0..200).position(|other| id(other) == *base).unwrap();
                let difference = base.as_ref().map(|base| (*n as u64 - far(base) as u64) * 10);
                let decided = base
                    .as_ref()
                    .zip(difference)
                    .map(|(base, difference)| keyframes.decide(base, difference, 2000));
                let is_whole = decided != Some(Decision::Difference);
                let stored = difference.filter(|_| !is_whole).unwrap_or(2000);
                let base = base.filter(|_| !is_whole);
                if is_whole {
                    keyframes.add(id(*n), family, 2000);
                }
                packed.push(Earlier { digest: id(*n), family, stored, base });
            }
        }
        packed.iter().filter(|blob| blob.base.is_none()).count()
    }

    #[test]
    fn packed_often_or_at_once_there_are_as_many() {
        let at_once = whole(200);
        assert!(at_once > 5, "{at_once}");
        assert_eq!((whole(1), whole(7)), (at_once, at_once));
    }

    #[test]
    fn what_is_near_an_old_one_needs_no_new_one() {
        let family = InputKey(id(0));
        let blob = |n, stored, base: Option<u8>| Earlier {
            digest: id(n),
            family,
            stored,
            base: base.map(id),
        };
        // Its age had cost nearly as much as the second one, which came then.
        let packed = [
            blob(1, 1000, None),
            blob(2, 10, Some(1)),
            blob(3, 480, Some(1)),
            blob(4, 490, Some(1)),
            blob(5, 1000, None),
            blob(6, 10, Some(5)),
        ];
        let mut keyframes = Keyframes::of(&packed);
        assert_eq!(keyframes.decide(&id(1), 100, 1000), Decision::Difference);
    }

    #[test]
    fn steady_differences_need_no_new_keyframe() {
        let mut keyframes = Keyframes::default();
        keyframes.add(id(1), InputKey(id(0)), 1000);
        for _ in 0..1000 {
            assert_eq!(keyframes.decide(&id(1), 100, 1000), Decision::Difference);
        }
    }
}
