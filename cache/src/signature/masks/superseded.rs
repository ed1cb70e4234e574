//! What the linker leaves of the banner and of `init_uts_ns` when it replaces them.
//!
//! Since 6.1 Linux compiles both twice: weak in `init/version.o`, with a version text that holds no
//! number and no time, and strong in `init/version-timestamp.o`, linked last. The linker takes the
//! strong symbols, but the weak bytes stay in the image, and nothing names them any more.

use memchr::memmem;

use crate::signature::elf::Elf;

use super::banner::{BANNER_END, BANNER_START};
use super::mask::{Mask, MaskKind};
use super::uts::UtsName;

/// More copies than this are not what they seem; real kernels have one.
const MAX_COPIES: usize = 8;

/// Banners without a symbol.
///
/// What: release, user, host and compiler. Why: nothing reads these bytes. How: the real banner up
/// to its version (whose text `init_uts_ns` has), found again in the section of the real one,
/// every byte equal. What follows stays visible: it is constant.
pub(super) fn banners(elf: &Elf<'_>, banner: &Mask, uts: &UtsName) -> Vec<Mask> {
    let version = uts.version(elf);
    let text = &elf.data[banner.range.clone()];
    let Some(head) = text.strip_suffix(version).filter(|_| !version.is_empty()) else {
        return Vec::new();
    };
    let start = banner.range.start - BANNER_START.len();
    let end = banner.range.end + BANNER_END.len();
    let section =
        elf.sections.iter().filter(|it| it.is_allocated()).find_map(|it| {
            it.bytes.clone().filter(|bytes| bytes.start <= start && end <= bytes.end)
        });
    let Some(section) = section else { return Vec::new() };
    let pattern = &elf.data[start..banner.range.start + head.len()];
    copies(&elf.data[section.clone()], pattern)
        .into_iter()
        .map(|at| section.start + at)
        .filter(|&at| at != start)
        .map(|at| Mask {
            kind: MaskKind::Banner,
            range: at + BANNER_START.len()..at + pattern.len(),
        })
        .collect()
}

/// Releases in a `struct new_utsname` without a symbol.
///
/// What: the release field. Why: nothing reads these bytes. How: the first three fields of the
/// real struct, found again in the section of the real one, every byte equal, with the last two
/// fields equal too. The version field stays visible: it is constant.
pub(super) fn releases(elf: &Elf<'_>, uts: &UtsName) -> Vec<Mask> {
    let section = uts.section.clone();
    copies(&elf.data[section.clone()], &elf.data[uts.head()])
        .into_iter()
        .map(|at| section.start + at)
        .filter(|&at| at != uts.head().start)
        .filter_map(|at| {
            let (release, tail) = UtsName::release_and_tail_at(at);
            let inside = tail.end <= section.end;
            (inside && elf.data[tail] == elf.data[uts.tail()])
                .then_some(Mask { kind: MaskKind::UtsRelease, range: release })
        })
        .collect()
}

/// Where a pattern occurs, the real place included; nothing if too often.
fn copies(bytes: &[u8], pattern: &[u8]) -> Vec<usize> {
    let found: Vec<usize> = memmem::find_iter(bytes, pattern).take(MAX_COPIES + 2).collect();
    if found.len() > MAX_COPIES + 1 { Vec::new() } else { found }
}
