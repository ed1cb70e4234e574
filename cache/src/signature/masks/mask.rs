//! What a mask is, and how many become one list.

use std::ops::Range;

/// Bytes of the file that do not count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mask {
    pub(crate) kind: MaskKind,
    /// Where, in bytes from the start of the file.
    pub(crate) range: Range<usize>,
}

/// What a mask hides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MaskKind {
    BuildId,
    BuildSalt,
    VdsoVersion,
    Banner,
    ProcBanner,
    UtsRelease,
    UtsVersion,
    ReleaseText,
    Vermagic,
    BootVersion,
    BootPayload,
    BootPayloadLength,
    BootCrc,
}

impl Mask {
    pub(super) fn overlaps(&self, other: &Self) -> bool {
        self.range.start < other.range.end && other.range.start < self.range.end
    }
}

impl MaskKind {
    /// The name that goes into the `image` signature. Changing one is a new version of `image`.
    pub(crate) fn tag(self) -> &'static str {
        match self {
            Self::BuildId => "build-id",
            Self::BuildSalt => "build-salt",
            Self::VdsoVersion => "vdso-version",
            Self::Banner => "linux-banner",
            Self::ProcBanner => "linux-proc-banner",
            Self::UtsRelease => "uts-release",
            Self::UtsVersion => "uts-version",
            Self::ReleaseText => "release-text",
            Self::Vermagic => "vermagic",
            Self::BootVersion => "boot-version",
            Self::BootPayload => "boot-payload",
            Self::BootPayloadLength => "boot-payload-length",
            Self::BootCrc => "boot-crc",
        }
    }
}

/// Masks of a file as one list: see [`apart`].
pub(crate) fn settle(masks: Vec<Mask>) -> Vec<Mask> {
    apart(masks, |it| (it.range.start, it.range.end, it.kind.tag()))
}

/// Sorts masks, given where each starts, where it ends and its name; drops empty ones and
/// repetitions, and drops all of any that overlap each other: at least one of those is not what it
/// seems.
pub(crate) fn apart<T: PartialEq, P: Copy + Ord>(
    mut masks: Vec<T>,
    place: impl Fn(&T) -> (P, P, &'static str),
) -> Vec<T> {
    let (start, end) = (|it: &T| place(it).0, |it: &T| place(it).1);
    masks.retain(|it| start(it) < end(it));
    masks.sort_by_key(&place);
    masks.dedup();
    // How far the masks before each reach, and whether it is alone there.
    let mut alone = vec![true; masks.len()];
    let mut reach: Option<P> = None;
    for at in 0..masks.len() {
        if reach.is_some_and(|reach| start(&masks[at]) < reach) {
            (alone[at - 1], alone[at]) = (false, false);
        }
        reach = reach.max(Some(end(&masks[at])));
    }
    let mut alone = alone.into_iter();
    masks.retain(|_| alone.next().unwrap_or(false));
    masks
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mask(kind: MaskKind, range: Range<usize>) -> Mask {
        Mask { kind, range }
    }

    #[test]
    fn sorts_and_removes_repetitions() {
        let a = mask(MaskKind::BuildId, 0..20);
        let b = mask(MaskKind::BuildSalt, 20..24);
        let empty = mask(MaskKind::Banner, 30..30);
        assert_eq!(settle(vec![b.clone(), a.clone(), empty, b.clone()]), [a, b]);
    }

    #[test]
    fn masks_that_overlap_are_all_dropped() {
        let before = mask(MaskKind::BuildId, 0..10);
        let wide = mask(MaskKind::Banner, 10..40);
        let inner = mask(MaskKind::UtsRelease, 12..14);
        let late = mask(MaskKind::UtsVersion, 39..41);
        let after = mask(MaskKind::Vermagic, 41..42);
        assert_eq!(
            settle(vec![wide, late, before.clone(), after.clone(), inner]),
            [before.clone(), after]
        );
        // Two names for one place contradict each other too.
        assert_eq!(settle(vec![mask(MaskKind::Banner, 0..10), before]), []);
    }
}
