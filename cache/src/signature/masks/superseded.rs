//! What the linker leaves of the banner and of `init_uts_ns` when it replaces them.
//!
//! Since 6.1 Linux compiles both twice (init/Makefile): weak in `init/version.o`, and strong in
//! `init/version-timestamp.o`, linked last. The linker takes the strong symbols, but the weak bytes
//! stay in the image, and nothing names them any more. Their version text is that of the strong
//! ones if number and time of the build were given to it; what is not given is left out of it.
//!
//! A copy is hidden as long as it equals the original, also in those bytes of it that are masked:
//! if only one of the two changes, the copy comes to light and the image has another name.

use crate::signature::elf::Elf;
use crate::signature::mapping::ByteSource;

use super::banner::Banner;
use super::copies::copies;
use super::mask::Mask;
use super::uts::UtsName;

/// Banners without a symbol.
///
/// What: release, user, host, compiler and, if it is the real one, version. Why: nothing reads
/// these bytes. How: the real banner up to its version, found again in the section of the real
/// one, every byte equal. Another version than the real one stays visible: it is constant, or
/// can't be told to be one.
pub(super) fn banners(
    elf: &Elf<'_>,
    source: &dyn ByteSource,
    banner: &Banner,
    uts: &UtsName,
) -> Vec<Mask> {
    let Some(version) = banner.version(elf, uts.version(elf)) else { return Vec::new() };
    let head = &elf.data[banner.text.start..version.start];
    let tail = &elf.data[version.start..banner.text.end];
    copies(source, &banner.section, head)
        .into_iter()
        .filter(|&at| at != banner.text.start)
        .map(|at| {
            let head_end = at + head.len();
            let version_too = elf.data[head_end..banner.section.end].starts_with(tail);
            Banner::mask_of_copy(at, head_end + if version_too { version.len() } else { 0 })
        })
        .collect()
}

/// Releases and versions in a `struct new_utsname` without a symbol.
///
/// What: the release field and, if it is the real one, the version field. Why: nothing reads these
/// bytes. How: the first three fields of the real struct, found again in the section of the real
/// one, every byte equal, with the last two fields equal too. For other versions see `banners`.
pub(super) fn names(elf: &Elf<'_>, source: &dyn ByteSource, uts: &UtsName) -> Vec<Mask> {
    copies(source, &uts.section, &elf.data[uts.head()])
        .into_iter()
        .map(|at| uts.at(at))
        .filter(|copy| copy.head().start != uts.head().start)
        .filter(|copy| copy.tail().end <= uts.section.end)
        .filter(|copy| elf.data[copy.tail()] == elf.data[uts.tail()])
        .flat_map(|copy| {
            let version = copy.version_mask();
            let same = elf.data[version.range.clone()] == elf.data[uts.version_mask().range];
            [Some(copy.release_mask()), same.then_some(version)]
        })
        .flatten()
        .collect()
}
