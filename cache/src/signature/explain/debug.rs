//! Debug information: not loaded, but it is part of what the build id is made of.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hasher as _};
use std::ops::Range;

use memchr::memmem;
use object::elf as abi;

use crate::signature::elf::is_debug;

use super::kernel::{Elves, Side};
use super::known::Known;
use super::lines::Lines;
use super::paths::{Moved, absolute_texts, moved};
use super::{Cause, CauseKind, Difference};

/// Sections of texts that hold the names of folders and files.
const TEXTS: [&[u8]; 2] = [b".debug_line_str", b".debug_str"];

/// Sections that hold names of what is described, and the forms of descriptions.
const NAMES_AND_FORMS: [&str; 2] = ["debug_str", "debug_abbrev"];

/// One row, if any debug section differs.
pub(super) fn differences(
    elves: &Elves<'_>,
    known: &Known<'_>,
    code_equal: bool,
) -> Option<Difference> {
    let (before, after) = (sections(&elves.before), sections(&elves.after));
    let mut differing: Vec<String> = Vec::new();
    let mut bytes = 0;
    for (name, a) in &before {
        let b = after.iter().find(|it| it.0 == *name).map_or(0..0, |it| it.1.clone());
        let (old, new) = (&elves.before.elf.data[a.clone()], &elves.after.elf.data[b.clone()]);
        if old != new {
            differing.push(String::from_utf8_lossy(name).into_owned());
            bytes += match old.len() == new.len() {
                true => old.iter().zip(new).filter(|(a, b)| a != b).count() as u64,
                false => (old.len() as u64).abs_diff(new.len() as u64),
            };
        }
        elves.before.source.done(a.clone());
        elves.after.source.done(b);
    }
    for (name, added) in only_in(&after, &before) {
        differing.push(String::from_utf8_lossy(name).into_owned());
        bytes += added.len() as u64;
    }
    if differing.is_empty() {
        return None;
    }
    let causes = causes(elves, known, code_equal, &differing);
    Some(Difference {
        file: crate::build_draft::VMLINUX.to_owned(),
        place: "debug information".to_owned(),
        symbol_count: differing.len() as u64,
        symbols: differing.into_iter().take(super::MOST_SYMBOLS).collect(),
        bytes,
        masked: true,
        causes,
    })
}

/// A section by name, with its bytes.
type Named<'data> = (&'data [u8], Range<usize>);

/// Those of some sections that others lack.
fn only_in<'a, 'data>(
    sections: &'a [Named<'data>],
    others: &'a [Named<'data>],
) -> impl Iterator<Item = &'a Named<'data>> {
    sections.iter().filter(|it| others.iter().all(|other| other.0 != it.0))
}

/// Sections of debug information.
fn sections<'data>(side: &Side<'data>) -> Vec<Named<'data>> {
    let all = side.elf.sections.iter().filter(|it| is_debug(it.name));
    all.filter_map(|it| Some((it.name, it.bytes.clone()?))).collect()
}

fn causes(
    elves: &Elves<'_>,
    known: &Known<'_>,
    code_equal: bool,
    differing: &[String],
) -> Vec<Cause> {
    if let Some(moved) = moved_folder(elves) {
        let kind = CauseKind::SourcePathInDebugInformation;
        let path = Cause::between(kind, &moved.before, &moved.after);
        // Without the folder, the same names; then nothing else is described. (Where only some units were
        // made anew, both folders are named.)
        let folders = [moved.before.as_str(), moved.after.as_str()];
        let names = |side: &Side<'_>| -> HashSet<u64> {
            all_texts(side).iter().flat_map(|texts| hashes_without(texts, folders)).collect()
        };
        let (a, b) = (names(&elves.before), names(&elves.after));
        let is_all = code_equal && a == b && is_nothing_but_names(elves, &moved);
        let more = (!is_all).then(|| Cause::new(CauseKind::DebugInformation, ""));
        return std::iter::once(path).chain(more).collect();
    }
    vec![cause(known, code_equal, differing)]
}

/// A section of texts, where it can be read.
fn texts(side: &Side<'_>, name: &[u8]) -> Option<Range<usize>> {
    let section = side.elf.sections.iter().find(|it| it.name == name)?;
    // Compressed ones can't be read here; the other section may tell.
    section.bytes.clone().filter(|_| section.flags & abi::SHF_COMPRESSED.0 == 0)
}

/// The folder that the sources are in, if it is another one.
fn moved_folder(elves: &Elves<'_>) -> Option<Moved> {
    TEXTS.iter().find_map(|name| {
        let (a, b) = (texts(&elves.before, name)?, texts(&elves.after, name)?);
        let before = absolute_texts(&elves.before.elf.data[a]);
        let after = absolute_texts(&elves.after.elf.data[b]);
        moved(&before, &after).filter(|it| it.is_most_of(&before, &after))
    })
}

