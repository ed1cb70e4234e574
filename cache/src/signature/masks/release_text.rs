//! The release as a text of its own.

use crate::signature::elf::Elf;
use crate::signature::mapping::ByteSource;

use super::banner::Banner;
use super::copies::copies;
use super::mask::{Mask, MaskKind};
use super::uts::UtsName;

/// "6.1.0" is the shortest that Kbuild makes; what is shorter may be anything.
const SHORTEST: usize = 5;

/// Constants that are the release and nothing else, as a few files of Linux have them
/// (kernel/sys.c for programs that ask for "2.6", kernel/trace/trace.c, net/ethtool/ioctl.c).
///
/// What: that text. Why: as for the release of `init_uts_ns`. How: the release of `init_uts_ns`,
/// every byte equal, between two NULs, in the section of the banner. Should it by chance be the
/// text of something else, then it is hidden only where it equals the release: an image in which
/// one of the two differs gets another name.
pub(super) fn release_texts(
    elf: &Elf<'_>,
    source: &dyn ByteSource,
    banner: &Banner,
    uts: &UtsName,
) -> Vec<Mask> {
    let release = uts.release(elf);
    if release.len() < SHORTEST {
        return Vec::new();
    }
    let section = &banner.section;
    copies(source, section, release)
        .into_iter()
        .map(|at| at..at + release.len())
        .filter(|text| text.start > section.start && elf.data[text.start - 1] == 0)
        .filter(|text| text.end < section.end && elf.data[text.end] == 0)
        .map(|range| Mask { kind: MaskKind::ReleaseText, range })
        .collect()
}
