//! Two modules of one name: which functions and data of them changed, and what else differs.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::path::Path;

use crate::signature::SignatureError;
use crate::signature::elf::{Elf, is_debug};
use crate::signature::image::{module_masks, module_part, without_signature};
use crate::signature::mapping::{ByteSource, Mapping};
use crate::signature::masks::MaskKind;
use crate::signature::relocatable::{Place, Symbol, symbol_table};
use crate::signature::symbols::base;

use super::kernel::Elves;
use super::known::Known;
use super::objects::Objects;
use super::{Cause, CauseKind, Difference, MOST_SYMBOLS};

/// The section of texts that tools and the loader read, `key=value` each (Linux,
/// include/linux/moduleparam.h).
const INFO: &str = ".modinfo";

/// The differences of two modules.
pub(super) fn differences(
    name: &str,
    [before, after]: [&Path; 2],
    elves: &Elves<'_>,
    known: &Known<'_>,
) -> Result<Vec<Difference>, SignatureError> {
    let (a, b) = (Mapping::open(before)?, Mapping::open(after)?);
    if a.bytes() == b.bytes() {
        return Ok(Vec::new());
    }
    let (old, new) = (without_signature(a.bytes()), without_signature(b.bytes()));
    let row = |place: &str, causes| Difference {
        file: name.to_owned(),
        place: place.to_owned(),
        symbols: Vec::new(),
        symbol_count: 0,
        bytes: differing(old, new),
        masked: false,
        causes,
    };
    let releases = [elves.before.release(), elves.after.release()];
    if module_part(&a, releases[0]) == module_part(&b, releases[1]) {
        let (place, causes) = match old == new {
            true => {
                let signatures = [(&a, old), (&b, new)].map(|(all, it)| &all.bytes()[it.len()..]);
                ("signature behind the module", vec![of_signatures(signatures)])
            }
            false => ("what is not loaded or hidden", hidden([&a, &b], releases)),
        };
        return Ok(vec![Difference { masked: true, ..row(place, causes) }]);
    }
    if old == new {
        let why = "one of them is not signed, or is of another release than its kernel";
        let causes = vec![Cause::new(CauseKind::Unknown, why)];
        return Ok(vec![row("signature behind the module", causes)]);
    }
    let draws = known.seeds.draws_entropy();
    let mut rows = Vec::new();
    // (A file that can't be read as a module counts byte by byte.)
    if let Ok(Some(objects)) = Objects::compare([before, after], known.paths.as_ref(), draws) {
        let told_below = named_info(&[old, new]);
        rows.extend(objects.differences(name, &told_below, known));
        let lines = objects.lines.causes();
        if !lines.is_empty() {
            rows.push(Difference { bytes: objects.lines.bytes(), ..row("line numbers", lines) });
        }
    }
    rows.extend(info(old, new, releases).map(|keys| {
        let symbols: Vec<String> = keys.iter().map(|it| it.0.clone()).collect();
        Difference {
            symbol_count: symbols.len() as u64,
            symbols: symbols.into_iter().take(MOST_SYMBOLS).collect(),
            ..row(INFO, of_info(&keys, known))
        }
    }));
    if rows.is_empty() {
        rows.push(row("what is loaded", vec![Cause::new(CauseKind::Unknown, "")]));
    }
    Ok(rows)
}

/// Why signatures of one content differ: the key, unless each is another anyway.
fn of_signatures(signatures: [&[u8]; 2]) -> Cause {
    // 1.2.840.10045.4.3, the arc of ecdsa-with-SHA2 (RFC 5758, section 3.2), as DER has it.
    const ECDSA: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03];
    let is_random = signatures.iter().all(|it| it.windows(ECDSA.len()).any(|at| at == ECDSA));
    let detail = if is_random { "or the same one, which never signs alike (ECDSA)" } else { "" };
    Cause::new(CauseKind::ModuleSigningKey, detail)
}

/// Why the bytes differ of two modules that `image` does not tell apart.
fn hidden(files: [&Mapping; 2], releases: [Option<&[u8]>; 2]) -> Vec<Cause> {
    let masked = |side: usize, kind: MaskKind| -> Vec<&[u8]> {
        let masks = module_masks(files[side], releases[side]).into_iter();
        masks.filter(|it| it.kind == kind).map(|it| &files[side].bytes()[it.range]).collect()
    };
    let text =
        |bytes: Option<&[u8]>| String::from_utf8_lossy(bytes.unwrap_or_default()).into_owned();
    let mut causes = Vec::new();
    if releases[0] != releases[1] {
        causes.push(Cause::between(CauseKind::Release, &text(releases[0]), &text(releases[1])));
    }
    for (mask, kind) in
        [(MaskKind::BuildSalt, CauseKind::BuildSalt), (MaskKind::BuildId, CauseKind::BuildId)]
    {
        if masked(0, mask) != masked(1, mask) {
            causes.push(Cause::new(kind, ""));
        }
    }
    if causes.iter().all(|it| it.kind == CauseKind::BuildId) {
        causes.push(not_loaded(files.map(|it| it.bytes())));
    }
    causes
}

