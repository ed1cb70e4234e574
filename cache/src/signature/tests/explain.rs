//! Why two small kernels differ.

use std::path::Path;

use super::compiled::{NATIVE, RECORDS, SOURCE, with_lines};
use super::decompressor::{HEAD, Image, MISC};
use super::kernel::{Build, kernel};
use crate::signature::explain::{CauseKind, Explanation, Files, explain};
use crate::signature::test_elf::TestElf;

fn saved(folder: &Path, name: &str, elf: &TestElf, config: &str) -> Files {
    let place = folder.join(name);
    std::fs::create_dir(&place).unwrap();
    let files = [("vmlinux", elf.build()), (".config", config.as_bytes().to_vec())];
    let save = |(name, bytes): (&str, Vec<u8>)| {
        std::fs::write(place.join(name), bytes).unwrap();
        (name.to_owned(), place.join(name))
    };
    files.map(save).into()
}

fn compared(one: &TestElf, two: &TestElf, configs: [&str; 2]) -> Explanation {
    let folder = tempfile::tempdir().unwrap();
    let one = saved(folder.path(), "one", one, configs[0]);
    let two = saved(folder.path(), "two", two, configs[1]);
    explain(&one, &two).unwrap()
}

fn kinds(explanation: &Explanation) -> Vec<CauseKind> {
    let mut kinds: Vec<_> = explanation.causes.iter().map(|it| it.kind).collect();
    kinds.dedup();
    kinds
}

#[test]
fn what_masks_hide_is_told_by_its_cause() {
    let build = |build: Build| kernel(&build, TestElf::new()).elf;
    let base = build(Build::new());
    let told = compared(&base, &build(Build::other()), ["", ""]);
    assert!(told.image_equal);
    assert!(told.differences.iter().all(|it| it.masked), "{told:#?}");
    assert!(!kinds(&told).contains(&CauseKind::Unknown), "{told:#?}");
    for (other, kind) in [
        (Build { version: "#1 SMP Mon Dec 31", ..Build::new() }, CauseKind::BuildTimestamp),
        (Build { version: "#2 SMP Sun Nov 22", ..Build::new() }, CauseKind::BuildNumber),
        (Build { who: "betty@south) (cc 12", ..Build::new() }, CauseKind::BuildUser),
        (Build { release: "6.1.0-gbbbb", ..Build::new() }, CauseKind::Release),
        (Build { build_id: 9, ..Build::new() }, CauseKind::BuildId),
        (Build { salt: "ginger", ..Build::new() }, CauseKind::BuildSalt),
        (Build { version_code: 5, ..Build::new() }, CauseKind::VdsoVersion),
    ] {
        let told = compared(&base, &build(other), ["", ""]);
        assert_eq!(kinds(&told), [kind], "{told:#?}");
    }
}

#[test]
fn nothing_is_told_of_equal_files_and_no_cause_is_guessed() {
    let base = kernel(&Build::new(), TestElf::new()).elf;
    let told = compared(&base, &base, ["CONFIG_A=y\n", "CONFIG_A=y\n"]);
    assert!(told.image_equal && told.differences.is_empty());
    let mut other = base.clone();
    other.named(".text").data[77] ^= 1;
    let told = compared(&base, &other, ["CONFIG_A=y\n", "CONFIG_A=y\n"]);
    assert!(!told.image_equal);
    assert_eq!(told.code_equal, None);
    assert_eq!(kinds(&told), [CauseKind::Unknown]);
    assert_eq!((told.differences[0].bytes, told.differences[0].place.as_str()), (1, ".text"));
    // Another configuration is told, but not that it is why.
    let told = compared(&base, &other, ["CONFIG_A=y\n", "CONFIG_A=m\n"]);
    assert_eq!(kinds(&told), [CauseKind::Configuration, CauseKind::Unknown]);
    assert_eq!(told.causes[0].detail, "CONFIG_A (y, m)");
}

/// What is told of two boot images, each with the kernel in it beside it.
fn of_boot_images(images: [&Image; 2]) -> Explanation {
    let folder = tempfile::tempdir().unwrap();
    let [one, two] = [0, 1].map(|side| -> Files {
        let place = folder.path().join(side.to_string());
        std::fs::create_dir(&place).unwrap();
        let files = [("vmlinux", &images[side].vmlinux), ("bzImage", &images[side].bytes)];
        let save = |(name, bytes): (&str, &Vec<u8>)| {
            std::fs::write(place.join(name), bytes).unwrap();
            (name.to_owned(), place.join(name))
        };
        files.map(save).into()
    });
    explain(&one, &two).unwrap()
}

/// Rows of the boot image that `image` sees: place and kind of cause.
fn of_boot_code(told: &Explanation) -> Vec<(&str, CauseKind)> {
    let rows = told.differences.iter().filter(|it| it.file == "bzImage" && !it.masked);
    rows.map(|it| (it.place.as_str(), it.causes[0].kind)).collect()
}

