//! Why two builds differ: section by section, with the cause where it is a known one.
//!
//! Every difference that is found is told, with the number of bytes and what holds them. A cause is
//! named when it was seen: in the bytes themselves, or in what is compiled (`vmlinux.o`), where each
//! function, each data object and each line number is compared by itself. That "the sources differ" is
//! concluded from a changed function or data and from inputs that are the same. What is left is
//! [`CauseKind::Unknown`].

mod banner;
mod boot;
mod cause;
mod config;
mod debug;
mod holders;
mod judge;
mod kernel;
mod lines;
mod modules;
mod objects;
mod paths;
mod symbols;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::build_draft::{VMLINUX, VMLINUX_O};

use super::image::covers;
use super::{SignatureError, SignatureKind, is_elf, sign_build, sign_kind};
use banner::Banner;
use config::Config;
use objects::Objects;

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

/// What is known of both builds besides the bytes of their kernels.
struct Known {
    banners: Option<[Banner; 2]>,
    config: Option<Config>,
    objects: Option<Objects>,
    /// Prefixes of source paths in texts of the kernel.
    paths: Option<paths::Moved>,
}

impl Known {
    /// What makes compiled code differ, by what is known of the inputs.
    fn cause_of_code(&self) -> Cause {
        let compilers = self.banners.as_ref().and_then(|[a, b]| a.compiler_cause(b));
        match (&self.config, compilers) {
            (Some(config), _) if !config.options.is_empty() => config.cause(),
            (_, Some(compiler)) => compiler,
            (Some(_), None) if self.banners.is_some() => {
                Cause::new(CauseKind::Sources, "configuration and compiler's version are the same")
            }
            _ => Cause::new(CauseKind::Unknown, "the configurations are not both at hand"),
        }
    }
}

/// Compares two builds. Each must have a `vmlinux`; `.config`, `vmlinux.o`, a boot image and modules
/// make the answer better. Blocks; takes memory in the number of symbols and relocations.
pub fn explain(before: &Files, after: &Files) -> Result<Explanation, SignatureError> {
    let sides = [before, after];
    let image = |files: &Files| {
        let parts = files.iter().filter(|(name, _)| covers(name) && shared(sides, name));
        let parts: Vec<_> = parts.map(|(name, path)| (name.clone(), path.clone())).collect();
        Ok::<_, SignatureError>(sign_build(&parts)?.get(SignatureKind::Image).copied())
    };
    let kernels = kernel::Pair::open(both(sides, VMLINUX).ok_or(SignatureError::NoVmlinux)?)?;
    let elves = kernels.read()?;
    let known = Known {
        banners: elves.banners(),
        config: both(sides, CONFIG).and_then(|paths| Config::compare(paths).ok()),
        objects: match both(sides, VMLINUX_O) {
            Some(paths) if is_elf(paths[0])? && is_elf(paths[1])? => Objects::compare(paths)?,
            _ => None,
        },
        paths: elves.paths(),
    };
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
    let mut differences = Vec::new();
    differences.extend(known.config.as_ref().and_then(Config::difference));
    differences.extend(elves.differences(&known, code_equal == Some(true)));
    let kernel_differs = differences.iter().any(|it| it.file == VMLINUX && !it.masked);
    differences.extend(debug::differences(&elves, &known, code_equal == Some(true)));
    differences.extend(known.objects.as_ref().and_then(|it| it.difference(&known)));
    for (name, [a, b]) in common(sides).filter(|(name, _)| *name != VMLINUX && covers(name)) {
        if name.starts_with("modules/") {
            differences.extend(modules::difference(name, [a, b], &elves)?);
        } else {
            differences.extend(boot::differences(name, [a, b], &elves, kernel_differs)?);
        }
    }
    differences.extend(one_sided(sides));
    Ok(Explanation {
        image_equal: image(before)? == image(after)? && one_sided(sides).is_empty(),
        code_equal,
        causes: cause::summary(&differences),
        differences,
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