/// Whether what describes differs in nothing but where in the sections of texts its names are: with a
/// folder left out, each is the same.
fn is_nothing_but_names(elves: &Elves<'_>, moved: &Moved) -> bool {
    let (before, after) = (all_texts(&elves.before), all_texts(&elves.after));
    let finders = [&moved.before, &moved.after].map(|it| memmem::Finder::new(it.as_bytes()));
    let is_name = |a: u32, b: u32| {
        before.iter().zip(&after).any(|(old, new)| {
            let Some((one, other)) = text_at(old, a).zip(text_at(new, b)) else { return false };
            let same =
                || without(one, &finders[0]).concat() == without(other, &finders[1]).concat();
            one == other || same()
        })
    };
    let (own, others) = (sections(&elves.before), sections(&elves.after));
    if only_in(&others, &own).next().is_some() {
        return false;
    }
    own.iter().filter(|it| !TEXTS.contains(&it.0)).all(|(name, a)| {
        let b = others.iter().find(|it| it.0 == *name).map_or(0..0, |it| it.1.clone());
        let (old, new) = (&elves.before.elf.data[a.clone()], &elves.after.elf.data[b]);
        old.len() == new.len() && differ_in_numbers(old, new, is_name)
    })
}

/// The sections of texts; nothing for one that can't be read.
fn all_texts<'data>(side: &Side<'data>) -> [&'data [u8]; 2] {
    let data = side.elf.data;
    TEXTS.map(|name| texts(side, name).map_or(&[][..], |it| &data[it]))
}

/// The text at an offset of a section; `None` of one that is no name: nobody's is that long.
fn text_at(bytes: &[u8], offset: u32) -> Option<&[u8]> {
    const LONGEST: usize = 4096;
    let rest = bytes.get(offset as usize..)?;
    let end = memchr::memchr(0, &rest[..rest.len().min(LONGEST)])?;
    Some(&rest[..end])
}

/// Whether two texts of one length differ in 32-bit numbers alone, each of a pair that is taken.
fn differ_in_numbers(old: &[u8], new: &[u8], is_taken: impl Fn(u32, u32) -> bool) -> bool {
    const WIDTH: usize = 4;
    let number = |bytes: &[u8], at: usize| {
        Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk::<WIDTH>()?))
    };
    let mut at = 0;
    while let Some(next) = (at..old.len()).find(|&it| old[it] != new[it]) {
        // The lowest bytes may be the same.
        let first = (next + 1).saturating_sub(WIDTH).max(at);
        let pair = |start: &usize| Some((number(old, *start)?, number(new, *start)?));
        let found = (first..=next).rev().find(|it| pair(it).is_some_and(|(a, b)| is_taken(a, b)));
        let Some(start) = found else { return false };
        at = start + WIDTH;
    }
    true
}

/// The pieces of a text around a folder that is left out.
fn without<'text>(text: &'text [u8], folder: &memmem::Finder<'_>) -> Vec<&'text [u8]> {
    let mut pieces = Vec::new();
    let mut at = 0;
    for found in folder.find_iter(text) {
        pieces.push(&text[at..found]);
        at = found + folder.needle().len();
    }
    pieces.push(&text[at..]);
    pieces
}

/// Hashes of all texts, each with one of two folders in it left out.
fn hashes_without(bytes: &[u8], mut folders: [&str; 2]) -> Vec<u64> {
    // The name of one may begin with that of the other.
    folders.sort_by_key(|it| std::cmp::Reverse(it.len()));
    let [long, short] = folders.map(|it| memmem::Finder::new(it.as_bytes()));
    let hash = |text: &[u8]| {
        let mut pieces = without(text, &long);
        if pieces.len() == 1 {
            pieces = without(text, &short);
        }
        let mut hasher = DefaultHasher::new();
        pieces.iter().for_each(|it| hasher.write(it));
        hasher.finish()
    };
    bytes.split(|&byte| byte == 0).map(hash).collect()
}

fn cause(known: &Known<'_>, code_equal: bool, differing: &[String]) -> Cause {
    let differs = |name: &str| differing.iter().any(|it| it.ends_with(name));
    // Names of variables and types, and which descriptions there are, would be a change by themselves:
    // a local variable's name is nowhere in what runs.
    let only_lines =
        differs("debug_line") && !NAMES_AND_FORMS.iter().any(|section| differs(section));
    let lines = known.objects.as_ref().map(|it| &it.lines);
    match lines.and_then(Lines::only) {
        // The table of lines differs, and nothing but lines does in what is compiled.
        Some(lines) if code_equal && only_lines => lines,
        _ => Cause::new(CauseKind::DebugInformation, ""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_the_same_where_some_units_are_in_the_old_folder() {
        for folders in [["/a/k", "/b/kernel"], ["/a/k", "/a/k2"], ["/a/k2", "/a/k"]] {
            let names = |texts: &[&str]| -> HashSet<u64> {
                let texts = texts.join("\0").replace('P', folders[0]).replace('Q', folders[1]);
                hashes_without(texts.as_bytes(), folders).into_iter().collect()
            };
            let before = names(&["P/objects", "x.c", "int"]);
            assert_eq!(before, names(&["Q/objects", "x.c", "int"]), "{folders:?}");
            assert_eq!(before, names(&["P/objects", "Q/objects", "x.c", "int"]), "{folders:?}");
            assert_ne!(before, names(&["Q/objects", "y.c", "int"]), "{folders:?}");
        }
    }
}
