//! `symbols`: a change is named, and nothing else is.

use super::compiled::{NATIVE, RECORDS, SOURCE, compilers, with_lines};
use crate::signature::symbols::{SymbolKey, SymbolKind, SymbolMap, diff, symbols_of_bytes};

fn map(file: &[u8]) -> SymbolMap {
    symbols_of_bytes(&file).unwrap()
}

/// Changes as "kind name", with a sign for what was added or removed.
fn changes(before: &[u8], after: &[u8]) -> Vec<String> {
    let named = |it: &crate::signature::symbols::SymbolChange| {
        let sign = match (it.before, it.after) {
            (None, _) => "+",
            (_, None) => "-",
            _ => "",
        };
        format!("{sign}{}", it.name)
    };
    diff(&map(before), &map(after)).iter().map(named).collect()
}

#[test]
fn a_change_names_what_it_changes() {
    for compiler in compilers() {
        let base = compiler.object(SOURCE);
        for (from, to, expected) in [
            ("x * 3 + 1", "x * 3 - 1", &["first"][..]),
            ("x * 3 + 1", "fa(x) * 3 + fb(1)", &["first"]),
            ("return fa(x) + 1", "return fb(x) + 1", &["call"]),
            (".close = second", ".close = 0", &["table"]),
            ("kiln says so", "kiln says nothing at all", &["say"]),
            ("buffer[64]", "buffer[128]", &["buffer"]),
            ("fa(30) + 3", "fa(31) * 3 + fb(30)", &["choose"]),
            ("flag == 7", "flag == 70000", &["check"]),
            ("int check(void)", "int more(void) { return fb(9); }\nint check(void)", &["+more"]),
        ] {
            let changed = SOURCE.replace(from, to);
            assert_ne!(changed, SOURCE, "{to}");
            let mut expected = expected.to_vec();
            let mut found = changes(&base, &compiler.object(&changed));
            expected.sort_unstable();
            found.sort();
            assert_eq!(found, expected, "{to}");
        }
    }
}

#[test]
fn comments_and_blank_lines_name_nothing() {
    for compiler in compilers() {
        let source = format!("{SOURCE}{RECORDS}");
        let (before, after) = (compiler.object(&source), compiler.object(&with_lines(&source)));
        assert_eq!(changes(&before, &after), Vec::<String>::new());
    }
}

/// It changes with each function, and says nothing of its own that a name stands for.
#[test]
fn how_functions_are_unwound_names_nothing() {
    let object = |entry: &str| {
        let table = format!(".pushsection .orc_unwind_ip,\\\"a\\\"\\n{entry}\\n.popsection");
        NATIVE.object(&format!("{SOURCE} asm(\"{table}\");"))
    };
    let [one, other] = [".long call - .", ".long check - .\\n.long call - ."].map(object);
    assert_eq!(changes(&one, &other), Vec::<String>::new());
    let keys: Vec<_> = map(&one).entries.into_keys().filter(|it| it.name.contains("orc")).collect();
    assert_eq!(keys, []);
}

#[test]
fn parts_of_a_function_are_one() {
    let source = |cold: &str| {
        format!(
            "extern void hard(int), soft(int);
             int f(int x) {{ if (__builtin_expect(x < 0, 0)) {{ hard(1); {cold} }} soft(2); return x; }}"
        )
    };
    let before = NATIVE.object_with(&source("hard(3);"), &["-freorder-blocks-and-partition"]);
    let after =
        NATIVE.object_with(&source("hard(4); hard(5);"), &["-freorder-blocks-and-partition"]);
    assert_eq!(changes(&before, &after), ["f"]);
    let names: Vec<String> = map(&before).entries.into_keys().map(|it| it.name).collect();
    assert_eq!(names, ["f"]);
}

#[test]
fn static_variables_of_one_name_are_told_apart_by_content() {
    let function = |name: &str| format!("const char *{name}(void) {{ return __func__; }}\n");
    let before = NATIVE.object(&format!("{}{}", function("one"), function("three")));
    let after =
        NATIVE.object(&format!("{}{}{}", function("one"), function("two"), function("three")));
    assert_eq!(changes(&before, &after), ["+two", "+__func__"]);
}

