//! Thousands of single flipped bits of a `vmlinux.o`: each changes `code`, or is masked by name.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::time::Instant;

use kiln_cache::signature::{Masked, SignatureKind, masked_code, sign_kind};
use object::read::elf::{FileHeader as _, Rela as _, SectionHeader as _};
use object::{Endianness, elf};
use tempfile::TempDir;

use crate::flips::Random;
use crate::support::scratch;
use crate::tree::shared;

type Header = elf::FileHeader64<Endianness>;

/// How many bits of what is loaded are flipped, and how many of relocations.
const FLIPS: usize = 2000;
const RELOCATION_FLIPS: usize = 400;
/// How many masks of each kind are looked at on both sides of their ends.
const MASKS: usize = 40;

/// Loaded sections that `code` does not see: said again of the rest of the file, dropped by every
/// kernel's linker script, or read by no x86 kernel.
const UNSEEN: [&str; 4] = [".discard", "__mcount_loc", "__patchable_function_entries", ".eh_frame"];

/// A `vmlinux.o` that is changed in place and put right again.
struct Object {
    _folder: TempDir,
    path: PathBuf,
    bytes: Vec<u8>,
    code: String,
    masks: Vec<Masked>,
}

/// What of the file counts, as ranges of it.
struct Counted {
    /// Bytes of sections but for those that the linker writes.
    bytes: Vec<Range<usize>>,
    /// Entries of relocations of these sections, by where what they change is.
    relocations: BTreeMap<usize, usize>,
}

impl Object {
    fn of(objects: &Path) -> Self {
        Self::new(fs::read(objects.join("vmlinux.o")).unwrap())
    }

    fn new(bytes: Vec<u8>) -> Self {
        let folder = scratch();
        let path = folder.path().join("vmlinux.o");
        fs::write(&path, &bytes).unwrap();
        let masks = masked_code(&path).unwrap();
        let code = sign(&path);
        Self { _folder: folder, path, bytes, code, masks }
    }

    /// Whether `code` is another one with a bit flipped. What makes the file unreadable is seen, too.
    fn sees(&self, at: usize, bit: u8) -> bool {
        self.flipped(at, bit, || sign(&self.path) != self.code)
    }

    fn flipped<T>(&self, at: usize, bit: u8, look: impl FnOnce() -> T) -> T {
        let file = File::options().write(true).open(&self.path).unwrap();
        file.write_all_at(&[self.bytes[at] ^ bit], at as u64).unwrap();
        let seen = look();
        file.write_all_at(&self.bytes[at..=at], at as u64).unwrap();
        seen
    }

    /// Flips each of some bits by itself, on every processor, and asserts that each is seen.
    fn sees_all(&self, bits: &[(usize, u8)]) {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        std::thread::scope(|scope| {
            for share in bits.chunks(bits.len().div_ceil(threads)) {
                let own = Self::new(self.bytes.clone());
                scope.spawn(move || {
                    for &(at, bit) in share {
                        assert!(own.sees(at, bit), "bit {bit:#x} of byte {at:#x}");
                    }
                    // All was put right again, so it was each flip that told.
                    assert_eq!(sign(&own.path), own.code);
                });
            }
        });
    }

    fn is_masked(&self, at: usize) -> bool {
        self.masks.iter().any(|it| (it.start..it.start + it.length).contains(&(at as u64)))
    }

    fn counted(&self) -> Counted {
        let header = Header::parse(&self.bytes[..]).unwrap();
        let endian = header.endian().unwrap();
        let sections = header.sections(endian, &self.bytes[..]).unwrap();
        let mut counted = Counted { bytes: Vec::new(), relocations: BTreeMap::new() };
        for (index, section) in sections.enumerate() {
            let name = String::from_utf8_lossy(sections.section_name(endian, section).unwrap());
            let is_loaded = section.sh_flags(endian).0 & elf::SHF_ALLOC.0 != 0;
            let is_seen = !UNSEEN.iter().any(|it| name.starts_with(it));
            let Some((start, size)) = section.file_range(endian) else { continue };
            if !is_loaded || !is_seen {
                continue;
            }
            let mut fields: BTreeMap<usize, (usize, usize)> = BTreeMap::new();
            for entries in sections.iter().filter(|it| it.sh_info(endian) as usize == index.0) {
                let Some((list, _)) = entries.rela(endian, &self.bytes[..]).unwrap() else {
                    continue;
                };
                let first = entries.sh_offset(endian) as usize;
                for (number, it) in list.iter().enumerate() {
                    let at = start as usize + it.r_offset(endian) as usize;
                    let entry = first + number * size_of_val(it);
                    fields.insert(at, (width(it.r_type(endian, false)), entry));
                }
            }
            let mut from = start as usize;
            for (&at, &(width, entry)) in &fields {
                counted.bytes.push(from..at.max(from));
                from = from.max(at + width);
                counted.relocations.insert(at, entry);
            }
            counted.bytes.push(from..((start + size) as usize).max(from));
        }
        counted.bytes.retain(|it| !it.is_empty());
        counted
    }
}

