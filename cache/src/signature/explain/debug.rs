//! Debug information: not loaded, but it is part of what the build id is made of.

use std::ops::Range;

use object::elf as abi;

use super::kernel::{Elves, Side};
use super::lines::Lines;
use super::paths::{absolute_texts, moved};
use super::{Cause, CauseKind, Difference, Known};

/// Sections of texts that hold the names of folders and files.
const TEXTS: [&[u8]; 2] = [b".debug_line_str", b".debug_str"];

/// Sections that hold names of what is described, and the forms of descriptions.
const NAMES_AND_FORMS: [&str; 2] = ["debug_str", "debug_abbrev"];

/// One row, if any debug section differs.
pub(super) fn differences(
    elves: &Elves<'_>,
    known: &Known,
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
    let added = after.iter().filter(|(name, _)| before.iter().all(|it| it.0 != *name));
    differing.extend(added.map(|(name, _)| String::from_utf8_lossy(name).into_owned()));
    if differing.is_empty() {
        return None;
    }
    let cause = cause(elves, known, code_equal, &differing);
    Some(Difference {
        file: crate::build_draft::VMLINUX.to_owned(),
        place: "debug information".to_owned(),
        symbol_count: differing.len() as u64,
        symbols: differing.into_iter().take(super::MOST_SYMBOLS).collect(),
        bytes,
        masked: true,
        causes: vec![cause],
    })
}

/// Sections of debug information, with their bytes.
fn sections<'data>(side: &Side<'data>) -> Vec<(&'data [u8], Range<usize>)> {
    let is_debug = |name: &[u8]| name.starts_with(b".debug_") || name.starts_with(b".zdebug_");
    let all = side.elf.sections.iter().filter(|it| is_debug(it.name));
    all.filter_map(|it| Some((it.name, it.bytes.clone()?))).collect()
}

fn cause(elves: &Elves<'_>, known: &Known, code_equal: bool, differing: &[String]) -> Cause {
    for name in TEXTS {
        let texts = |side: &Side<'_>| {
            let section = side.elf.sections.iter().find(|it| it.name == name)?;
            // Compressed ones can't be read here; the other section may tell.
            let plain = section.flags & abi::SHF_COMPRESSED.0 == 0;
            section.bytes.clone().filter(|_| plain)
        };
        let (Some(a), Some(b)) = (texts(&elves.before), texts(&elves.after)) else { continue };
        let before = absolute_texts(&elves.before.elf.data[a]);
        if let Some(it) = moved(&before, &absolute_texts(&elves.after.elf.data[b])) {
            let kind = CauseKind::SourcePathInDebugInformation;
            return Cause::between(kind, &it.before, &it.after);
        }
    }
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
