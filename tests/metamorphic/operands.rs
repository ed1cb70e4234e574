//! Line numbers that are operands of instructions: `__LINE__`, given to a function.

use object::{Object as _, ObjectSection as _, ObjectSymbol as _};

/// Bytes of an operand (x86-64, `mov $imm32, %reg`).
const WIDTH: usize = 4;

/// Asserts that the symbols of these names differ in 32-bit numbers alone, each greater by `lines` in
/// the second of two relocatable files; gives how many numbers do.
#[track_caller]
pub(crate) fn differ_in_operands(files: &[Vec<u8>; 2], names: &[String], lines: u32) -> usize {
    let files = [0, 1].map(|it| object::File::parse(&files[it][..]).unwrap());
    let mut moved = 0;
    for name in names {
        let [before, after] = [0, 1].map(|it| contents(&files[it], name));
        assert_eq!(before.len(), after.len(), "{name}");
        for (before, after) in before.iter().zip(&after) {
            let count = moved_numbers(before, after, lines);
            moved += count.unwrap_or_else(|at| panic!("byte {at} of {name}"));
        }
    }
    moved
}

/// What the symbols of a name hold, compilers' suffixes aside; in file order.
fn contents<'data>(file: &object::File<'data>, name: &str) -> Vec<&'data [u8]> {
    let is_it = |symbol: &str| symbol.split('.').next() == name.split('.').next();
    let symbols = file.symbols().filter(|it| it.name().is_ok_and(is_it));
    symbols
        .filter_map(|it| {
            let section = file.section_by_index(it.section_index()?).ok()?;
            section.data_range(it.address(), it.size()).ok()?
        })
        .collect()
}

/// How many numbers of one text are greater by `lines` in another that is the same but for them; the
/// first place where it is not.
fn moved_numbers(before: &[u8], after: &[u8], lines: u32) -> Result<usize, usize> {
    let mut count = 0;
    let mut at = 0;
    while let Some(next) =
        (at..before.len().max(after.len())).find(|&it| before.get(it) != after.get(it))
    {
        // The lowest byte may be the same.
        let starts = (next.saturating_sub(WIDTH - 1).max(at)..=next).rev();
        let number = |text: &[u8], start: usize| {
            Some(u32::from_le_bytes(*text.get(start..)?.first_chunk::<WIDTH>()?))
        };
        let is_moved = |&start: &usize| {
            let [one, other] = [number(before, start), number(after, start)];
            one.is_some() && one.map(|it| it.wrapping_add(lines)) == other
        };
        at = starts.clone().find(is_moved).ok_or(next)? + WIDTH;
        count += 1;
    }
    Ok(count)
}

#[test]
fn numbers_that_moved_are_told_from_others() {
    let before = [0xbe, 0xff, 0, 0, 0, 0xe8, 1, 0, 0, 0];
    let after = [0xbe, 0x09, 1, 0, 0, 0xe8, 1, 0, 0, 0];
    assert_eq!(moved_numbers(&before, &after, 10), Ok(1));
    assert_eq!(moved_numbers(&before, &before, 10), Ok(0));
    assert_eq!(moved_numbers(&before, &after, 11), Err(1));
    assert_eq!(moved_numbers(&before, &after[..9], 10), Err(9));
    // By 256, of which the lowest byte tells nothing.
    assert_eq!(moved_numbers(&[5, 7, 0, 0, 0], &[5, 7, 1, 0, 0], 256), Ok(1));
    let mut other = after;
    other[5] = 0xe9;
    assert_eq!(moved_numbers(&before, &other, 10), Err(5));
}
