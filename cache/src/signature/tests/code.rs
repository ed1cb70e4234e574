//! `code`: what changes it, and what does not, with objects of a real compiler.

use super::compiled::{NATIVE, RECORDS, SOURCE, compilers, with_lines};
use crate::digest::Digest;
use crate::signature::code::{counts, locate, sign};
use crate::signature::elf::Elf;
use crate::signature::relocatable::{Blank, Extents, Relocatable, Target};
use crate::signature::test_elf::{ALLOC, PROGBITS, TestElf};
use crate::signature::{CODE_VERSION, ElfError, SignatureKind, masked_code, sign_kind};

fn code(file: &[u8]) -> Digest {
    sign(&Elf::parse(file).unwrap(), &file).unwrap()
}

fn masks(file: &[u8]) -> Vec<Vec<Blank>> {
    let elf = Elf::parse(file).unwrap();
    let object = Relocatable::read(&elf).unwrap();
    locate(&object, &Extents::of(&object), &file).unwrap()
}

/// Masks as (section, mask), the file's own.
fn all_masks(file: &[u8]) -> Vec<(usize, Blank)> {
    let by_section = masks(file).into_iter().enumerate();
    by_section.flat_map(|(section, all)| all.into_iter().map(move |it| (section, it))).collect()
}

fn tags(file: &[u8]) -> Vec<&'static str> {
    let mut tags: Vec<_> = all_masks(file).into_iter().map(|(_, it)| it.tag).collect();
    tags.sort_unstable();
    tags
}

#[test]
fn comments_and_blank_lines_change_nothing() {
    for compiler in compilers() {
        let source = format!("{SOURCE}{RECORDS}");
        let (before, after) = (compiler.object(&source), compiler.object(&with_lines(&source)));
        assert_ne!(before, after, "the lines are in the bytes, or this test shows nothing");
        assert_eq!(tags(&before), ["bug-line", "bug-line", "dyndbg-line", "printk-line"]);
        assert_eq!(code(&before), code(&after));
    }
}

#[test]
fn ten_thousand_lines_change_nothing() {
    let source = format!("{SOURCE}{RECORDS}");
    let long = format!("{}{source}", "\n".repeat(10_000));
    assert_eq!(code(&NATIVE.object(&source)), code(&NATIVE.object(&long)));
}

#[test]
fn the_debug_information_does_not_count() {
    let plain = NATIVE.object(SOURCE);
    assert_eq!(code(&plain), code(&NATIVE.object_with(SOURCE, &["-g"])));
}

#[test]
fn every_change_of_what_runs_counts() {
    for compiler in compilers() {
        let base = code(&compiler.object(SOURCE));
        for (what, from, to) in [
            ("an operation", "x * 3 + 1", "x * 3 - 1"),
            ("a call's target", "return fa(x) + 1", "return fb(x) + 1"),
            ("a pointer of a table", ".close = second", ".close = first"),
            (
                "a swap in a table",
                ".open = first, .close = second",
                ".open = second, .close = first",
            ),
            ("a text", "kiln says so", "kiln says no"),
            ("the size of memory", "buffer[64]", "buffer[128]"),
            ("a case", "fa(30) + 3", "fa(30) + 4"),
            ("a function's name", "check(void)", "chuck(void)"),
            ("the name of a static function", "second", "third"),
            (
                "whether it is static",
                "int check(void)",
                "static __attribute__((used)) int check(void)",
            ),
            (
                "order",
                "static char buffer[64];\nstatic int flag;",
                "static int flag;\nstatic char buffer[64];",
            ),
        ] {
            let changed = SOURCE.replace(from, to);
            assert_ne!(changed, SOURCE, "{what}");
            assert_ne!(code(&compiler.object(&changed)), base, "{what}");
        }
    }
}

