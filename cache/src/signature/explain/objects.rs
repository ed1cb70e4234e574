//! Two kernels before linking: which functions and data changed, and which lines.

use std::collections::HashSet;
use std::path::Path;

use crate::build_draft::VMLINUX_O;
use crate::signature::mapping::Mapping;
use crate::signature::symbols::{SymbolChange, diff, symbols_of_bytes};
use crate::signature::{ElfError, SignatureError};

use super::lines::{self, Lines};
use super::{Difference, Known, MOST_SYMBOLS};

/// What differs between two objects.
pub(super) struct Objects {
    changes: Vec<SymbolChange>,
    /// Names of all that changed, and of all that both have.
    changed: HashSet<String>,
    common: HashSet<String>,
    pub(super) lines: Lines,
}

impl Objects {
    /// Reads both, at the same time.
    pub(super) fn compare([before, after]: [&Path; 2]) -> Result<Option<Self>, SignatureError> {
        let maps = [Mapping::open(before)?, Mapping::open(after)?];
        let compared = std::thread::scope(|scope| {
            let first = scope.spawn(|| symbols_of_bytes(&maps[0]));
            let second = symbols_of_bytes(&maps[1]);
            let first = first.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            let (first, second) = (first?, second?);
            let changes = diff(&first, &second);
            let both = first.entries.keys().filter(|it| second.entries.contains_key(it));
            Ok(Self {
                changed: changes.iter().map(|it| it.name.clone()).collect(),
                common: both.map(|it| it.name.clone()).collect(),
                lines: lines::compare(&maps, &changes)?,
                changes,
            })
        });
        match compared {
            // Another machine: then nothing is known of its objects.
            Err(ElfError::Machine(_)) => Ok(None),
            other => other
                .map(Some)
                .map_err(|source| SignatureError::Elf { path: before.to_owned(), source }),
        }
    }

    /// Whether anything with a name changed.
    pub(super) fn any_changed(&self) -> bool {
        !self.changes.is_empty()
    }

    /// Whether a function, data object or table, by the name that it has in a linked kernel, changed;
    /// `None` if it isn't in both objects.
    pub(super) fn changed(&self, name: &str) -> Option<bool> {
        // What compilers append begins with a dot; digits of static data are no part of the name.
        let dot = name.char_indices().skip(1).find(|(_, it)| *it == '.');
        let base = &name[..dot.map_or(name.len(), |(at, _)| at)];
        let plain: String = base.chars().filter(|it| !it.is_ascii_digit()).collect();
        let names = [name, base, &plain];
        match names.iter().any(|it| self.changed.contains(*it)) {
            true => Some(true),
            false => names.iter().any(|it| self.common.contains(*it)).then_some(false),
        }
    }

    /// The functions and data that changed.
    pub(super) fn difference(&self, known: &Known) -> Option<Difference> {
        let first = self.changes.first()?;
        let shown = |it: &SymbolChange| match &it.file {
            Some(file) => format!("{} ({file})", it.name),
            None => it.name.clone(),
        };
        let grown = |it: &SymbolChange| it.before.unwrap_or(0).abs_diff(it.after.unwrap_or(0));
        let mut files: Vec<&str> =
            self.changes.iter().filter_map(|it| it.file.as_deref()).collect();
        files.sort_unstable();
        files.dedup();
        let place = match (files.len(), &first.file) {
            (1, Some(file)) => format!("what is compiled from {file}"),
            (0, _) => "what is compiled".to_owned(),
            (count, _) => format!("what is compiled, in {count} source files"),
        };
        Some(Difference {
            file: VMLINUX_O.to_owned(),
            place,
            symbols: self.changes.iter().take(MOST_SYMBOLS).map(shown).collect(),
            symbol_count: self.changes.len() as u64,
            bytes: self.changes.iter().map(grown).fold(0, u64::saturating_add),
            masked: false,
            causes: vec![known.cause_of_code()],
        })
    }
}
