//! Finds everything in an image that is masked.

use crate::signature::ElfError;
use crate::signature::elf::{Elf, Symbol};
use crate::signature::mapping::ByteSource;

use super::banner::Banner;
use super::mask::{Mask, settle};
use super::uts::UtsName;
use super::{banner, note_values, release_text, superseded, uts, vdso, vermagic};

/// A kernel has about ten. With thousands, none of them can be trusted.
const MAX_SYMBOLS: usize = 1024;

/// The symbols that masks are found by.
pub(super) struct Symbols<'data> {
    all: Vec<Symbol<'data>>,
}

impl<'data> Symbols<'data> {
    pub(super) fn read(elf: &Elf<'data>) -> Result<Self, ElfError> {
        let fixed = [banner::BANNER, banner::PROC_BANNER, uts::SYMBOL, vermagic::SYMBOL];
        let mut all = elf.symbols(|name| {
            fixed.iter().any(|it| it.as_bytes() == name) || vdso::may_name_an_image(name)
        })?;
        if all.len() > MAX_SYMBOLS {
            all.clear();
        }
        Ok(Self { all })
    }

    /// The data symbol of a name, if there is exactly one.
    pub(super) fn only(&self, name: &str) -> Option<&Symbol<'data>> {
        let mut named = self.all.iter().filter(|it| it.is_object && it.name == name.as_bytes());
        let first = named.next()?;
        named.next().is_none().then_some(first)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Symbol<'data>> {
        self.all.iter()
    }
}

/// The masks of an image in file order; they do not overlap.
pub(crate) fn locate(elf: &Elf<'_>, source: &dyn ByteSource) -> Result<Vec<Mask>, ElfError> {
    let symbols = Symbols::read(elf)?;
    // The symbol table and its names, which may be large, are read once.
    source.done(0..elf.data.len());
    let banner = Banner::locate(elf, &symbols);
    let uts = UtsName::locate(elf, &symbols);
    let mut masks = note_values::identity_notes(elf);
    masks.extend(vdso::notes_of_embedded_images(elf, &symbols));
    masks.extend(vermagic::release(elf, &symbols));
    masks.extend(banner::linux_proc_banner(elf, &symbols));
    masks.extend(banner.as_ref().map(Banner::mask));
    if let Some(uts) = &uts {
        masks.extend([uts.release_mask(), uts.version_mask()]);
        masks.extend(superseded::names(elf, source, uts));
    }
    if let (Some(banner), Some(uts)) = (&banner, &uts) {
        masks.extend(superseded::banners(elf, source, banner, uts));
        let mut texts = release_text::release_texts(elf, source, banner, uts);
        // Where an architecture keeps both in one section, the release of `init_uts_ns` is one.
        texts.retain(|text| masks.iter().all(|it| !it.overlaps(text)));
        masks.extend(texts);
    }
    Ok(settle(masks))
}
