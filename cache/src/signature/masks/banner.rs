//! The two texts of who built the kernel, with what and when (Linux, init/version.c).

use crate::signature::elf::Elf;

use super::locate::Symbols;
use super::mask::{Mask, MaskKind};

pub(super) const BANNER: &str = "linux_banner";
pub(super) const PROC_BANNER: &str = "linux_proc_banner";

/// What every `linux_banner` begins with.
pub(super) const BANNER_START: &[u8] = b"Linux version ";
/// What every `linux_banner` ends with.
pub(super) const BANNER_END: &[u8] = b"\n\0";

/// `linux_banner`: the line printed first at boot.
///
/// What: release, user, host, compiler and time. Why: it is only printed. How: by the symbol and
/// its size, if the text begins and ends as the source has it; these ends stay visible.
pub(super) fn linux_banner(elf: &Elf<'_>, symbols: &Symbols<'_>) -> Option<Mask> {
    let ends = (BANNER_START, BANNER_END);
    between(elf, symbols, BANNER, MaskKind::Banner, ends)
}

/// `linux_proc_banner`: the format of `/proc/version`.
///
/// What: user, host and compiler. Why: they are only printed. How: as for `linux_banner`; the
/// format's own directives stay visible.
pub(super) fn linux_proc_banner(elf: &Elf<'_>, symbols: &Symbols<'_>) -> Option<Mask> {
    let ends: (&[u8], &[u8]) = (b"%s version %s (", b") %s\n\0");
    between(elf, symbols, PROC_BANNER, MaskKind::ProcBanner, ends)
}

/// What lies between the fixed ends of a symbol's bytes.
fn between(
    elf: &Elf<'_>,
    symbols: &Symbols<'_>,
    name: &str,
    kind: MaskKind,
    (start, end): (&[u8], &[u8]),
) -> Option<Mask> {
    let range = elf.symbol_range(symbols.only(name)?)?;
    let middle = elf.data[range.clone()].strip_prefix(start)?.strip_suffix(end)?;
    let first = range.start + start.len();
    Some(Mask { kind, range: first..first + middle.len() })
}