/// How many bytes the linker writes (System V ABI, AMD64 supplement, "Relocation Types").
fn width(kind: elf::RelocationType) -> usize {
    match kind.0 {
        // R_X86_64_64, PC64.
        1 | 24 => 8,
        // 16, PC16.
        12 | 13 => 2,
        // 8, PC8.
        14 | 15 => 1,
        0 => 0,
        _ => 4,
    }
}

fn sign(path: &Path) -> String {
    let code = sign_kind(path, SignatureKind::Code);
    code.map_or_else(|error| error.to_string(), |code| code.hash.to_hex())
}

fn any_bit(random: &mut Random) -> u8 {
    1 << random.below(8)
}

#[test]
fn every_byte_of_code_that_is_not_masked_counts() {
    let Some(object) = shared().map(|tree| Object::of(&tree.objects())) else { return };
    let counted = object.counted();
    let total: usize = counted.bytes.iter().map(ExactSizeIterator::len).sum();
    let mut random = Random(5);
    let mut bits = Vec::with_capacity(FLIPS + RELOCATION_FLIPS);
    while bits.len() < FLIPS {
        let mut at = random.below(total);
        let range = counted.bytes.iter().find(|range| {
            let inside = at < range.len();
            at -= if inside { 0 } else { range.len() };
            inside
        });
        let at = range.unwrap().start + at;
        if !object.is_masked(at) {
            bits.push((at, any_bit(&mut random)));
        }
    }
    // Of a relocation the place, the type and the addend: another symbol may be the same place.
    let entries: Vec<usize> = counted.relocations.values().copied().collect();
    for _ in 0..RELOCATION_FLIPS {
        let parts = [0..8, 8..12, 16..24];
        let part = parts[random.below(parts.len())].clone();
        let at = entries[random.below(entries.len())] + part.start + random.below(part.len());
        bits.push((at, any_bit(&mut random)));
    }
    let begun = Instant::now();
    object.sees_all(&bits);
    eprintln!(
        "{FLIPS} flipped bits of {total} bytes of vmlinux.o and {RELOCATION_FLIPS} of {} relocations: \
         each changes `code` ({} s)",
        entries.len(),
        begun.elapsed().as_secs()
    );
}

#[test]
fn masks_of_code_end_where_they_say() {
    let Some(object) = shared().map(|tree| Object::of(&tree.objects())) else { return };
    let kinds = masks_end_where_they_say(&object);
    assert!(kinds.contains_key("bug-line"), "{kinds:?}");
}

/// The same of a folder of objects, with masks of these kinds.
pub(crate) fn masks_of_code_in(objects: &Path, wanted: &[&str]) {
    let kinds = masks_end_where_they_say(&Object::of(objects));
    assert!(wanted.iter().all(|kind| kinds.contains_key(kind)), "{kinds:?}");
}

/// Flips bits at both ends of masks, and just outside; gives how many of each kind were looked at.
fn masks_end_where_they_say(object: &Object) -> BTreeMap<&'static str, usize> {
    let counted = object.counted();
    let is_counted = |at: usize| counted.bytes.iter().any(|it| it.contains(&at));
    let mut by_kind: BTreeMap<&str, Vec<&Masked>> = BTreeMap::new();
    for it in &object.masks {
        by_kind.entry(it.kind).or_default().push(it);
    }
    let mut checked = BTreeMap::new();
    for (kind, masks) in by_kind {
        let step = masks.len().div_ceil(MASKS);
        let mut beside = 0;
        for it in masks.iter().step_by(step) {
            let (start, end) = (it.start as usize, (it.start + it.length) as usize);
            let mut inside = vec![(start, 1), (end - 1, 0x80)];
            if kind == "dyndbg-line" {
                // Of its four bytes the lowest 18 bits are the line; what is above counts.
                inside = vec![(start, 1), (start + 2, 2)];
                assert!(
                    object.sees(start + 2, 4) && object.sees(end - 1, 0x80),
                    "{kind} {start:#x}"
                );
            }
            for (at, bit) in inside {
                // What is hidden because it has a value is uncovered by a flip.
                let moved = object.flipped(at, bit, || {
                    masked_code(&object.path).map_or(true, |masks| masks != object.masks)
                });
                assert_eq!(object.sees(at, bit), moved, "{kind} inside at {at:#x}");
                assert!(!moved, "{kind} at {at:#x} is hidden by its own value");
            }
            for at in [start - 1, end] {
                if is_counted(at) && !object.is_masked(at) {
                    assert!(object.sees(at, 1), "{kind} beside {at:#x}");
                    beside += 1;
                }
            }
            // A field of the linker before or behind it: what it is filled with.
            let near = counted.relocations.range(start.saturating_sub(8)..=end);
            for (_, entry) in near {
                assert!(object.sees(entry + 16, 1), "{kind}: the relocation at {entry:#x}");
                beside += 1;
            }
            *checked.entry(kind).or_insert(0) += 1;
        }
        assert!(beside > 0, "nothing beside any {kind}");
    }
    eprintln!("masks of vmlinux.o: {checked:?}");
    checked
}