#[test]
fn boot_code_is_told_beside_a_changed_kernel() {
    let base = kernel(&Build::new(), TestElf::new()).elf;
    let mut other = base.clone();
    other.named(".text").data[77] ^= 1;
    // So that the packed kernel has another length, and pushes the decompressor.
    other.named(".data").data.extend((0..3000_u32).map(|it| (it.wrapping_mul(40503) >> 7) as u8));
    let one = Image::of(&base, HEAD, MISC, 0);
    let told = of_boot_images([&one, &Image::of(&other, HEAD, MISC, 100)]);
    assert!(!kinds(&told).contains(&CauseKind::BootCode), "{told:#?}");
    let misc = MISC.replace("case 5: return x / 7;", "case 5: return x / 9;");
    let head = HEAD.replace("call\tsetup", "call\tverify");
    for (head, misc) in [(HEAD, misc.as_str()), (&head, MISC)] {
        for kernel in [&base, &other] {
            let told = of_boot_images([&one, &Image::of(kernel, head, misc, 100)]);
            let rows = of_boot_code(&told);
            assert!(rows.contains(&("decompressor", CauseKind::BootCode)), "{told:#?}");
            assert!(!rows.iter().any(|it| it.0 == "set-up code"), "{told:#?}");
        }
    }
    // Set-up code, and what the decompressor is told of the kernel's size.
    let mut setup = Image::of(&other, HEAD, MISC, 100);
    setup.bytes[0x400] ^= 1;
    setup.seal();
    let told = of_boot_images([&one, &setup]);
    assert!(of_boot_code(&told).contains(&("set-up code", CauseKind::BootCode)), "{told:#?}");
}

/// What is told of two kernels that are compiled of `kiln.c`, which has records with lines, and
/// `other.c`.
fn of_sources(before: [&str; 2], after: [&str; 2]) -> Explanation {
    let folder = tempfile::tempdir().unwrap();
    let build = |name: &str, [kiln, other]: [&str; 2]| -> Files {
        let place = folder.path().join(name);
        std::fs::create_dir(&place).unwrap();
        NATIVE.kernel(&place, &[("kiln.c", kiln), ("other.c", other)]);
        ["vmlinux", "vmlinux.o"].map(|it| (it.to_owned(), place.join(it))).into()
    };
    explain(&build("one", before), &build("two", after)).unwrap()
}

fn texts(told: &Explanation) -> Vec<String> {
    told.causes.iter().map(|it| it.text()).collect()
}

#[test]
fn only_lines_are_told_only_of_files_in_which_nothing_else_changed() {
    let moved = with_lines(RECORDS);
    let told = of_sources([RECORDS, SOURCE], [&moved, SOURCE]);
    assert_eq!(told.code_equal, Some(true));
    assert_eq!(texts(&told), ["line numbers only: in kiln.c"], "{told:#?}");

    // Code of the same length, so that nothing moves, in the file itself.
    let code = moved.replace("return x + 1;", "return x + 2;");
    let told = of_sources([RECORDS, SOURCE], [&code, SOURCE]);
    let beside = |it: &String| it.starts_with("line numbers, beside changed code:");
    let beside = texts(&told).into_iter().find(beside).unwrap();
    assert!(beside.ends_with("in kiln.c"), "{beside}");
    assert!(!kinds(&told).contains(&CauseKind::LineNumbers), "{told:#?}");
    let table = told.differences.iter().find(|it| it.place == "__bug_table").unwrap();
    assert_eq!(table.causes[0].kind, CauseKind::LinesBesideCode);
    let function = told.differences.iter().find(|it| it.place == ".text").unwrap();
    assert_eq!(function.symbols, ["warns_too"]);

    // Of a file that is included into the one that its functions are said to be of.
    let [before, after] = [RECORDS, &code].map(|it| it.replace("\"kiln.c\"", "\"rt.c\""));
    let told = texts(&of_sources([&before, SOURCE], [&after, SOURCE]));
    let perhaps = "line numbers, beside changed code: perhaps in rt.c".to_owned();
    assert!(told.contains(&perhaps), "{told:#?}");

    // Code elsewhere.
    let other = SOURCE.replace("flag = 7", "flag = 8");
    let told = of_sources([RECORDS, SOURCE], [&moved, &other]);
    assert!(texts(&told).contains(&"line numbers only: in kiln.c".to_owned()), "{told:#?}");
    assert!(!kinds(&told).contains(&CauseKind::LinesBesideCode), "{told:#?}");
}

#[test]
fn what_moved_is_told_by_what_lies_there_now() {
    // One function grows, so that all behind it lie elsewhere; another gets one more record.
    let grown = RECORDS.replace("return x + 1;", "return x * x * x + 1;").replace(
        "int warns_too(int x) {",
        "int warns_too(int x) {\n    if (x > 70)\n        WARN();\n",
    );
    let told = of_sources([RECORDS, SOURCE], [&grown, SOURCE]);
    let table = told.differences.iter().find(|it| it.place == "__bug_table").unwrap();
    assert_eq!(table.bytes, 12, "{told:#?}");
    // The records of a file of which there are more can't be compared one by one.
    assert!(!kinds(&told).contains(&CauseKind::LineNumbers), "{told:#?}");

    // Two functions in the other order: both, and what calls them, are the same before linking.
    let (say, call) = (
        "const char *say(void) { return \"kiln says so\"; }",
        "int call(int x) { return fa(x) + 1; }",
    );
    let swapped = SOURCE.replace(say, "@").replace(call, say).replace('@', call);
    let told = of_sources([RECORDS, SOURCE], [RECORDS, &swapped]);
    assert_eq!(told.code_equal, Some(false));
    assert_eq!(kinds(&told), [CauseKind::Moved], "{told:#?}");
}

#[test]
fn what_no_name_stands_for_is_not_explained() {
    // A text that nothing refers to, in a section with named data.
    let hidden = |text: &str| {
        format!("{SOURCE}asm(\".pushsection .data\\n.ascii \\\"{text}\\\"\\n.popsection\");")
    };
    let told = of_sources([RECORDS, &hidden("before")], [RECORDS, &hidden("behind")]);
    assert_eq!(told.code_equal, Some(false));
    assert_eq!(kinds(&told), [CauseKind::Unknown], "{told:#?}");
}
