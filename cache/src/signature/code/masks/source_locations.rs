//! Source locations of the sanitizers (UBSAN, KASAN): where checked code and data stand.

use std::collections::HashSet;

use crate::signature::relocatable::{Blank, Extents, Machine, Relocatable, Target};

use super::{counts, is_plain};

/// `struct source_location` (Linux, lib/ubsan.h) and `struct kasan_source_location`
/// (mm/kasan/kasan.h), both the compilers' own: a pointer to the file's name, then line and column
/// of 32 bits.
const NUMBERS: u64 = 8;
const SIZE: u64 = 16;

/// Calls that a sanitizer adds; without any there are no such locations.
const CALLS: [&[u8]; 2] = [b"__ubsan_handle_", b"__asan_"];
/// How names of source files end.
const SOURCES: [&[u8]; 4] = [b".c", b".h", b".S", b".rs"];
/// The longest path that Linux opens.
const LONGEST_NAME: usize = 4096;

/// What: the 8 bytes of line and column. Why: they are only printed. How: data that no symbol
/// holds, in a file that calls a sanitizer, whose first word points to the name of a source file,
/// whose line is not 0, and which something refers to exactly, or which follows such a one (two
/// locations in one record).
pub(super) fn locate(object: &Relocatable<'_>, extents: &Extents, found: &mut [Vec<Blank>]) {
    let calls = |name: &[u8]| CALLS.iter().any(|it| name.starts_with(it));
    if !object.symbols.iter().any(|symbol| calls(symbol.name)) {
        return;
    }
    let pointer = match object.machine {
        Machine::X86_64 => 1,
        Machine::Arm64 => 257,
    };
    let referred = referred(object);
    for (index, section) in object.elf.sections.iter().enumerate() {
        if !counts(object.elf, section) {
            continue;
        }
        let mut last = None;
        for it in object.relocations[index].iter().filter(|it| it.kind == pointer) {
            let numbers = it.offset.saturating_add(NUMBERS)..it.offset.saturating_add(SIZE);
            let known = referred.contains(&(index, it.offset)) || last == Some(it.offset);
            if known
                && numbers.end <= section.size
                && extents.holding(index, it.offset).is_none()
                && is_plain(object, index, numbers.clone())
                && has_line(object, index, numbers.start)
                && names_a_source(object, object.target(index, it))
            {
                last = Some(numbers.end);
                found[index].push(Blank { tag: "source-location", range: numbers, keep: 0 });
            }
        }
    }
}

/// Every place in data that something refers to.
fn referred(object: &Relocatable<'_>) -> HashSet<(usize, u64)> {
    let mut places = HashSet::new();
    for (index, relocations) in object.relocations.iter().enumerate() {
        for relocation in relocations {
            if let Target::Inside { section, offset } = object.target(index, relocation)
                && let Ok(offset) = u64::try_from(offset)
            {
                places.insert((section, offset));
            }
        }
    }
    places
}

fn has_line(object: &Relocatable<'_>, section: usize, at: u64) -> bool {
    let line = bytes_from(object, section, at).and_then(|bytes| bytes.get(..4));
    line.is_some_and(|bytes| bytes != [0; 4])
}

fn names_a_source(object: &Relocatable<'_>, target: Target<'_>) -> bool {
    let Target::Inside { section, offset } = target else { return false };
    let bytes = u64::try_from(offset).ok().and_then(|at| bytes_from(object, section, at));
    let text = bytes.and_then(|bytes| {
        let end = bytes.iter().take(LONGEST_NAME).position(|&byte| byte == 0)?;
        Some(&bytes[..end])
    });
    text.is_some_and(|text| SOURCES.iter().any(|it| text.ends_with(it)))
}

fn bytes_from<'a>(object: &'a Relocatable<'_>, section: usize, at: u64) -> Option<&'a [u8]> {
    let range = object.elf.sections.get(section)?.bytes.clone()?;
    object.elf.data.get(range)?.get(usize::try_from(at).ok()?..)
}
