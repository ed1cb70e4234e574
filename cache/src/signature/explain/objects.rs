//! Two kernels before linking: which functions and data changed, and which lines.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path;

use crate::signature::elf::Elf;
use crate::signature::mapping::{ByteSource, Mapping};
use crate::signature::relocatable::{Extents, Place, Relocatable, Target};
use crate::signature::symbols::{
    SymbolChange, SymbolKind, base, diff, symbols_of_bytes, symbols_without_folder,
};
use crate::signature::{ElfError, SignatureError};

use super::known::Known;
use super::lines::{self, Lines};
use super::paths::Moved;
use super::seeds::ENTROPY_POOL;
use super::unwinding;
use super::{Cause, CauseKind, Difference, MOST_SYMBOLS};

/// What differs between two objects.
pub(super) struct Objects {
    changes: Vec<SymbolChange>,
    /// Names of all that changed, and of all that both have.
    changed: HashMap<String, Kind>,
    common: HashSet<String>,
    /// Other names of what the first object has under one of these.
    aliases: HashMap<String, String>,
    /// The first thing that has another place among the others, if nothing changed.
    order: Option<String>,
    /// What is unwound otherwise, if nothing changed: the first label, where it can be told.
    pub(super) unwound: Option<String>,
    pub(super) lines: Lines,
}

/// How something changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    /// By the folder in a text alone.
    Path,
    /// Constants for entropy may be part of it: it is data, or mixes something into the pool.
    Draws,
    /// Otherwise.
    Plain,
}

impl Objects {
    /// Reads both, at the same time. `moved`: a folder that texts name differently. `draws`: whether
    /// constants for entropy are drawn.
    pub(super) fn compare(
        [before, after]: [&Path; 2],
        moved: Option<&Moved>,
        draws: bool,
    ) -> Result<Option<Self>, SignatureError> {
        let maps = [Mapping::open(before)?, Mapping::open(after)?];
        match Self::of(&maps, moved, draws) {
            // Another machine: then nothing is known of its objects.
            Err(ElfError::Machine(_)) => Ok(None),
            other => other
                .map(Some)
                .map_err(|source| SignatureError::Elf { path: before.to_owned(), source }),
        }
    }

    fn of(maps: &[Mapping; 2], moved: Option<&Moved>, draws: bool) -> Result<Self, ElfError> {
        let [first, second] = side_by_side(maps, |_, map| symbols_of_bytes(map))?;
        let changes = diff(&first, &second);
        let without_path = match moved {
            None => None,
            Some(moved) => {
                let folders = [&moved.before, &moved.after];
                let made =
                    side_by_side(maps, |side, map| symbols_without_folder(map, folders[side]));
                Some(made.map(|[a, b]| diff(&a, &b))?)
            }
        };
        let by_more = without_path.as_ref().map(|changes| names_of(changes));
        let pool = if draws {
            side_by_side(maps, |_, map| users_of(map, ENTROPY_POOL))?
        } else {
            Default::default()
        };
        let uses = |it: &SymbolChange| pool.iter().all(|users| users.contains(it.name.as_bytes()));
        let kind = |it: &SymbolChange| match &by_more {
            Some(by_more) if !by_more.contains(&it.name) => Kind::Path,
            _ if draws && (it.kind == SymbolKind::Data || uses(it)) => Kind::Draws,
            _ => Kind::Plain,
        };
        let mut changed: HashMap<String, Kind> = HashMap::new();
        for it in &changes {
            let known = changed.entry(it.name.clone()).or_insert(kind(it));
            *known = (*known).max(kind(it));
        }
        let aliases = aliases_of(&maps[0])?;
        let both = first.entries.keys().filter(|it| second.entries.contains_key(it));
        Ok(Self {
            changed,
            common: both.map(|it| it.name.clone()).collect(),
            aliases,
            unwound: if changes.is_empty() { unwinding::first_other(maps)? } else { None },
            order: if changes.is_empty() { first_elsewhere(maps)? } else { None },
            lines: lines::compare(maps, &changes)?,
            changes,
        })
    }

