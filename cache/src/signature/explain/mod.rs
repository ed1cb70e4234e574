//! Why two builds differ: section by section, with the cause where it is a known one.
//!
//! Every difference that is found is told, with the number of bytes and what holds them. A cause is
//! named when it was seen: in the bytes themselves, in what is compiled (`vmlinux.o`), where each
//! function, each data object and each line number is compared by itself, or in what a store says that
//! both were made from. Nothing is concluded from everything else being the same: what is left is
//! [`CauseKind::Unknown`], or, where functions or data differ before linking and no input is known to,
//! [`CauseKind::ChangedCode`], which says no more than that.

mod banner;
mod boot;
mod cause;
mod config;
mod debug;
mod holders;
mod judge;
mod kernel;
mod known;
mod layout;
mod lines;
mod modules;
mod objects;
mod paths;
mod seeds;
mod symbols;
mod unwinding;

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::build_draft::{VMLINUX, VMLINUX_O};
use crate::input::BuildInput;

use super::image::covers;
use super::mapping::{ByteSource, Mapping};
use super::{SignatureError, SignatureKind, is_elf, sign_build, sign_kind};
use config::Config;
use known::Known;
use objects::Objects;
use seeds::Seeds;

pub use cause::{Cause, CauseKind};

/// The configuration, as an artifact.
const CONFIG: &str = ".config";

/// Files of one build: where each is, by its name as an artifact.
pub type Files = BTreeMap<String, PathBuf>;

/// Something that is not the same in two builds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// The artifact.
    pub file: String,
    /// The section, or another part of the file.
    pub place: String,
    /// Symbols that hold the bytes, sorted by how many; at most [`MOST_SYMBOLS`].
    pub symbols: Vec<String>,
    /// How many symbols there are in all.
    pub symbol_count: u64,
    /// Bytes that differ, or by which the sizes differ.
    pub bytes: u64,
    /// Whether `image` hides it.
    pub masked: bool,
    /// Why.
    pub causes: Vec<Cause>,
}

/// The most symbols that a [`Difference`] names.
pub const MOST_SYMBOLS: usize = 8;

/// Why two builds differ.
#[derive(Clone, Debug, Serialize)]
pub struct Explanation {
    /// Whether both have one `image`.
    pub image_equal: bool,
    /// Whether both have one `code`; `None` when one of them has no `vmlinux.o`.
    pub code_equal: Option<bool>,
    /// All causes, each once; those that only follow from others last.
    pub causes: Vec<Cause>,
    /// What differs.
    pub differences: Vec<Difference>,
}

