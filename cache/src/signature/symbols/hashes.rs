//! The hash of a function, of data or of a table: bytes, and what they refer to.

use std::ops::Range;
use std::sync::OnceLock;

use blake3::Hasher;

use crate::digest::Digest;
use crate::signature::code::is_told;
use crate::signature::relocatable::{Branches, Contents, Extents, Relocatable, Target};
use crate::signature::side_by_side::side_by_side;

use super::names::{base, is_numbered};
use super::pieces::{Pieces, holds_texts};

/// How deep data without a name is followed through other such data.
const LEVELS: usize = 3;
/// The longest text that is told from others.
const LONGEST_TEXT: usize = 1 << 16;

/// How a target is told from one of another sort.
mod tag {
    pub(super) const NUMBER: u8 = 0;
    pub(super) const GLOBAL: u8 = 1;
    pub(super) const SECTION: u8 = 2;
    pub(super) const TEXT: u8 = 3;
    pub(super) const SELF: u8 = 4;
    pub(super) const LOCAL: u8 = 5;
    pub(super) const PIECE: u8 = 6;
}

/// Whose bytes are hashed.
#[derive(Clone, Copy, Debug)]
pub(super) enum Owner {
    /// An extent, by its index.
    Extent(usize),
    /// Data without a name.
    Piece,
    /// A section as a whole.
    Table,
}

/// Makes hashes.
pub(super) struct Hashes<'a> {
    pub(super) object: &'a Relocatable<'a>,
    pub(super) contents: &'a Contents<'a>,
    pub(super) extents: &'a Extents,
    pub(super) branches: &'a Branches,
    /// A folder that names of files in texts count without.
    folder: Option<&'a [u8]>,
    pieces: Pieces,
    /// Of each piece.
    anonymous: Vec<Digest>,
    /// Of the bytes alone of each extent, made when they are wanted.
    shallow: Vec<OnceLock<Digest>>,
}

impl<'a> Hashes<'a> {
    pub(super) fn new(
        object: &'a Relocatable<'a>,
        contents: &'a Contents<'a>,
        extents: &'a Extents,
        branches: &'a Branches,
        folder: Option<&'a [u8]>,
    ) -> Self {
        let pieces = Pieces::of(object, extents);
        let shallow = extents.all.iter().map(|_| OnceLock::new()).collect();
        let anonymous = Vec::new();
        let mut hashes =
            Self { object, contents, extents, branches, folder, pieces, anonymous, shallow };
        for _ in 0..LEVELS {
            // Each level refers to the hashes of the one before; the first to none.
            let pieces = hashes.pieces.all();
            let weight = |index: usize| pieces[index].1.end - pieces[index].1.start;
            hashes.anonymous = side_by_side(pieces.len(), weight, |index| {
                let (section, range) = &pieces[index];
                hashes.of(*section, range.clone(), Owner::Piece)
            });
        }
        hashes
    }

    /// The hash of a range of a section.
    pub(super) fn of(&self, section: usize, range: Range<u64>, owner: Owner) -> Digest {
        let mut hasher = Hasher::new();
        text(&mut hasher, self.object.elf.sections[section].name);
        number(&mut hasher, range.end - range.start);
        match owner {
            Owner::Extent(index) if !self.branches.inside(index).is_empty() => {
                self.code(&mut hasher, section, range.clone(), index);
            }
            _ => self.contents.read(section, range.clone(), |bytes| _ = hasher.update(bytes)),
        }
        let all = &self.object.relocations[section];
        let first = all.partition_point(|it| it.offset < range.start);
        for relocation in all[first..].iter().take_while(|it| it.offset < range.end) {
            number(&mut hasher, relocation.offset - range.start);
            number(&mut hasher, relocation.kind.into());
            self.target(&mut hasher, self.object.target(section, relocation), owner);
        }
        hasher.finalize().into()
    }

    /// The bytes of a function without the distances of its branches, and where these lead.
    fn code(&self, hasher: &mut Hasher, section: usize, range: Range<u64>, index: usize) {
        let mut copy = Vec::new();
        self.contents.read(section, range.clone(), |bytes| copy.extend_from_slice(bytes));
        let branches = self.branches.inside(index);
        for branch in branches {
            let start = (branch.at - range.start) as usize;
            if let Some(field) = copy.get_mut(start..start + 4) {
                field.iter_mut().zip(branch.keep.to_le_bytes()).for_each(|(it, keep)| *it &= keep);
            }
        }
        hasher.update(&copy);
        for branch in branches {
            number(hasher, branch.at - range.start);
            let to = self.extents.all[branch.target].start;
            self.named(hasher, branch.target, to, Owner::Extent(index));
        }
    }

