//! Which symbol a byte belongs to.

use object::elf as abi;

use super::{Place, Relocatable};

/// How many enclosing symbols are looked at before a byte counts as nobody's. Real ones are not
/// nested; the limit is for files that were made to cost time.
const MAX_NESTING: usize = 64;

/// The bytes of a symbol with a size, or of several that name the same bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Extent {
    pub(crate) section: usize,
    pub(crate) start: u64,
    pub(crate) end: u64,
    /// Index of the symbol that stands for all: a global one before a local one, then the one
    /// whose name sorts first.
    pub(crate) symbol: usize,
}

/// All extents of a file by section and start.
#[derive(Debug)]
pub(crate) struct Extents {
    pub(crate) all: Vec<Extent>,
    /// The furthest end of an extent and those before it in its section.
    reach: Vec<u64>,
}

impl Extents {
    /// Extents of the functions and data of `object` that lie in allocated sections.
    pub(crate) fn of(object: &Relocatable<'_>) -> Self {
        let mut all: Vec<Extent> = Vec::new();
        for (index, symbol) in object.symbols.iter().enumerate() {
            let Place::Section(section) = symbol.place else { continue };
            let whole = &object.elf.sections[section];
            let Some(end) = symbol.value.checked_add(symbol.size) else { continue };
            if (symbol.is_function() || symbol.is_data())
                && symbol.size > 0
                && whole.is_allocated()
                && end <= whole.size
            {
                all.push(Extent { section, start: symbol.value, end, symbol: index });
            }
        }
        let rank = |index: usize| {
            let symbol = &object.symbols[index];
            (symbol.binding == abi::STB_LOCAL.0, symbol.name)
        };
        all.sort_by(|a, b| {
            let place = |it: &Extent| (it.section, it.start, std::cmp::Reverse(it.end));
            place(a).cmp(&place(b)).then_with(|| rank(a.symbol).cmp(&rank(b.symbol)))
        });
        all.dedup_by(|b, a| (a.section, a.start, a.end) == (b.section, b.start, b.end));
        let mut reach: Vec<u64> = Vec::with_capacity(all.len());
        for (index, it) in all.iter().enumerate() {
            let before = match index.checked_sub(1) {
                Some(last) if all[last].section == it.section => reach[last],
                _ => 0,
            };
            reach.push(before.max(it.end));
        }
        Self { all, reach }
    }

    /// The innermost extent that holds a byte of a section, by its index.
    pub(crate) fn holding(&self, section: usize, offset: u64) -> Option<usize> {
        let behind = self.all.partition_point(|it| (it.section, it.start) <= (section, offset));
        (0..behind)
            .rev()
            .take(MAX_NESTING)
            .take_while(|&index| self.all[index].section == section && self.reach[index] > offset)
            .find(|&index| self.all[index].end > offset)
    }

    /// The longest extent that begins at a byte of a section, by its index.
    pub(crate) fn starting_at(&self, section: usize, offset: u64) -> Option<usize> {
        let first = self.all.partition_point(|it| (it.section, it.start) < (section, offset));
        self.all.get(first).filter(|it| (it.section, it.start) == (section, offset)).map(|_| first)
    }

    /// Where the first extent begins behind a byte of a section.
    pub(crate) fn next_start(&self, section: usize, offset: u64) -> Option<u64> {
        let next = self.all.partition_point(|it| (it.section, it.start) <= (section, offset));
        self.all.get(next).filter(|it| it.section == section).map(|it| it.start)
    }
}
