//! Source locations of the sanitizers (UBSAN, KASAN): where checked code and data stand.

use std::collections::BTreeSet;

use object::elf as abi;

use crate::signature::relocatable::{Blank, Extents, Machine, Relocatable, Target};

use super::first_arguments::{Given, first_arguments};
use super::{counts, is_plain, relocation_at};

/// `struct source_location` (Linux, lib/ubsan.h) and `struct kasan_source_location`
/// (mm/kasan/kasan.h), both the compilers' own: a pointer to the file's name, then line and column
/// of 32 bits.
const NUMBERS: u64 = 8;
const SIZE: u64 = 16;

/// What is called when a check of UBSAN fails (Linux, lib/ubsan.c): with a record that begins with the
/// location. The kernel writes into it.
const UBSAN: &[u8] = b"__ubsan_handle_";
/// What constructors call with an array of `struct kasan_global` (Linux, mm/kasan/generic.c).
const KASAN: &[u8] = b"__asan_register_globals";
/// How names of source files end.
const SOURCES: [&[u8]; 4] = [b".c", b".h", b".S", b".rs"];
/// The longest path that Linux opens.
const LONGEST_NAME: usize = 4096;

/// What: the 8 bytes of line and column. Why: they are only printed. How: at the start of a record in
/// writable memory that a check of UBSAN is given, or where an entry of an array says that KASAN is
/// given; in data that no symbol holds, with a pointer to the name of a source file, and a line that is
/// not 0. Data that only looks like that, as initial values of a local array may, is none.
pub(super) fn locate(object: &Relocatable<'_>, extents: &Extents, found: &mut [Vec<Blank>]) {
    let is_wanted = |name: &[u8]| name.starts_with(UBSAN) || name == KASAN;
    if !object.symbols.iter().any(|symbol| is_wanted(symbol.name)) {
        return;
    }
    let mut places = BTreeSet::new();
    let mut globals = BTreeSet::new();
    for Given { callee, section, offset } in first_arguments(object, is_wanted) {
        if callee == KASAN {
            places.extend(locations_of_globals(object, section, offset, &mut globals));
        } else if object.elf.sections[section].flags & abi::SHF_WRITE.0 != 0 {
            places.insert((section, offset));
        }
    }
    for (section, offset) in places {
        let Some(end) = offset.checked_add(SIZE) else { continue };
        let numbers = offset + NUMBERS..end;
        if counts(object.elf, &object.elf.sections[section])
            && end <= object.elf.sections[section].size
            && extents.holding(section, offset).is_none()
            && is_plain(object, section, numbers.clone())
            && has_line(object, section, numbers.start)
            && pointer(object, section, offset).is_some_and(|it| names_a_source(object, it))
        {
            found[section].push(Blank { tag: "source-location", range: numbers, keep: 0 });
        }
    }
}

/// Where the locations are that an array's entries point to. `seen`: entries that were read; none is
/// read twice, so that arrays inside of arrays cost no hours.
fn locations_of_globals(
    object: &Relocatable<'_>,
    section: usize,
    start: u64,
    seen: &mut BTreeSet<(usize, u64)>,
) -> Vec<(usize, u64)> {
    let mut locations = Vec::new();
    let mut module = None;
    let mut at = start;
    while let Some(global) = Global::read(object, section, at)
        && module.is_none_or(|it| it == global.module)
        && seen.insert((section, at))
    {
        // Of one file, as all of an array are: it ends before the next file's.
        module = Some(global.module);
        if let Some(Target::Inside { section, offset }) = global.location
            && let Ok(offset) = u64::try_from(offset)
        {
            locations.push((section, offset));
        }
        at += Global::SIZE;
    }
    locations
}

/// `struct kasan_global` (Linux, mm/kasan/kasan.h).
struct Global<'data> {
    /// The name of the file that was compiled.
    module: Target<'data>,
    /// There is none of what the compiler made itself.
    location: Option<Target<'data>>,
}

impl<'data> Global<'data> {
    /// Eight words: the global, its size, its size with the red zone, its name, module, whether it is
    /// initialized when the kernel runs, location, and an indicator that kernels have no use for.
    const SIZE: u64 = 64;

    /// The entry at an offset, if there is one.
    fn read(object: &Relocatable<'data>, section: usize, at: u64) -> Option<Self> {
        let end = at.checked_add(Self::SIZE)?;
        let word = |number: u64| at + number * 8;
        let pointer = |number| pointer(object, section, word(number));
        let is_plain = |from, to| is_plain(object, section, word(from)..word(to));
        let is_one = end <= object.elf.sections[section].size
            && pointer(0).is_some()
            && is_plain(1, 3)
            && pointer(3).is_some()
            && is_plain(5, 6)
            && is_plain(7, 8);
        let module = pointer(4).filter(|_| is_one)?;
        Some(Self { module, location: pointer(6) })
    }
}

/// What a pointer at an offset leads to, if there is one.
fn pointer<'data>(
    object: &Relocatable<'data>,
    section: usize,
    offset: u64,
) -> Option<Target<'data>> {
    let kind = match object.machine {
        Machine::X86_64 => 1,
        Machine::Arm64 => 257,
    };
    let relocation = relocation_at(object, section, offset).filter(|it| it.kind == kind)?;
    Some(object.target(section, relocation))
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