    fn target(&self, hasher: &mut Hasher, target: Target<'_>, owner: Owner) {
        match target {
            Target::Number(value) => {
                hasher.update(&[tag::NUMBER]);
                number(hasher, value as u64);
            }
            Target::Name(name, addend) if self.is_own(name, owner) => {
                hasher.update(&[tag::SELF]);
                number(hasher, addend as u64);
            }
            Target::Name(name, addend) => {
                hasher.update(&[tag::GLOBAL]);
                text(hasher, name);
                if !matches!(owner, Owner::Table) {
                    number(hasher, addend as u64);
                }
            }
            Target::Inside { section, offset } => self.inside(hasher, section, offset, owner),
        }
    }

    /// Whether a name of the whole kernel is that of what is hashed.
    fn is_own(&self, name: &[u8], owner: Owner) -> bool {
        let Owner::Extent(own) = owner else { return false };
        let symbol = &self.object.symbols[self.extents.all[own].symbol];
        !symbol.is_local() && symbol.name == name
    }

    fn inside(&self, hasher: &mut Hasher, section: usize, offset: i64, owner: Owner) {
        let whole = &self.object.elf.sections[section];
        let offset = u64::try_from(offset).ok().filter(|it| *it < whole.size);
        let offset = offset.filter(|_| is_told(self.object.elf, whole));
        let known = offset.and_then(|offset| {
            if holds_texts(whole) {
                hasher.update(&[tag::TEXT]);
                text(hasher, self.text_at(section, offset));
                return Some(());
            }
            if let Some(extent) = self.extents.holding(section, offset) {
                self.named(hasher, extent, offset, owner);
                return Some(());
            }
            let piece = self.pieces.at(section, offset)?;
            hasher.update(&[tag::PIECE]);
            text(hasher, whole.name);
            // Missing while the first level is made.
            if let Some(hash) = self.anonymous.get(piece) {
                hasher.update(hash.as_bytes());
            }
            Some(())
        });
        if known.is_none() {
            hasher.update(&[tag::SECTION]);
            text(hasher, whole.name);
        }
    }

    fn named(&self, hasher: &mut Hasher, index: usize, offset: u64, owner: Owner) {
        let extent = &self.extents.all[index];
        let behind = offset - extent.start;
        if matches!(owner, Owner::Extent(own) if own == index) {
            hasher.update(&[tag::SELF]);
            number(hasher, behind);
            return;
        }
        let symbol = &self.object.symbols[extent.symbol];
        if !symbol.is_local() {
            // Where compilers place data by anchors they name a place in it by its section.
            return self.target(hasher, Target::Name(symbol.name, behind as i64), owner);
        }
        hasher.update(&[tag::LOCAL]);
        text(hasher, &base(symbol));
        if !(matches!(owner, Owner::Table) && symbol.is_function()) {
            number(hasher, behind);
        }
        if symbol.is_data() && is_numbered(symbol) {
            let made = self.shallow[index].get_or_init(|| {
                let mut hasher = Hasher::new();
                let range = extent.start..extent.end;
                self.contents.read(extent.section, range, |bytes| _ = hasher.update(bytes));
                hasher.finalize().into()
            });
            hasher.update(made.as_bytes());
        }
    }

    fn text_at(&self, section: usize, offset: u64) -> &[u8] {
        let range = self.object.elf.sections[section].bytes.clone().unwrap_or_default();
        let bytes = &self.object.elf.data[range];
        let rest = usize::try_from(offset).ok().and_then(|at| bytes.get(at..)).unwrap_or_default();
        let rest = &rest[..rest.len().min(LONGEST_TEXT)];
        let text = rest.split(|&byte| byte == 0).next().unwrap_or_default();
        let within = self.folder.and_then(|it| text.strip_prefix(it));
        within.filter(|it| it.starts_with(b"/")).unwrap_or(text)
    }
}

fn number(hasher: &mut Hasher, value: u64) {
    hasher.update(&value.to_le_bytes());
}

fn text(hasher: &mut Hasher, value: &[u8]) {
    number(hasher, value.len() as u64);
    hasher.update(value);
}