/// The bytes of a call of `fa` and of `fb` are the same: only relocations tell them apart.
#[test]
fn a_call_of_another_function_of_the_same_file_counts() {
    let source = |called: &str| {
        format!(
            "__attribute__((noinline)) static int fa(int x) {{ asm volatile(\"\"); return x * 7; }}
             __attribute__((noinline)) static int fb(int x) {{ asm volatile(\"\"); return x * 9; }}
             int (*keep[])(int) = {{ fa, fb }};
             int call(int x) {{ return {called}(x) + 1; }}"
        )
    };
    for compiler in compilers() {
        let (a, b) = (compiler.object(&source("fa")), compiler.object(&source("fb")));
        assert_ne!(code(&a), code(&b));
        let (a, b) = (
            compiler.object("extern int fa(int), fb(int); int f(int x) { return fa(x) + 1; }"),
            compiler.object("extern int fa(int), fb(int); int f(int x) { return fb(x) + 1; }"),
        );
        assert_eq!(text(&a), text(&b), "or this test shows nothing");
        assert_ne!(code(&a), code(&b));
    }
}

fn text(file: &[u8]) -> &[u8] {
    let elf = Elf::parse(file).unwrap();
    let section = elf.sections.iter().find(|it| it.name == b".text").unwrap();
    &file[section.bytes.clone().unwrap()]
}

/// Where the entry of the relocation at an offset of a section lies in the file.
fn relocation_over(file: &[u8], section: usize, offset: u64) -> Option<usize> {
    let elf = Elf::parse(file).unwrap();
    let table = elf.sections.iter().find(|it| it.kind == 4 && it.info as usize == section)?;
    let start = table.bytes.clone()?.start;
    let entries = file[table.bytes.clone()?].chunks_exact(24).enumerate();
    let at = |entry: &[u8]| u64::from_le_bytes(entry[..8].try_into().unwrap());
    // Pointers of 4 bytes in the bug table, of 8 elsewhere.
    let length = if elf.sections[section].name == b"__bug_table" { 4 } else { 8 };
    entries
        .filter(|(_, entry)| (at(entry)..at(entry) + length).contains(&offset))
        .map(|(index, _)| start + index * 24)
        .next()
}

/// Flips bits in and around every mask of a file.
fn probe_masks(file: &[u8]) {
    let base = code(file);
    let elf = Elf::parse(file).unwrap();
    let flipped = |at: usize, bits: u8| {
        let mut changed = file.to_vec();
        changed[at] ^= bits;
        code(&changed)
    };
    for (section, mask) in all_masks(file) {
        let start = elf.sections[section].bytes.clone().unwrap().start;
        let size = elf.sections[section].size;
        for offset in mask.range.clone() {
            let kept = (mask.keep >> ((offset - mask.range.start) * 8)) as u8;
            let at = start + offset as usize;
            if kept != 0 {
                assert_ne!(flipped(at, 1 << kept.trailing_zeros()), base, "{mask:?}");
            }
            // The line 0 means that there is none, so no location: not all bits at once.
            if kept != 0xff {
                assert_eq!(
                    flipped(at, 1 << kept.trailing_ones() & !kept | !kept & 0x80),
                    base,
                    "{mask:?}"
                );
            }
        }
        for offset in [mask.range.start.wrapping_sub(1), mask.range.end] {
            if offset >= size {
                continue;
            }
            match relocation_over(file, section, offset) {
                Some(entry) => assert_ne!(flipped(entry + 16, 1), base, "{mask:?} {offset}"),
                None => assert_ne!(flipped(start + offset as usize, 1), base, "{mask:?} {offset}"),
            }
        }
    }
}

#[test]
fn masks_are_listed_by_their_places_in_the_file() {
    let bytes = NATIVE.object(&format!("{SOURCE}{RECORDS}"));
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), &bytes).unwrap();
    let listed = masked_code(file.path()).unwrap();
    let mut kinds: Vec<&str> = listed.iter().map(|it| it.kind).collect();
    kinds.sort_unstable();
    assert_eq!(kinds, tags(&bytes));
    for mask in listed {
        let mut changed = bytes.clone();
        changed[mask.start as usize] ^= 1;
        assert_eq!(code(&changed), code(&bytes), "{mask:?}");
    }
    let kernel = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(
        kernel.path(),
        TestElf::new().section(".text", PROGBITS, ALLOC, vec![1]).build(),
    )
    .unwrap();
    assert!(masked_code(kernel.path()).is_err(), "it is linked");
}

#[test]
fn what_lies_just_outside_a_mask_counts() {
    probe_masks(&NATIVE.object(&format!("{SOURCE}{RECORDS}")));
}

/// As the kernel is compiled with UBSAN and KASAN.
const SANITIZED: &[&str] = &[
    "-fsanitize=bounds,shift,integer-divide-by-zero,unreachable",
    "-fsanitize=kernel-address",
    "-fasan-shadow-offset=0xdffffc0000000000",
    "--param=asan-globals=1",
    "--param=asan-instrumentation-with-call-threshold=0",
];
const CHECKED: &str = "
int array[10];
int look(int i, int s) { return array[i] << s; }
int divide(int a, int b) { return a / b; }
";

#[test]
fn lines_of_sanitizers_do_not_count() {
    for compiler in compilers() {
        let object = |source: &str| compiler.object_with(source, SANITIZED);
        let (before, after) = (object(CHECKED), object(&with_lines(CHECKED)));
        assert_ne!(before, after, "the lines are in the bytes, or this test shows nothing");
        let locations = tags(&before).into_iter().filter(|it| *it == "source-location").count();
        // Of three checks and an array.
        assert!(locations >= 4, "{locations}");
        assert_eq!(code(&before), code(&after));
        assert_ne!(code(&before), code(&object(&CHECKED.replace("array[i] <<", "array[i] >>"))));
        assert_ne!(code(&before), code(&object(&CHECKED.replace("array[10]", "array[11]"))));
        probe_masks(&before);
    }
}

/// What looks like a location of a sanitizer, in a file that has some.
const LOOKALIKES: &str = "
extern void __ubsan_handle_out_of_bounds(void *, unsigned long);
struct firmware { const char *name; unsigned address, length; };
extern void load(struct firmware *);
__attribute__((noinline)) static void load_here(struct firmware *it) { asm volatile(\"\" :: \"r\"(it)); }
static struct firmware given asm(\".Lgiven\") = { \"given.c\", 1, 2 };
static struct firmware given_here asm(\".Lhere\") = { \"here.c\", 3, 4 };
void copied(int i) {
    struct firmware all[] = {
        { \"a.c\", 0x1000, 1 }, { \"b.c\", 1, 2 }, { \"c.c\", 2, 7 }, { \"d.h\", 3, 4 },
        { \"e.c\", 5, 6 }, { \"f.c\", 7, 8 }, { \"g.c\", 9, 10 }, { \"h.S\", 11, 12 },
        { \"i.c\", 5, 6 }, { \"j.c\", 7, 8 }, { \"k.c\", 9, 10 }, { \"l.S\", 11, 12 },
        { \"m.c\", 5, 6 }, { \"n.c\", 7, 8 }, { \"o.c\", 9, 10 }, { \"p.S\", 11, 12 },
        { \"q.c\", 5, 6 }, { \"r.c\", 7, 8 }, { \"s.c\", 9, 10 }, { \"t.S\", 11, 12 },
    };
    if (i > 3) __ubsan_handle_out_of_bounds(0, 0);
    load(all);
}
void passed(void) { load(&given); __ubsan_handle_out_of_bounds(0, 0); }
void passed_here(void) { load_here(&given_here); __ubsan_handle_out_of_bounds(0, 0); }
";

#[test]
fn data_that_looks_like_a_location_counts() {
    for compiler in compilers() {
        let source = format!("{CHECKED}{LOOKALIKES}");
        let base = compiler.object_with(&source, SANITIZED);
        assert!(tags(&base).contains(&"source-location"), "or this test shows nothing");
        for (from, to) in [
            ("0x1000", "0x2000"),
            ("\"c.c\", 2, 7", "\"c.c\", 2, 9"),
            ("\"given.c\", 1", "\"given.c\", 5"),
            ("\"here.c\", 3", "\"here.c\", 5"),
        ] {
            let changed = source.replace(from, to);
            assert_ne!(changed, source, "{from}");
            assert_ne!(code(&base), code(&compiler.object_with(&changed, SANITIZED)), "{from}");
        }
        let elf = Elf::parse(&base).unwrap();
        // The names of the records, each of which a location would have before its mask.
        let object = Relocatable::read(&elf).unwrap();
        for (section, mask) in all_masks(&base) {
            let mut all = object.relocations[section].iter();
            let pointer = all.find(|it| it.offset + 8 == mask.range.start).unwrap();
            let Target::Inside { section, offset } = object.target(section, pointer) else {
                panic!("{mask:?} has no name");
            };
            let name = &elf.data[elf.sections[section].bytes.clone().unwrap()][offset as usize..];
            assert!(name.starts_with(b"kiln.c\0"), "{mask:?}");
        }
    }
}

#[test]
fn only_records_that_are_certain_are_masked() {
    let source = format!("{SOURCE}{RECORDS}");
    let file = NATIVE.object(&source);
    // A bug table with a pointer where none belongs is some other table.
    let odd = source.replace(".short %c1\\n .short %c2", ".long %c0 - .");
    assert_ne!(odd, source);
    assert!(!tags(&NATIVE.object(&odd)).contains(&"bug-line"));
    // Without the pointer of the index, an entry is data like any other.
    let odd = source.replace("section(\".printk_index\")", "section(\".other_index\")");
    assert!(!tags(&NATIVE.object(&odd)).contains(&"printk-line"));
    // One field fewer.
    let odd = source
        .replace(
            "const char *modname, *function, *filename, *format;",
            "const char *modname, *function; long filename, *format;",
        )
        .replace("\"kiln.c\", \"x=%d\"", "4, \"x=%d\"");
    assert!(!tags(&NATIVE.object(&odd)).contains(&"dyndbg-line"));
    // Nothing of a sanitizer, no location of one.
    assert!(!tags(&file).contains(&"source-location"));
}

/// Every byte that the kernel would load counts, but for masks and for what the linker fills in.
#[test]
fn any_other_byte_counts() {
    let file = NATIVE.object(&format!("{SOURCE}{RECORDS}"));
    let base = code(&file);
    let elf = Elf::parse(&file).unwrap();
    let object = Relocatable::read(&elf).unwrap();
    let masks = masks(&file);
    let mut seen = 0;
    for (index, section) in elf.sections.iter().enumerate() {
        let Some(bytes) = section.bytes.clone().filter(|_| counts(&elf, section)) else { continue };
        for (offset, at) in bytes.enumerate() {
            let offset = offset as u64;
            let relocated = object.relocations[index].iter().any(|it| {
                let length = if it.kind == 1 { 8 } else { 4 };
                (it.offset..it.offset + length).contains(&offset)
            });
            if relocated || masks[index].iter().any(|it| it.range.contains(&offset)) {
                continue;
            }
            seen += 1;
            let mut changed = file.clone();
            changed[at] ^= 1 << (at % 8);
            assert_ne!(code(&changed), base, "{} {offset}", section.display_name());
        }
    }
    assert!(seen > 400, "{seen}");
}

#[test]
fn sections_that_are_computed_from_others_do_not_count() {
    let with = |section: &str, flags: &str, value: u8| {
        NATIVE.object(&format!(
            "{SOURCE} asm(\".pushsection {section},\\\"{flags}\\\"\\n.byte {value}\\n.popsection\");"
        ))
    };
    let left_out =
        ["__mcount_loc", "__patchable_function_entries", ".discard.reachable", ".eh_frame"];
    for section in left_out {
        assert_eq!(code(&with(section, "a", 1)), code(&with(section, "a", 2)), "{section}");
        assert_eq!(code(&with(section, "a", 1)), code(&NATIVE.object(SOURCE)), "{section}");
    }
    assert_eq!(code(&with(".comments", "", 1)), code(&with(".comments", "", 2)));
    for section in [".orc", "__ex_table", ".init.data", ".modinfo"] {
        assert_ne!(code(&with(section, "a", 1)), code(&with(section, "a", 2)), "{section}");
    }
}

/// Hints to objtool, which are in no section that is loaded, decide a part of it; and arm64 reads at
/// boot what x86 never does.
#[test]
fn how_code_is_unwound_counts_where_kernels_read_it() {
    for compiler in compilers() {
        let with = |section: &str, value: u8| {
            let data = format!(".pushsection {section},\\\"a\\\"\\n.byte {value}\\n.popsection");
            compiler.object(&format!("{SOURCE} asm(\"{data}\");"))
        };
        for section in [".orc_unwind", ".orc_unwind_ip", ".orc_header"] {
            assert_ne!(code(&with(section, 1)), code(&with(section, 2)), "{section}");
        }
        let [one, other] = [1, 2].map(|value| with(".eh_frame", value));
        let is_x86 = Elf::parse(&one).unwrap().machine == 62;
        assert_eq!(code(&one) == code(&other), is_x86);
    }
}

#[test]
fn other_files_are_refused_with_a_reason() {
    let elf = |file_type, machine| {
        let mut file = TestElf::new().section(".text", PROGBITS, ALLOC, vec![1; 16]);
        (file.file_type, file.machine) = (file_type, machine);
        let file = file.build();
        sign(&Elf::parse(&file).unwrap(), &&file[..])
    };
    assert_eq!(elf(2, 62), Err(ElfError::Linked));
    assert_eq!(elf(1, 243), Err(ElfError::Machine(243)));
    assert!(elf(1, 62).is_ok() && elf(1, 183).is_ok());
    assert_ne!(elf(1, 62), elf(1, 183));
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), NATIVE.object(SOURCE)).unwrap();
    assert_eq!(sign_kind(file.path(), SignatureKind::Code).unwrap().version, CODE_VERSION);
    let message = sign_kind(file.path(), SignatureKind::Image).unwrap_err().to_string();
    assert!(message.contains("--kind code"), "{message}");
}