/// What differs of the sections that are not loaded: debug information, or else what nobody knows the
/// cause of, by the first name.
fn not_loaded(files: [&[u8]; 2]) -> Cause {
    let [old, new] = files.map(|bytes| -> BTreeMap<String, &[u8]> {
        let Ok(elf) = Elf::parse(bytes) else { return BTreeMap::new() };
        let beside = elf.sections.iter().filter(|it| !it.is_allocated());
        beside.filter_map(|it| Some((it.display_name(), bytes.get(it.bytes.clone()?)?))).collect()
    });
    let names: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    let differ = || names.iter().filter(|name| old.get(**name) != new.get(**name));
    // Also of its relocations.
    if differ().any(|name| is_debug(name.trim_start_matches(".rela").as_bytes())) {
        return Cause::new(CauseKind::DebugInformation, "");
    }
    let first = differ().next();
    Cause::new(
        CauseKind::Unknown,
        first.map_or_else(String::new, |name| format!("{name}, which is not loaded")),
    )
}

/// The names of the texts about modules, and of their section as a whole.
fn named_info(modules: &[&[u8]]) -> HashSet<String> {
    let mut names = HashSet::from([INFO.to_owned()]);
    for bytes in modules {
        let Ok(elf) = Elf::parse(bytes) else { continue };
        let Ok(symbols) = symbol_table(&elf) else { continue };
        let is_info = |it: &&Symbol<'_>| match it.place {
            Place::Section(section) => elf.sections[section].name == INFO.as_bytes(),
            _ => false,
        };
        let named = symbols.iter().filter(is_info);
        names.extend(named.map(|it| String::from_utf8_lossy(&base(it)).into_owned()));
    }
    names
}

/// What differs in the texts about two modules: keys, each with both values. `None` if nothing does but
/// the release, where each is that of its kernel.
fn info(
    old: &[u8],
    new: &[u8],
    releases: [Option<&[u8]>; 2],
) -> Option<Vec<(String, [String; 2])>> {
    let texts = |bytes: &[u8], release: Option<&[u8]>| -> Option<BTreeMap<String, String>> {
        let elf = Elf::parse(bytes).ok()?;
        let section = elf.sections.iter().find(|it| it.name == INFO.as_bytes())?;
        let release = release.map(|it| String::from_utf8_lossy(it).into_owned());
        let mut values: BTreeMap<String, String> = BTreeMap::new();
        for text in bytes.get(section.bytes.clone()?)?.split(|&byte| byte == 0) {
            let text = String::from_utf8_lossy(text);
            let Some((key, value)) = text.split_once('=') else { continue };
            let own = release.as_ref().filter(|_| key == "vermagic");
            let value = own.and_then(|it| value.strip_prefix(it.as_str())).unwrap_or(value);
            // (Aliases and the like are there several times.)
            let all = values.entry(key.to_owned()).or_default();
            all.push_str(value);
            all.push('\n');
        }
        Some(values)
    };
    let (old, new) = (texts(old, releases[0])?, texts(new, releases[1])?);
    let keys: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    let value = |of: &BTreeMap<String, String>, key: &String| {
        of.get(key).map_or_else(String::new, |it| it.trim().to_owned())
    };
    let differ = keys.into_iter().filter(|key| old.get(*key) != new.get(*key));
    let differ: Vec<_> =
        differ.map(|key| (key.clone(), [value(&old, key), value(&new, key)])).collect();
    (!differ.is_empty()).then_some(differ)
}

/// Why they do.
fn of_info(keys: &[(String, [String; 2])], known: &Known<'_>) -> Vec<Cause> {
    let mut causes = Vec::new();
    for (key, [a, b]) in keys {
        match key.as_str() {
            // A hash over the module's sources (Linux, scripts/mod/sumversion.c).
            "srcversion" => causes.push(Cause::between(CauseKind::Sources, a, b)),
            "vermagic" if known.seeds.layout_cause().is_some() => {
                causes.extend(known.seeds.layout_cause());
            }
            key => causes.push(Cause::new(CauseKind::Unknown, key)),
        }
    }
    causes.sort();
    causes.dedup();
    causes
}

/// Bytes that differ, or by which the sizes differ.
pub(super) fn differing(a: &[u8], b: &[u8]) -> u64 {
    match a.len() == b.len() {
        true => a.iter().zip(b).filter(|(a, b)| a != b).count() as u64,
        false => (a.len() as u64).abs_diff(b.len() as u64),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signatures_that_are_random_do_not_tell_of_another_key() {
        let rsa: &[u8] = &[0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01, 7];
        let ecdsa: &[u8] = &[0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x04, 7];
        assert_eq!(of_signatures([rsa, rsa]).text(), "module signing key");
        assert_eq!(of_signatures([rsa, ecdsa]).text(), "module signing key");
        let said = "module signing key: or the same one, which never signs alike (ECDSA)";
        assert_eq!(of_signatures([ecdsa, ecdsa]).text(), said);
    }
}