/// Compares two builds. Each must have a `vmlinux`; `.config`, `vmlinux.o`, a boot image and modules
/// make the answer better, and so does what a store says that both were made from. Blocks; takes memory
/// in the number of symbols and relocations.
pub fn explain(
    before: &Files,
    after: &Files,
    inputs: Option<[&BuildInput; 2]>,
) -> Result<Explanation, SignatureError> {
    let sides = [before, after];
    let image = |files: &Files| {
        let parts = files.iter().filter(|(name, _)| covers(name) && shared(sides, name));
        let parts: Vec<_> = parts.map(|(name, path)| (name.clone(), path.clone())).collect();
        Ok::<_, SignatureError>(sign_build(&parts)?.get(SignatureKind::Image).copied())
    };
    let kernels = kernel::Pair::open(both(sides, VMLINUX).ok_or(SignatureError::NoVmlinux)?)?;
    let elves = kernels.read()?;
    let config = both(sides, CONFIG).and_then(|paths| Config::compare(paths).ok());
    let any_module = |side: &Files| {
        let mut modules = side.iter().filter(|(name, _)| name.starts_with("modules/"));
        modules.next().and_then(|(_, path)| Mapping::open(path).ok())
    };
    let modules = any_module(before).zip(any_module(after));
    let modules = modules.as_ref().map(|(a, b)| [a as &dyn ByteSource, b]);
    let seeds = Seeds::of(&elves, config.as_ref(), modules);
    let paths = elves.paths();
    let objects = match both(sides, VMLINUX_O) {
        Some(files) if is_elf(files[0])? && is_elf(files[1])? => {
            Objects::compare(files, paths.as_ref(), seeds.draws_entropy())?
        }
        _ => None,
    };
    let banners = elves.banners();
    let mut known = Known { inputs, banners, config, seeds, objects, script: None, paths };
    let code_equal = match both(sides, VMLINUX_O) {
        Some([a, b]) if is_elf(a)? && is_elf(b)? => {
            let code = |path| sign_kind(path, SignatureKind::Code);
            match (code(a), code(b)) {
                (Ok(a), Ok(b)) => Some(a == b),
                _ => None,
            }
        }
        _ => None,
    };
    let layout = match both(sides, VMLINUX_O) {
        // Another linker may put things elsewhere by itself.
        Some(files) if code_equal == Some(true) && !known.has_other_compiler() => {
            layout::difference(&elves, files)?
        }
        _ => None,
    };
    known.script = layout.as_ref().and_then(|it| it.causes.first().cloned());
    let mut differences = Vec::new();
    differences.extend(known.config.as_ref().and_then(Config::difference));
    differences.extend(elves.differences(&known, code_equal == Some(true)));
    differences.extend(layout);
    let kernel_differs = differences.iter().any(|it| it.file == VMLINUX && !it.masked);
    differences.extend(debug::differences(&elves, &known, code_equal == Some(true)));
    differences.extend(
        known.objects.iter().flat_map(|it| it.differences(VMLINUX_O, &HashSet::new(), &known)),
    );
    for (name, [a, b]) in common(sides).filter(|(name, _)| *name != VMLINUX && covers(name)) {
        if name.starts_with("modules/") {
            differences.extend(modules::differences(name, [a, b], &elves, &known)?);
        } else {
            differences.extend(boot::differences(name, [a, b], &elves, kernel_differs)?);
        }
    }
    differences.extend(one_sided(sides));
    differences.extend(rootless(&differences));
    Ok(Explanation {
        image_equal: image(before)? == image(after)? && one_sided(sides).is_empty(),
        code_equal,
        causes: cause::summary(&differences),
        differences,
    })
}

/// A row that says so if things lie elsewhere and nothing that differs is why.
fn rootless(differences: &[Difference]) -> Option<Difference> {
    let loaded = || differences.iter().filter(|it| !it.masked && it.file != CONFIG);
    let has = |wanted: &dyn Fn(CauseKind) -> bool| {
        loaded().flat_map(|it| &it.causes).any(|it| wanted(it.kind))
    };
    let is_rootless = has(&|it| it == CauseKind::Moved) && !has(&|it| !it.follows());
    is_rootless.then(|| Difference {
        file: VMLINUX.to_owned(),
        place: "where things are put".to_owned(),
        symbols: Vec::new(),
        symbol_count: 0,
        bytes: 0,
        masked: false,
        causes: vec![Cause::new(CauseKind::Unknown, "nothing that was compared moves them")],
    })
}

/// Where a file is in both builds.
fn both<'a>(sides: [&'a Files; 2], name: &str) -> Option<[&'a Path; 2]> {
    Some([sides[0].get(name)?, sides[1].get(name)?])
}

fn shared(sides: [&Files; 2], name: &str) -> bool {
    both(sides, name).is_some()
}

fn common(sides: [&Files; 2]) -> impl Iterator<Item = (&str, [&Path; 2])> {
    sides[0].keys().filter_map(move |name| Some((name.as_str(), both(sides, name)?)))
}

/// Files that run and are in one build only, where the other has any of their kind.
fn one_sided(sides: [&Files; 2]) -> Vec<Difference> {
    let lone = |side: usize| {
        let (mine, other) = (sides[side], sides[1 - side]);
        let has_modules = other.keys().any(|name| name.starts_with("modules/"));
        mine.keys()
            .filter(|name| name.starts_with("modules/") && covers(name))
            .filter(move |name| has_modules && !other.contains_key(*name))
            .map(move |name| Difference {
                file: name.clone(),
                place: ["only in the first build", "only in the second build"][side].to_owned(),
                symbols: Vec::new(),
                symbol_count: 0,
                bytes: 0,
                masked: false,
                causes: vec![Cause::new(CauseKind::Unknown, "a module that one build has")],
            })
    };
    lone(0).chain(lone(1)).collect()
}