    /// Whether anything with a name changed, by more than a folder in a text.
    pub(super) fn any_changed(&self) -> bool {
        self.changed.values().any(|it| *it != Kind::Path)
    }

    /// How a function, data object or table, by the name that it has in a linked kernel, changed; `None`
    /// within if it did not, and outside if it isn't in both objects.
    pub(super) fn changed(&self, name: &str) -> Option<Option<Kind>> {
        // What compilers append begins with a dot; digits of static data are no part of the name.
        let dot = name.char_indices().skip(1).find(|(_, it)| *it == '.');
        let base = &name[..dot.map_or(name.len(), |(at, _)| at)];
        let plain: String = base.chars().filter(|it| !it.is_ascii_digit()).collect();
        // The whole name first: `foo2` is not what `foo` is.
        let alias = |it: &str| self.aliases.get(it).map(String::as_str);
        let names = [Some(name), alias(name), Some(base), alias(base), Some(&*plain)];
        names.into_iter().flatten().find_map(|it| match self.changed.get(it) {
            Some(kind) => Some(Some(*kind)),
            None => self.common.contains(it).then_some(None),
        })
    }

    /// The functions and data of a file that changed, by why; but for those of some names.
    pub(super) fn differences(
        &self,
        file: &str,
        but: &HashSet<String>,
        known: &Known<'_>,
    ) -> Vec<Difference> {
        let mut rows: BTreeMap<Vec<Cause>, Vec<&SymbolChange>> = BTreeMap::new();
        for it in self.changes.iter().filter(|it| !but.contains(&it.name)) {
            let kind = self.changed.get(&it.name).copied().unwrap_or(Kind::Plain);
            rows.entry(kind.causes(known)).or_default().push(it);
        }
        let changed = rows.into_iter().map(|(causes, changes)| row(file, &changes, causes));
        let first = |place: &str, name: &str, kind| {
            let symbols: Vec<String> =
                Some(name.to_owned()).into_iter().filter(|it| !it.is_empty()).collect();
            Difference {
                file: file.to_owned(),
                place: place.to_owned(),
                symbol_count: symbols.len() as u64,
                causes: vec![Cause::new(
                    kind,
                    symbols.first().map_or_else(String::new, |it| format!("first {it}")),
                )],
                symbols,
                bytes: 0,
                masked: false,
            }
        };
        let order = self.order.as_ref();
        let order = order.map(|name| first("what is compiled", name, CauseKind::Order));
        let unwound = self.unwound.as_ref();
        let unwound = unwound.map(|name| first("how it is unwound", name, CauseKind::Unwinding));
        changed.chain(order).chain(unwound).collect()
    }
}

impl Kind {
    /// Why something changed that did so.
    pub(super) fn causes(self, known: &Known<'_>) -> Vec<Cause> {
        match (self, &known.paths) {
            (Self::Path, Some(moved)) => {
                let kind = CauseKind::SourcePathInStrings;
                vec![Cause::between(kind, &moved.before, &moved.after)]
            }
            _ => known.causes_of_code(self == Self::Draws),
        }
    }
}

/// Does something with two files at the same time.
fn side_by_side<T: Send>(
    maps: &[Mapping; 2],
    make: impl Fn(usize, &Mapping) -> Result<T, ElfError> + Sync,
) -> Result<[T; 2], ElfError> {
    std::thread::scope(|scope| {
        let first = scope.spawn(|| make(0, &maps[0]));
        let second = make(1, &maps[1]);
        let first = first.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        Ok([first?, second?])
    })
}

fn names_of(changes: &[SymbolChange]) -> HashSet<String> {
    changes.iter().map(|it| it.name.clone()).collect()
}

/// The functions that refer to a global symbol, by their names without what compilers append.
fn users_of(map: &Mapping, name: &str) -> Result<HashSet<Vec<u8>>, ElfError> {
    let elf = Elf::parse(map.bytes())?;
    let object = Relocatable::read(&elf)?;
    let extents = Extents::of(&object);
    let mut users = HashSet::new();
    for (section, relocations) in object.relocations.iter().enumerate() {
        for it in relocations {
            if matches!(object.target(section, it), Target::Name(of, _) if of == name.as_bytes())
                && let Some(extent) = extents.holding(section, it.offset)
            {
                users.insert(base(&object.symbols[extents.all[extent].symbol]).into_owned());
            }
        }
    }
    Ok(users)
}

