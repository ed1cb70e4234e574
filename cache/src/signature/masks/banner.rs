//! The two texts of who built the kernel, with what and when (Linux, init/version.c).

use std::ops::Range;

use crate::signature::elf::Elf;

use super::locate::Symbols;
use super::mask::{Mask, MaskKind};

pub(super) const BANNER: &str = "linux_banner";
pub(super) const PROC_BANNER: &str = "linux_proc_banner";

/// A real one is a few hundred bytes: what is longer is no banner.
const MAX_LENGTH: usize = 4096;

const BANNER_START: &[u8] = b"Linux version ";
const BANNER_END: &[u8] = b"\n\0";

/// Where `linux_banner` lies.
#[derive(Debug)]
pub(super) struct Banner {
    /// All of its text, in the file.
    pub(super) text: Range<usize>,
    /// The bytes of the section that holds it, in the file.
    pub(super) section: Range<usize>,
}

impl Banner {
    /// Finds `linux_banner`, the line printed first at boot, by its symbol and size, if the text
    /// begins and ends as the source has it.
    pub(super) fn locate(elf: &Elf<'_>, symbols: &Symbols<'_>) -> Option<Self> {
        let symbol = symbols.only(BANNER)?;
        let text = elf.symbol_range(symbol).filter(|it| it.len() <= MAX_LENGTH)?;
        between(elf, &text, BANNER_START, BANNER_END)?;
        let section = elf.sections.get(symbol.section)?.bytes.clone()?;
        Some(Self { text, section })
    }

    /// What: release, user, host, compiler and time. Why: the banner is only printed. How: all of
    /// it but its fixed ends.
    pub(super) fn mask(&self) -> Mask {
        Self::mask_of_copy(self.text.start, self.text.end - BANNER_END.len())
    }

    /// What is masked of a banner that starts at a place of the file and is one up to another.
    pub(super) fn mask_of_copy(start: usize, end: usize) -> Mask {
        Mask { kind: MaskKind::Banner, range: start + BANNER_START.len()..end }
    }

    /// Where the banner's version text lies: it ends the banner, and is the same as the version of
    /// `init_uts_ns`. `None` if it is not.
    pub(super) fn version(&self, elf: &Elf<'_>, version: &[u8]) -> Option<Range<usize>> {
        let visible = self.mask().range;
        let head = elf.data[visible.clone()].strip_suffix(version)?;
        (!version.is_empty()).then_some(visible.start + head.len()..visible.end)
    }
}

/// `linux_proc_banner`: the format of `/proc/version`.
///
/// What: user, host and compiler. Why: they are only printed. How: by the symbol and its size, if
/// the text begins and ends as the source has it; these directives of the format stay visible.
pub(super) fn linux_proc_banner(elf: &Elf<'_>, symbols: &Symbols<'_>) -> Option<Mask> {
    let text = elf.symbol_range(symbols.only(PROC_BANNER)?)?;
    let range = between(elf, &text, b"%s version %s (", b") %s\n\0")?;
    Some(Mask { kind: MaskKind::ProcBanner, range })
}

/// What lies between the fixed ends of a text.
fn between(elf: &Elf<'_>, text: &Range<usize>, start: &[u8], end: &[u8]) -> Option<Range<usize>> {
    let middle = elf.data[text.clone()].strip_prefix(start)?.strip_suffix(end)?;
    let first = text.start + start.len();
    Some(first..first + middle.len())
}
