//! `init_uts_ns`: what `uname` answers (Linux, init/version.c or init/version-timestamp.c).

use std::ops::Range;

use crate::signature::elf::Elf;

use super::locate::Symbols;
use super::mask::{Mask, MaskKind};

pub(super) const SYMBOL: &str = "init_uts_ns";

/// Length of each field of `struct new_utsname` (Linux, include/uapi/linux/utsname.h), whose
/// fields are sysname, nodename, release, version, machine and domainname. It is part of the
/// interface to programs, so that layout randomization leaves it alone.
const FIELD: usize = 65;
const RELEASE: usize = 2;
const VERSION: usize = 3;
const FIELDS: usize = 6;
const NAME: usize = FIELD * FIELDS;

/// Where `init_uts_ns.name` lies.
#[derive(Debug)]
pub(super) struct UtsName {
    /// First byte of sysname, in bytes from the start of the file.
    start: usize,
    /// The bytes of the section that holds it, in the file.
    pub(super) section: Range<usize>,
}

impl UtsName {
    /// Finds `struct new_utsname` inside `init_uts_ns`.
    ///
    /// The position of the struct differs between versions and, with layout randomization, between
    /// builds. It is where, of all positions inside the symbol, exactly one has six fields in a
    /// row of which sysname is `Linux` and nodename, machine and domainname are texts padded with
    /// NULs. The fields that get masked are not looked at: no value of theirs moves the mask.
    pub(super) fn locate(elf: &Elf<'_>, symbols: &Symbols<'_>) -> Option<Self> {
        let symbol = symbols.only(SYMBOL)?;
        let range = elf.symbol_range(symbol)?;
        let bytes = &elf.data[range.clone()];
        let mut found = bytes.windows(NAME).enumerate().filter(|(_, it)| is_name(it));
        let (offset, _) = found.next()?;
        if found.next().is_some() {
            return None;
        }
        let section = elf.sections.get(symbol.section)?.bytes.clone()?;
        Some(Self { start: range.start + offset, section })
    }

    /// The whole release field.
    ///
    /// What: the version and the local version, often a commit id, with its padding. Why: the code
    /// of the kernel does not depend on it. (Programs may; builds by Kiln's recipe have it fixed.)
    pub(super) fn release_mask(&self) -> Mask {
        Mask { kind: MaskKind::UtsRelease, range: self.field(RELEASE) }
    }

    /// The whole version field.
    ///
    /// What: the build's number and time, with its padding. Why: it is only printed.
    pub(super) fn version_mask(&self) -> Mask {
        Mask { kind: MaskKind::UtsVersion, range: self.field(VERSION) }
    }

    /// The text of the release field, without padding.
    pub(super) fn release<'data>(&self, elf: &Elf<'data>) -> &'data [u8] {
        text(&elf.data[self.field(RELEASE)])
    }

    /// The text of the version field, without padding.
    pub(super) fn version<'data>(&self, elf: &Elf<'data>) -> &'data [u8] {
        text(&elf.data[self.field(VERSION)])
    }

    /// The same struct at another place of the same section.
    pub(super) fn at(&self, start: usize) -> Self {
        Self { start, section: self.section.clone() }
    }

    /// The fields before version: what no other bytes of a kernel equal by chance.
    pub(super) fn head(&self) -> Range<usize> {
        self.start..self.start + FIELD * VERSION
    }

    /// The fields after version.
    pub(super) fn tail(&self) -> Range<usize> {
        self.start + FIELD * (VERSION + 1)..self.start + NAME
    }

    fn field(&self, index: usize) -> Range<usize> {
        self.start + FIELD * index..self.start + FIELD * (index + 1)
    }
}

fn text(field: &[u8]) -> &[u8] {
    field.split(|&byte| byte == 0).next().unwrap_or_default()
}

/// Whether bytes are a `struct new_utsname`, by its unmasked fields.
fn is_name(bytes: &[u8]) -> bool {
    bytes.starts_with(b"Linux\0")
        && bytes
            .chunks_exact(FIELD)
            .enumerate()
            .filter(|(index, _)| !matches!(*index, RELEASE | VERSION))
            .all(|(_, field)| is_text(field))
}

/// Whether a field is printable text, at least one byte of it, padded with NULs.
fn is_text(field: &[u8]) -> bool {
    let end = field.iter().position(|&byte| byte == 0).unwrap_or(0);
    end > 0
        && field[..end].iter().all(|byte| matches!(byte, b' '..=b'~'))
        && field[end..].iter().all(|&byte| byte == 0)
}