/// Names of functions and data that a map has under another name of the same bytes (as a system call has
/// two), each with that one.
fn aliases_of(map: &Mapping) -> Result<HashMap<String, String>, ElfError> {
    let elf = Elf::parse(map.bytes())?;
    let object = Relocatable::read(&elf)?;
    let extents = Extents::of(&object);
    let named = |symbol| String::from_utf8_lossy(&base(symbol)).into_owned();
    let mut aliases = HashMap::new();
    for it in object.symbols.iter().filter(|it| it.is_function() || it.is_data()) {
        let Place::Section(section) = it.place else { continue };
        let Some(extent) = extents.starting_at(section, it.value) else { continue };
        let extent = &extents.all[extent];
        let main = &object.symbols[extent.symbol];
        if extent.end - extent.start == it.size && main.name != it.name {
            aliases.insert(named(it), named(main));
        }
    }
    Ok(aliases)
}

/// The first function or data of one object that is not what the other has at its place in the order.
fn first_elsewhere(maps: &[Mapping; 2]) -> Result<Option<String>, ElfError> {
    let [before, after] = side_by_side(maps, |_, map| {
        let elf = Elf::parse(map.bytes())?;
        let object = Relocatable::read(&elf)?;
        let all = Extents::of(&object).all.into_iter();
        let named = all.map(|it| (elf.sections[it.section].name, &object.symbols[it.symbol]));
        let named = named.map(|(section, it)| (section.to_vec(), base(it).into_owned()));
        Ok(named.collect::<Vec<_>>())
    })?;
    let other = before.iter().zip(&after).find(|(a, b)| a != b);
    Ok(other.map(|((_, name), _)| String::from_utf8_lossy(name).into_owned()))
}

fn row(file: &str, changes: &[&SymbolChange], causes: Vec<Cause>) -> Difference {
    let shown = |it: &&SymbolChange| match &it.file {
        Some(file) => format!("{} ({file})", it.name),
        None => it.name.clone(),
    };
    let grown = |it: &&SymbolChange| it.before.unwrap_or(0).abs_diff(it.after.unwrap_or(0));
    let mut sources: Vec<&str> = changes.iter().filter_map(|it| it.file.as_deref()).collect();
    sources.sort_unstable();
    sources.dedup();
    let place = match sources[..] {
        [] => "what is compiled".to_owned(),
        [file] => format!("what is compiled from {file}"),
        _ => format!("what is compiled, in {} source files", sources.len()),
    };
    Difference {
        file: file.to_owned(),
        place,
        symbols: changes.iter().take(MOST_SYMBOLS).map(shown).collect(),
        symbol_count: changes.len() as u64,
        bytes: changes.iter().map(grown).fold(0, u64::saturating_add),
        masked: false,
        causes,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_a_number_is_not_what_has_none() {
        let names = |list: &[&str]| list.iter().map(|it| (*it).to_owned()).collect();
        let objects = Objects {
            changes: Vec::new(),
            changed: [("foo".to_owned(), Kind::Plain)].into(),
            common: names(&["foo", "foo2", "count", "global"]),
            aliases: [("local", "global"), ("foo3", "count")]
                .map(|(a, b)| (a.to_owned(), b.to_owned()))
                .into(),
            order: None,
            unwound: None,
            lines: Lines::default(),
        };
        for (name, expected) in [
            ("foo", Some(Some(Kind::Plain))),
            ("foo.constprop.0", Some(Some(Kind::Plain))),
            // A static variable: its number is no part of the name in the map.
            ("foo.12", Some(Some(Kind::Plain))),
            ("foo2", Some(None)),
            ("count", Some(None)),
            ("count7.4", Some(None)),
            ("local", Some(None)),
            ("foo3", Some(None)),
            ("bar", None),
        ] {
            assert_eq!(objects.changed(name), expected, "{name}");
        }
    }
}