#[test]
fn tables_change_with_their_entries_and_not_with_the_functions_size() {
    let source = format!("{SOURCE}{RECORDS}");
    let before = NATIVE.object(&source);
    let grown = source.replace("if (x > 5)", "if (x * x > fa(5))");
    assert_eq!(changes(&before, &NATIVE.object(&grown)), ["warns_too"]);
    let more = source.replace("return x + 1;", "if (x == 8) WARN(); return x + 1;");
    assert_eq!(changes(&before, &NATIVE.object(&more)), ["__bug_table", "warns_too"]);
}

#[test]
fn global_symbols_find_their_file() {
    let file = |letter: &str| {
        format!(
            "extern int other(int);
             static int count_{letter};
             __attribute__((noinline)) static int helper_{letter}(int x) {{ asm volatile(\"\"); return x + count_{letter}; }}
             int first_{letter}(int x) {{ return other(x) + 2; }}
             int use_{letter}(int x) {{ return helper_{letter}(x) * 2; }}
             int text_{letter}(void) {{ return other((long)\"text of {letter}\"); }}
             int last_{letter}(int x) {{ count_{letter} = x; return 0; }}"
        )
    };
    let (a, b) = (file("a"), file("b"));
    let whole = map(&NATIVE.linked(&[("a.c", &a), ("b.c", &b)]));
    let of = |kind, name: &str, local: &str| {
        let key = SymbolKey { kind, file: local.to_owned(), name: name.to_owned() };
        whole.entries.get(&key).unwrap_or_else(|| panic!("{name}"))[0].file.clone()
    };
    for letter in ["a", "b"] {
        let expected = Some(format!("{letter}.c"));
        for name in ["use", "last"] {
            let name = format!("{name}_{letter}");
            assert_eq!(of(SymbolKind::Function, &name, ""), expected, "{name}");
        }
        let (helper, count) = (format!("helper_{letter}"), format!("count_{letter}"));
        assert_eq!(of(SymbolKind::Function, &helper, expected.as_ref().unwrap()), expected);
        assert_eq!(of(SymbolKind::Data, &count, expected.as_ref().unwrap()), expected);
        // Nothing but its place may tell where this is from: the right file, or none.
        let text = of(SymbolKind::Function, &format!("text_{letter}"), "");
        assert!(text.is_none() || text == expected, "{text:?}");
    }
}

/// What a static is called or how large it is says nothing of who uses its neighbour.
#[test]
fn a_neighbour_in_memory_is_no_change() {
    let source = |before: &str| {
        format!(
            "static int {before}; static int flag; static char *text;
                 int set(int x) {{ flag = 5; text = \"t\"; return {before}0 = x; }}
                 int test(void) {{ return flag == 300 || text == 0; }}
                 int near(void) {{ flag = 700000; return flag; }}",
        )
        .replace("wide[9]0", "wide[0]")
        .replace("narrow0", "narrow")
    };
    let (before, after) = (NATIVE.object(&source("narrow")), NATIVE.object(&source("wide[9]")));
    let mut found = changes(&before, &after);
    found.sort();
    assert_eq!(found, ["+wide", "-narrow", "set"]);
}

/// Small data is named by an anchor in its section, large data by itself: arm64's `-fsection-anchors`.
#[test]
fn data_that_outgrows_its_anchor_does_not_change_who_uses_it() {
    let source = |length: &str| {
        format!(
            "int room[{length}]; int one(void) {{ return room[1]; }} int two(void) {{ return room[2]; }}"
        )
    };
    for compiler in compilers() {
        let object = |length| compiler.object_with(&source(length), &["-ftoplevel-reorder"]);
        assert_eq!(changes(&object("64"), &object("4096")), ["room"]);
        let moved = source("64").replace("room[2]", "room[3]");
        let moved = compiler.object_with(&moved, &["-ftoplevel-reorder"]);
        assert_eq!(changes(&object("4096"), &moved), ["two", "room"]);
    }
}

/// Calls of static functions have no relocation: their bytes are distances, over whatever lies
/// between.
#[test]
fn what_grows_between_caller_and_callee_changes_neither() {
    let source = |middle: &str| {
        format!(
            "extern int out(int);
             __attribute__((noinline)) static int helper(int x) {{ asm volatile(\"\"); return x + 1; }}
             __attribute__((noinline)) static int other(int x) {{ asm volatile(\"\"); return x + 2; }}
             int middle(int x) {{ {middle} }}
             int caller(int x) {{ return helper(x) + out(x); }}
             int tail(int x) {{ return helper(x + 2); }}
             int both(int x) {{ return other(x) * 2; }}"
        )
    };
    for compiler in compilers() {
        // Far enough for long jumps in both: another encoding would be another size.
        let far = format!("{} return x;", "out(x);".repeat(40));
        let before = compiler.object(&source(&far));
        let grown = format!("out(7); {far}");
        assert_eq!(changes(&before, &compiler.object(&source(&grown))), ["middle"]);
        let swapped = source(&far).replace("return helper(x) + out", "return other(x) + out");
        assert_eq!(changes(&before, &compiler.object(&swapped)), ["caller"]);
    }
}

#[test]
fn linked_files_are_compared_by_names_and_sizes() {
    use crate::signature::symbols::{is_linked, linked_symbols_of};
    let folder = tempfile::tempdir().unwrap();
    let link = |name: &str, source: &str| {
        let (object, linked) = (folder.path().join("a.o"), folder.path().join(name));
        std::fs::write(&object, NATIVE.object(source)).unwrap();
        let mut ld = std::process::Command::new("ld");
        ld.args(["-e", "0", "--unresolved-symbols=ignore-all", "-o"]).arg(&linked).arg(&object);
        assert!(ld.status().unwrap().success());
        assert!(is_linked(&linked).unwrap() && !is_linked(&object).unwrap());
        linked_symbols_of(&linked).unwrap()
    };
    let source =
        "int kept(int x) { return x; } int grown(int x) { return x; } static int gone[9] = {1};
                  int *use(void) { return gone; }";
    let changed = "int kept(int x) { return x; } int grown(int x) { return x * 7 + kept(x); } int *use(void) { return 0; }";
    let before = link("one", source);
    let changes = diff(&before, &link("two", changed));
    let mut names: Vec<&str> = changes.iter().map(|it| it.name.as_str()).collect();
    names.retain(|name| *name != "use");
    names.sort_unstable();
    assert_eq!(names, ["gone", "grown"]);
    assert!(diff(&before, &before).is_empty());
}

#[test]
fn whole_paths_of_source_files() {
    use std::collections::BTreeSet;

    let one = "static int count;\nint first(void) { return ++count; }\n";
    let two = "static int calls;\nint second(void) { return ++calls; }\n";
    let before = NATIVE.linked(&[("pipe.c", one), ("core.c", two)]);
    let after = NATIVE.linked(&[("pipe.c", one), ("core.c", &two.replace("++", "--"))]);
    let changed = |sources: &[&str]| {
        let sources: BTreeSet<String> = sources.iter().map(|it| (*it).to_owned()).collect();
        let map = |bytes: &[u8]| {
            let mut map = crate::signature::symbols::symbols_of_bytes(&bytes).unwrap();
            map.name_sources(&sources);
            map
        };
        let changes = crate::signature::symbols::diff(&map(&before), &map(&after));
        assert_eq!(changes.len(), 1, "{changes:?}");
        changes[0].file.clone().unwrap()
    };
    assert_eq!(changed(&[]), "core.c");
    assert_eq!(changed(&["fs/pipe.c", "net/core.c"]), "net/core.c");
    assert_eq!(changed(&["fs/pipe.c", "net/core.c", "fs/core.c"]), "fs/core.c");
    assert_eq!(changed(&["fs/pipe.c", "net/core.c", "mm/core.c"]), "core.c");
}
