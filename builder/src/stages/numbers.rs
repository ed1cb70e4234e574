//! Options of Kconfig that are numbers, and how they are written.
//!
//! `CONFIG_FOO=10` in a `.config` is sixteen for an option of type `hex` and ten for one of type
//! `int`: `autoconf.h`, which is what compilers get, has `0x10` then. So two trees may make the same
//! `.config` and different kernels of it, when one changes the type. Make notices nothing of that: it
//! goes by `include/config/`, which Kconfig touches where a value differs as it stands in `.config`. No
//! other two types have a value in common that is written otherwise.

use std::collections::{BTreeMap, BTreeSet};

/// Options, without their prefix.
pub(super) type Names = BTreeSet<Box<[u8]>>;

/// The options that are numbers in both of two sets of Kconfig files, given by their texts, and not
/// of the same types.
pub(super) fn rewritten(before: &[Vec<u8>], after: &[Vec<u8>]) -> Names {
    let (before, mut after) = (types(before), types(after));
    let differ = before.into_iter().filter_map(|(name, types)| {
        let others = after.remove(&name)?;
        (others != types).then_some(name)
    });
    differ.collect()
}

/// Whether a Kconfig file makes any of some options a number.
pub(super) fn makes_numbers(text: &[u8], names: &Names) -> bool {
    !names.is_empty() && numbers(text).iter().any(|(name, _)| names.contains(*name))
}

/// The types of the options that are numbers; an option may have another one for another architecture.
fn types(texts: &[Vec<u8>]) -> BTreeMap<Box<[u8]>, BTreeSet<&'static str>> {
    let mut all: BTreeMap<Box<[u8]>, BTreeSet<&'static str>> = BTreeMap::new();
    for (name, kind) in texts.iter().flat_map(|text| numbers(text)) {
        all.entry(name.into()).or_default().insert(kind);
    }
    all
}

/// Each option that a Kconfig file makes a number, with its type (Linux,
/// Documentation/kbuild/kconfig-language.rst).
fn numbers(text: &[u8]) -> Vec<(&[u8], &'static str)> {
    let mut found = Vec::new();
    let mut option: Option<&[u8]> = None;
    let mut help: Option<Help> = None;
    for line in text.split(|byte| *byte == b'\n') {
        let mut words = line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
        let Some(word) = words.next() else { continue };
        if let Some(inside) = &mut help
            && inside.goes_on(column(line))
        {
            continue;
        }
        help = None;
        match (word, option) {
            (b"config" | b"menuconfig", _) => option = words.next(),
            (b"help" | b"---help---", _) => help = Some(Help { column: None }),
            (b"int", Some(name)) => found.push((name, "int")),
            (b"hex", Some(name)) => found.push((name, "hex")),
            // Blocks that are no option's.
            (b"choice" | b"comment" | b"menu" | b"if" | b"source", _) => option = None,
            _ => {}
        }
    }
    found
}

/// Text for people, which ends at a line that is indented less than its first.
struct Help {
    column: Option<usize>,
}

impl Help {
    fn goes_on(&mut self, column: usize) -> bool {
        column > 0 && column >= *self.column.get_or_insert(column)
    }
}

/// The column of a line's first character that is no blank; tabs are at multiples of eight.
fn column(line: &[u8]) -> usize {
    let blanks = line.iter().take_while(|byte| matches!(byte, b' ' | b'\t'));
    blanks.fold(0, |column, byte| match byte {
        b'\t' => (column / 8 + 1) * 8,
        _ => column + 1,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASE: &str = "config START\n\thex \"Where\"\n\tdefault 10\n\thelp\n\t  Of type\n\t  int or\n\
                        \n\t  config START\n\t  int\n\nmenuconfig SIZE\n  int\n  range 1 9\n\n\
                        config FLAG\n\tbool \"int\"\n\ncomment \"hex\"\n\nchoice\n\thex\nendchoice\n";

    fn names(before: &[&str], after: &[&str]) -> Vec<String> {
        let texts = |all: &[&str]| all.iter().map(|it| it.as_bytes().to_vec()).collect::<Vec<_>>();
        let names = rewritten(&texts(before), &texts(after));
        names.iter().map(|name| String::from_utf8_lossy(name).into_owned()).collect()
    }

    #[test]
    fn only_what_defines_an_option_says_its_type() {
        let found = numbers(BASE.as_bytes());
        assert_eq!(found, [(&b"START"[..], "hex"), (&b"SIZE"[..], "int")]);
    }

    #[test]
    fn a_number_that_is_written_otherwise_is_found() {
        let hex = BASE.replace("  int\n  range", "  hex\n  range");
        assert_eq!(names(&[BASE], &[&hex]), ["SIZE"]);
        assert_eq!(names(&[&hex], &[BASE]), ["SIZE"]);
        // In another file now.
        let gone = BASE.replace("menuconfig SIZE\n  int\n  range 1 9\n", "");
        assert_eq!(names(&[BASE, ""], &[&gone, "config SIZE\n\thex\n"]), ["SIZE"]);
        let names: Names = [Box::from(&b"SIZE"[..])].into();
        assert!(makes_numbers(BASE.as_bytes(), &names) && !makes_numbers(gone.as_bytes(), &names));
    }

    #[test]
    fn other_changes_are_not() {
        let others = [
            BASE.replace("range 1 9", "range 1 99\n  default 7"),
            BASE.replace("int or", "hex or"),
            BASE.replace("bool \"int\"", "tristate \"hex\""),
            BASE.replace("menuconfig SIZE\n  int\n", "menuconfig SIZE\n  bool\n"),
            BASE.replace("SIZE", "LENGTH"),
        ];
        for other in others {
            assert_ne!(other, BASE);
            assert_eq!(names(&[BASE], &[&other]), [""; 0], "{other}");
        }
        // Each of two architectures has its own type of it.
        let both = [BASE, "config SIZE\n\thex\n"];
        assert_eq!(names(&both, &both), [""; 0]);
    }
}
