//! `vermagic`: what a module must say to be loaded (Linux, kernel/module/main.c).

use crate::signature::elf::Elf;

use super::locate::Symbols;
use super::mask::{Mask, MaskKind};

pub(super) const SYMBOL: &str = "vermagic";

/// The release at the start of `vermagic`.
///
/// What: the text up to the first space. Why: it is the release again, compared with a module's
/// only where modules of other builds are loaded. How: by the symbol and its size; the text must
/// be terminated. The words after it (SMP, preempt, mod_unload...) are configuration and stay
/// visible.
pub(super) fn release(elf: &Elf<'_>, symbols: &Symbols<'_>) -> Option<Mask> {
    let range = elf.symbol_range(symbols.only(SYMBOL)?)?;
    let text = elf.data[range.clone()].strip_suffix(b"\0")?;
    let length = text.iter().position(|&byte| byte == b' ')?;
    Some(Mask { kind: MaskKind::Vermagic, range: range.start..range.start + length })
}

/// What a kernel says its release is, by the masks that were found in it: in `vermagic`, which modules
/// are held against, else in `init_uts_ns`.
pub(crate) fn kernels_release<'data>(elf: &Elf<'data>, masks: &[Mask]) -> Option<&'data [u8]> {
    let hidden = |kind| {
        let mask = masks.iter().find(|it| it.kind == kind)?;
        Some(&elf.data[mask.range.clone()])
    };
    let text = |field: &'data [u8]| field.split(|&byte| byte == 0).next().unwrap_or_default();
    hidden(MaskKind::Vermagic).or_else(|| hidden(MaskKind::UtsRelease).map(text))
}
