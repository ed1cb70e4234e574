//! Which source file a global symbol comes from.
//!
//! The symbol table says it only of local symbols. But a linker puts the pieces of its inputs into
//! each section in one and the same order, and an object can refer to local things of its own
//! only; a branch that the assembler filled in leads to its own object as well. So a symbol between two of one file is of that file, and one that refers to another's
//! local data is of that one's. What this does not settle stays unknown.

use crate::signature::relocatable::{Branches, Extents, Place, Relocatable, Target};

/// How often what was found out is used to find out more.
const ROUNDS: usize = 3;

/// Number of a file, in the order of their symbols; 0 for none.
type File = usize;

/// Source files by extent.
pub(super) struct Files<'data> {
    names: Vec<&'data [u8]>,
    by_extent: Vec<File>,
}

impl<'data> Files<'data> {
    pub(super) fn of(object: &Relocatable<'data>, extents: &Extents, branches: &Branches) -> Self {
        let mut names: Vec<&[u8]> = vec![b""];
        let mut by_symbol: Vec<File> = Vec::with_capacity(object.symbols.len());
        let mut file = 0;
        for symbol in &object.symbols {
            if symbol.is_file() {
                file = if symbol.name.is_empty() { 0 } else { names.len() };
                names.push(symbol.name);
            }
            by_symbol.push(if symbol.is_local() { file } else { 0 });
        }
        let mut order = Order::new(object, &by_symbol, names.len());
        let mut by_extent: Vec<File> =
            extents.all.iter().map(|extent| by_symbol[extent.symbol]).collect();
        let mut told = vec![false; by_extent.len()];
        for _ in 0..ROUNDS {
            for (index, extent) in extents.all.iter().enumerate() {
                if by_extent[index] != 0 && !told[index] {
                    told[index] = true;
                    order.add(extent.section, extent.start, by_extent[index]);
                    for (section, offset) in references(object, extents, branches, index) {
                        order.add(section, offset, by_extent[index]);
                    }
                }
            }
            order.settle();
            for (index, extent) in extents.all.iter().enumerate() {
                if by_extent[index] == 0 {
                    let (mut low, mut high) = order.between(extent.section, extent.start);
                    for (section, offset) in references(object, extents, branches, index) {
                        let holder = extents.holding(section, offset).map(|it| by_extent[it]);
                        let (first, last) = match holder {
                            Some(file) if file != 0 => (file, file),
                            _ => order.between(section, offset),
                        };
                        (low, high) = (low.max(first), high.min(last));
                    }
                    if low == high {
                        by_extent[index] = low;
                    }
                }
            }
        }
        Self { names, by_extent }
    }

    /// The number of an extent's file, 0 when it is unknown.
    pub(super) fn number(&self, extent: usize) -> File {
        self.by_extent[extent]
    }

    /// Names of all files by their numbers.
    pub(super) fn names(&self) -> Vec<String> {
        self.names.iter().map(|name| String::from_utf8_lossy(name).into_owned()).collect()
    }

    /// The name of an extent's file.
    pub(super) fn name(&self, extent: usize) -> Option<&'data [u8]> {
        self.names.get(self.by_extent[extent]).copied().filter(|name| !name.is_empty())
    }
}

/// The places that an extent refers to without a name.
fn references<'a>(
    object: &'a Relocatable<'_>,
    extents: &'a Extents,
    branches: &'a Branches,
    index: usize,
) -> impl Iterator<Item = (usize, u64)> + 'a {
    let extent = &extents.all[index];
    let led = branches.inside(index).iter().map(|it| &extents.all[it.target]);
    let all = &object.relocations[extent.section];
    let first = all.partition_point(|it| it.offset < extent.start);
    let relocations = all[first..].iter().take_while(|it| it.offset < extent.end);
    let referred = relocations.filter_map(|it| match object.target(extent.section, it) {
        Target::Inside { section, offset } => Some((section, u64::try_from(offset).ok()?)),
        _ => None,
    });
    referred.chain(led.map(|it| (it.section, it.start)))
}

/// What is known of the order of files in each section.
struct Order {
    /// Offset and file; sorted, and the files never decrease.
    known: Vec<Vec<(u64, File)>>,
    /// Not looked at yet.
    added: Vec<Vec<(u64, File)>>,
    last: File,
}

impl Order {
    fn new(object: &Relocatable<'_>, by_symbol: &[File], files: usize) -> Self {
        let empty: Vec<Vec<(u64, File)>> = vec![Vec::new(); object.elf.sections.len()];
        let mut order = Self { known: empty.clone(), added: empty, last: files.saturating_sub(1) };
        for (symbol, &file) in object.symbols.iter().zip(by_symbol) {
            if let Place::Section(section) = symbol.place
                && file != 0
                && !symbol.is_section()
            {
                order.add(section, symbol.value, file);
            }
        }
        order.settle();
        order
    }

    fn add(&mut self, section: usize, offset: u64, file: File) {
        self.added[section].push((offset, file));
    }

    /// Takes in what was added, section by section; where it contradicts the order of files (texts
    /// that the linker merged, say) nothing of it counts.
    fn settle(&mut self) {
        for (known, added) in self.known.iter_mut().zip(&mut self.added) {
            if added.is_empty() {
                continue;
            }
            let mut all = std::mem::take(added);
            all.extend_from_slice(known);
            all.sort_unstable();
            all.dedup();
            if all.is_sorted_by_key(|it| it.1) {
                *known = all;
            }
        }
    }

    /// The first and the last file that may have a place.
    fn between(&self, section: usize, offset: u64) -> (File, File) {
        let known = &self.known[section];
        let behind = known.partition_point(|it| it.0 <= offset);
        let before = behind.checked_sub(1).map(|index| known[index]);
        match before {
            Some((at, file)) if at == offset => (file, file),
            _ => {
                let high = known.get(behind).map_or(self.last, |it| it.1);
                (before.map_or(1, |it| it.1), high)
            }
        }
    }
}
