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

/// What to do with a blob.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Decision {
    /// Store it as the difference that was measured.
    Difference,
    /// Store it whole: others will be differences to it.
    Whole,
}

impl Keyframes {
    /// Adds a blob that is stored whole in so many bytes.
    pub(super) fn add(&mut self, digest: Digest, family: InputKey, alone: u64) {
        self.0.push(Keyframe { digest, family, alone, least: u64::MAX, excess: 0 });
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
        let Some(keyframe) = self.0.iter_mut().find(|keyframe| keyframe.digest == *base) else {
            return Decision::Difference;
        };
        keyframe.least = keyframe.least.min(difference);
        let excess = difference - keyframe.least;
        if keyframe.excess + excess > keyframe.alone && excess > keyframe.least {
            keyframe.excess = 0;
            return Decision::Whole;
        }
        keyframe.excess += excess;
        Decision::Difference
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

    #[test]
    fn steady_differences_need_no_new_keyframe() {
        let mut keyframes = Keyframes::default();
        keyframes.add(id(1), InputKey(id(0)), 1000);
        for _ in 0..1000 {
            assert_eq!(keyframes.decide(&id(1), 100, 1000), Decision::Difference);
        }
    }
}
