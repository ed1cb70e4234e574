//! Why two small kernels differ.

use std::path::Path;

use super::compiled::{NATIVE, RECORDS, SOURCE, with_lines};
use super::decompressor::{HEAD, Image, MISC};
use super::kernel::{Build, kernel};
use crate::signature::explain::{CauseKind, Difference, Explanation, Files, explain};
use crate::signature::test_elf::{ALLOC, PROGBITS, TestElf};

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
    explain(&one, &two, None).unwrap()
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

#[test]
fn neighbours_that_differ_are_each_named() {
    let of = |first: u8, second: u8| {
        let data = [vec![first; 16], vec![second; 16], vec![0; 32]].concat();
        let elf = kernel(&Build::new(), TestElf::new()).elf;
        let elf = elf.section(".neighbours", PROGBITS, ALLOC, data);
        elf.symbol("first", ".neighbours", 0..16, 1).symbol("second", ".neighbours", 16..32, 1)
    };
    let told = compared(&of(1, 2), &of(3, 4), ["", ""]);
    let row = told.differences.iter().find(|it| it.place == ".neighbours").unwrap();
    assert_eq!((row.symbol_count, row.bytes), (2, 32), "{told:#?}");
    assert_eq!(row.symbols, ["first", "second"]);
}

#[test]
fn certificates_are_told_of_a_size_only_as_far_as_they_explain_it() {
    let of = |certificate: &str, behind: usize| {
        let data = [certificate.as_bytes(), &vec![7; behind]].concat();
        let (start, end) = ("__cert_list_start", "__cert_list_end");
        let elf = kernel(&Build::new(), TestElf::new()).elf;
        let elf = elf.section(".certs", PROGBITS, ALLOC, data).symbol(start, ".certs", 0..0, 0);
        elf.symbol(end, ".certs", certificate.len()..certificate.len(), 0)
    };
    let (one, longer) = ("certificate of one key", "certificate of yet another key");
    let told = compared(&of(one, 100), &of(longer, 100), ["", ""]);
    assert_eq!(kinds(&told), [CauseKind::Certificates], "{told:#?}");
    let told = compared(&of(one, 100), &of(longer, 228), ["", ""]);
    assert_eq!(kinds(&told), [CauseKind::ChangedCode, CauseKind::Certificates], "{told:#?}");
    // Of one length: they make nothing larger.
    let told = compared(&of(one, 100), &of("certificate of two key", 164), ["", ""]);
    assert_eq!(kinds(&told), [CauseKind::ChangedCode], "{told:#?}");
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
    explain(&one, &two, None).unwrap()
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

/// Places, causes and numbers of bytes of the boot image that `image` does not see.
fn hidden_of_boot_image(told: &Explanation) -> Vec<(&str, CauseKind, u64)> {
    assert!(told.image_equal, "{told:#?}");
    let rows = told.differences.iter().filter(|it| it.file == "bzImage");
    rows.map(|it| (it.place.as_str(), it.causes[0].kind, it.bytes)).collect()
}

#[test]
fn only_what_follows_from_the_packed_kernel_is_said_to() {
    let base = kernel(&Build::new(), TestElf::new()).elf;
    let image = |head: &str, name| Image::of(&base, head, MISC, name);
    // The same kernel, and another text in front of it.
    let one = image(HEAD, 0);
    let mut version = image(HEAD, 0);
    version.bytes[0x905] ^= 1;
    version.seal();
    let told = of_boot_images([&one, &version]);
    let kernel = "the kernel inside and its version";
    assert_eq!(hidden_of_boot_image(&told), [(kernel, CauseKind::Unknown, 1)]);
    // The same kernel, and more room behind it.
    let far = HEAD.replace("\t.text\nrelocated:", "\t.text\n\t.balign 4096\nrelocated:");
    let near = HEAD.replace("\t.text\nrelocated:", "\t.text\n\t.balign 64\nrelocated:");
    let told = of_boot_images([&image(&near, 0), &image(&far, 0)]);
    let rows = hidden_of_boot_image(&told);
    assert!(rows.iter().any(|it| it.0 == "decompressor"), "{told:#?}");
    assert!(rows.iter().all(|it| it.1 == CauseKind::Unknown), "{told:#?}");
    // Packed otherwise, which moves what is behind it.
    let told = of_boot_images([&one, &image(HEAD, 33)]);
    let rows = hidden_of_boot_image(&told);
    assert_eq!(rows[0].1, CauseKind::CompressedKernel, "{told:#?}");
    assert!(rows[1..].iter().any(|it| it.0 == "decompressor"), "{told:#?}");
    assert!(rows[1..].iter().all(|it| it.1 == CauseKind::Moved), "{told:#?}");
}

/// What is told of two kernels that are compiled of `kiln.c`, which has records with lines, and
/// `other.c`.
fn of_sources(before: [&str; 2], after: [&str; 2]) -> Explanation {
    of_sources_with(before, after, None)
}

/// The same with one configuration.
fn of_sources_with(before: [&str; 2], after: [&str; 2], config: Option<&str>) -> Explanation {
    let folder = tempfile::tempdir().unwrap();
    let build = |name: &str, [kiln, other]: [&str; 2]| -> Files {
        let place = folder.path().join(name);
        std::fs::create_dir(&place).unwrap();
        NATIVE.kernel(&place, &[("kiln.c", kiln), ("other.c", other)]);
        let mut names = vec!["vmlinux", "vmlinux.o"];
        if let Some(config) = config {
            std::fs::write(place.join(".config"), config).unwrap();
            names.push(".config");
        }
        names.into_iter().map(|it| (it.to_owned(), place.join(it))).collect()
    };
    explain(&build("one", before), &build("two", after), None).unwrap()
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
    assert_eq!(kinds(&told), [CauseKind::Order, CauseKind::Moved], "{told:#?}");
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

/// Kinds of causes of the row in `vmlinux.o` that names a function.
fn of_function(told: &Explanation, name: &str) -> Vec<CauseKind> {
    let names = |it: &&Difference| {
        it.file == "vmlinux.o" && it.symbols.iter().any(|it| it.split(' ').next() == Some(name))
    };
    let row = told.differences.iter().find(names);
    row.unwrap_or_else(|| panic!("{name}: {told:#?}")).causes.iter().map(|it| it.kind).collect()
}

const DRAWN: &str = "
unsigned long latent_entropy = 0x1111222233334444;
int mix(int x) { latent_entropy ^= 0x5151; return x; }
int plain(int x) { return x + 11; }
";

#[test]
fn drawn_constants_are_told_of_what_has_them() {
    let drawn = DRAWN.replace("0x1111222233334444", "0x5555666677778888").replace("5151", "6161");
    let config = Some("CONFIG_GCC_PLUGIN_LATENT_ENTROPY=y\n");
    let told = of_sources_with([DRAWN, SOURCE], [&drawn, SOURCE], config);
    assert_eq!(kinds(&told), [CauseKind::LatentEntropySeed], "{told:#?}");
    assert_eq!(told.causes[0].detail, "'1111222233334444' against '5555666677778888'");
    // Beside it something that draws nothing, and the same where nothing is drawn.
    let more = drawn.replace("x + 11", "x + 12");
    let told = of_sources_with([DRAWN, SOURCE], [&more, SOURCE], config);
    assert_eq!(of_function(&told, "mix"), [CauseKind::LatentEntropySeed]);
    assert_eq!(of_function(&told, "plain"), [CauseKind::Unknown]);
    let told = of_sources_with([DRAWN, SOURCE], [&drawn, SOURCE], Some("CONFIG_X=y\n"));
    assert_eq!(kinds(&told), [CauseKind::Unknown], "{told:#?}");
    // By the same seed in the pool's unit, another one's may differ; it was not seen.
    let other = DRAWN.replace("5151", "6161");
    let told = of_sources_with([DRAWN, SOURCE], [&other, SOURCE], config);
    assert_eq!(kinds(&told), [CauseKind::Unknown], "{told:#?}");
    assert!(told.causes[0].detail.contains("entropy"), "{told:#?}");
}

#[test]
fn the_seed_of_layouts_is_told_where_the_kernel_says_it() {
    let of = |seed: &str, number: u32| {
        format!(
            "const char vermagic[] = \"6.1.0 SMP mod_unload {seed}\";
             int second_field(int *x) {{ return x[{number}]; }}"
        )
    };
    let [one, two] = [of("RANDSTRUCT_aaaa ", 1), of("RANDSTRUCT_bbbb ", 2)];
    let told = of_sources([&one, SOURCE], [&two, SOURCE]);
    assert_eq!(kinds(&told), [CauseKind::RandstructSeed], "{told:#?}");
    assert_eq!(told.causes[0].detail, "'aaaa' against 'bbbb'");
    // Drawn by something that nothing tells: not the sources, then.
    let [one, two] = [of("", 1), of("", 2)];
    let told = of_sources_with([&one, SOURCE], [&two, SOURCE], Some("CONFIG_RANDSTRUCT=y\n"));
    assert_eq!(kinds(&told), [CauseKind::Unknown], "{told:#?}");
    assert!(told.causes[0].detail.contains("layout of structures"), "{told:#?}");
}

#[test]
fn a_folder_in_texts_is_told_only_of_what_nothing_else_changed() {
    let of = |folder: &str, number: u32| {
        format!(
            "const char *where(void) {{ return \"{folder}/mm/mmap.c\"; }}
             const char *too(int x) {{ return x > {number} ? \"{folder}/mm/vma.c\" : 0; }}"
        )
    };
    let one = of("/srv/a/linux", 1);
    let told = of_sources([&one, SOURCE], [&of("/srv/another/linux", 1), SOURCE]);
    assert_eq!(kinds(&told), [CauseKind::SourcePathInStrings, CauseKind::Moved], "{told:#?}");
    let told = of_sources([&one, SOURCE], [&of("/srv/another/linux", 2), SOURCE]);
    assert_eq!(of_function(&told, "where"), [CauseKind::SourcePathInStrings], "{told:#?}");
    assert_eq!(of_function(&told, "too"), [CauseKind::Unknown], "{told:#?}");
}

const SCRIPT: &str = "SECTIONS {
    . = 0x100000;
    .text : { _text = .; *(.text) }
    .rodata : { *(.rodata*) }
    .data : { *(.data) }
    .bss : { __bss_start = .; *(.bss) *(COMMON) }
    . = ALIGN(4096);
    _end = .;
}";

/// What is told of one object that two scripts lay out.
fn of_scripts(before: &str, after: &str) -> Explanation {
    let folder = tempfile::tempdir().unwrap();
    let source = format!(
        "{SOURCE}extern char __bss_start[], _end[]; char *start(void) {{ return __bss_start; }} char *end(void) {{ return _end; }}"
    );
    let build = |name: &str, script: &str| -> Files {
        let place = folder.path().join(name);
        std::fs::create_dir(&place).unwrap();
        NATIVE.kernel_by(&place, &[("kiln.c", &source)], script);
        ["vmlinux", "vmlinux.o"].map(|it| (it.to_owned(), place.join(it))).into()
    };
    explain(&build("one", before), &build("two", after), None).unwrap()
}

#[test]
fn a_linker_script_is_told_by_what_it_moves() {
    for (from, to, detail) in [
        (
            "__bss_start = .;",
            "__bss_start = .; . += 4096;",
            "buffer is 4096 bytes further from __bss_start",
        ),
        ("    _end = .;", "    . += 8192; _end = .;", "_end is 8192 bytes further from"),
        (".text : { _text", ".code : { _text", "'.text' against '.code'"),
        (".rodata : {", ".rodata : ALIGN(65536) {", "bytes further from"),
    ] {
        let told = of_scripts(SCRIPT, &SCRIPT.replace(from, to));
        assert_eq!(told.code_equal, Some(true));
        assert!(!told.image_equal, "{to}");
        let script = told.causes.iter().find(|it| it.kind == CauseKind::LinkerScript);
        let script = script.unwrap_or_else(|| panic!("{to}: {told:#?}"));
        assert!(script.detail.contains(detail), "{script:?}");
        assert!(!kinds(&told).contains(&CauseKind::Unknown), "{to}: {told:#?}");
    }
    // Room at the end of a section, which no symbol shows.
    let told = of_scripts(SCRIPT, &SCRIPT.replace("*(COMMON) }", "*(COMMON) . += 64; }"));
    assert_eq!(kinds(&told), [CauseKind::Unknown], "{told:#?}");
    let told = of_scripts(SCRIPT, SCRIPT);
    assert!(told.differences.is_empty(), "{told:#?}");
}

#[test]
fn what_a_changed_object_moves_is_no_linker_script() {
    let grown = SOURCE.replace("return x * 3 + 1;", "return x * x * x * 3 + 1;");
    let told = of_sources([SOURCE, RECORDS], [&grown, RECORDS]);
    assert!(!kinds(&told).contains(&CauseKind::LinkerScript), "{told:#?}");
}

/// A module whose texts are as the kernel's macros make them.
const MODULE: &str = "
static const char __UNIQUE_ID_vermagic7[] __attribute__((section(\".modinfo\"), used)) =
    \"vermagic=6.1.0-gaaaa SMP \";
static const char __UNIQUE_ID_srcversion8[] __attribute__((section(\".modinfo\"), used)) =
    \"srcversion=AAAA\";
int counter = 5;
int entry(int x) { return x * 3; }
";

/// What is told of two modules, each beside a kernel of a release: the rows of the modules.
fn of_modules(before: (&str, Build), after: (&str, Build)) -> Vec<Difference> {
    let folder = tempfile::tempdir().unwrap();
    let files = |side: &str, (source, build): (&str, Build)| -> Files {
        let place = folder.path().join(side);
        std::fs::create_dir(&place).unwrap();
        let vmlinux = kernel(&build, TestElf::new()).elf.build();
        let files = [("vmlinux", vmlinux), ("modules/fs/a.ko", NATIVE.object(source))];
        let save = |(name, bytes): (&str, Vec<u8>)| {
            let path = place.join(name.replace('/', "-"));
            std::fs::write(&path, bytes).unwrap();
            (name.to_owned(), path)
        };
        files.map(save).into()
    };
    let told = explain(&files("one", before), &files("two", after), None).unwrap();
    told.differences.into_iter().filter(|it| it.file == "modules/fs/a.ko").collect()
}

#[test]
fn rows_of_modules_name_what_changed_in_them() {
    let told = |source: &str| {
        of_modules((MODULE, Build::new()), (source, Build::new()))
            .into_iter()
            .map(|it| (it.place, it.symbols, it.causes.into_iter().map(|it| it.text()).collect()))
            .collect::<Vec<(String, Vec<String>, Vec<String>)>>()
    };
    let unknown = "unknown cause: the configurations are not both at hand";
    let compiled = |name: &str| {
        (
            "what is compiled from kiln.c".to_owned(),
            vec![format!("{name} (kiln.c)")],
            vec![unknown.to_owned()],
        )
    };
    assert_eq!(told(&MODULE.replace("x * 3", "x * 5")), [compiled("entry")]);
    assert_eq!(told(&MODULE.replace("counter = 5", "counter = 6")), [compiled("counter")]);
    assert_eq!(
        told(&MODULE.replace("AAAA", "BBBB")),
        [(
            ".modinfo".to_owned(),
            vec!["srcversion".to_owned()],
            vec!["the sources differ, by their trees: 'AAAA' against 'BBBB'".to_owned()]
        )]
    );
    let both = told(&MODULE.replace("x * 3", "x * 5").replace("SMP ", "UP  "));
    assert_eq!(both[0], compiled("entry"));
    assert_eq!((&*both[1].0, &both[1].1[..]), (".modinfo", &["vermagic".to_owned()][..]));
    // A comment, of which the lines are no part of a module without records of them.
    assert!(told(&format!("\n\n{MODULE}")).is_empty());
}

#[test]
fn what_is_hidden_of_modules_is_told_by_its_cause() {
    let newer = Build { release: "6.1.9-gbbbb", ..Build::new() };
    let source = MODULE.replace("6.1.0-gaaaa", "6.1.9-gbbbb");
    let rows = of_modules((MODULE, Build::new()), (&source, newer));
    assert_eq!(rows.len(), 1, "{rows:#?}");
    assert!(rows[0].masked);
    let texts: Vec<String> = rows[0].causes.iter().map(|it| it.text()).collect();
    assert_eq!(texts, ["kernel release: '6.1.0-gaaaa' against '6.1.9-gbbbb'"]);
}

#[test]
fn debug_information_is_no_cause_where_there_is_none() {
    let said = |text: &str| format!("{MODULE}asm(\".ident \\\"{text}\\\"\");");
    let rows = of_modules((&said("one"), Build::new()), (&said("two"), Build::new()));
    assert_eq!(rows.len(), 1, "{rows:#?}");
    let texts: Vec<String> = rows[0].causes.iter().map(|it| it.text()).collect();
    assert_eq!(texts, ["unknown cause: .comment, which is not loaded"]);
}

/// What is told of two kernels with debug information, each compiled in a folder of its own.
fn of_folders(before: [&str; 2], after: [&str; 2]) -> Explanation {
    of_folders_with(before, after, |_| {})
}

/// The same, with what is done to the second kernel.
fn of_folders_with(before: [&str; 2], after: [&str; 2], change: impl Fn(&Path)) -> Explanation {
    let folder = tempfile::tempdir().unwrap();
    let build = |[name, source]: [&str; 2]| -> Files {
        let place = folder.path().join(name);
        std::fs::create_dir(&place).unwrap();
        NATIVE.kernel_with(&place, &[("kiln.c", source), ("other.c", RECORDS)], &["-g"]);
        ["vmlinux", "vmlinux.o"].map(|it| (it.to_owned(), place.join(it))).into()
    };
    let (one, two) = (build(before), build(after));
    change(&two["vmlinux"]);
    explain(&one, &two, None).unwrap()
}

#[test]
fn a_section_that_one_kernel_has_is_not_explained_by_a_moved_folder() {
    let add = |vmlinux: &Path| {
        let content = vmlinux.with_extension("types");
        std::fs::write(&content, "sixteen bytes of").unwrap();
        let section = format!(".debug_types={}", content.display());
        let mut objcopy = std::process::Command::new("objcopy");
        let done = objcopy.args(["--add-section", &section]).arg(vmlinux).status().unwrap();
        assert!(done.success());
    };
    let told = of_folders_with(["one", SOURCE], ["another", SOURCE], add);
    let both = [CauseKind::SourcePathInDebugInformation, CauseKind::DebugInformation];
    assert_eq!(kinds(&told), both, "{told:#?}");
}

#[test]
fn a_moved_folder_does_not_hide_what_else_is_described() {
    let told = of_folders(["one", SOURCE], ["another", SOURCE]);
    assert!(told.image_equal);
    assert_eq!(kinds(&told), [CauseKind::SourcePathInDebugInformation], "{told:#?}");
    assert!(told.causes[0].detail.ends_with("another'"), "{told:#?}");
    // A variable of another name, which is nowhere in what runs.
    let renamed = SOURCE.replace("int x) { return x * 3", "int y) { return y * 3");
    let told = of_folders(["one", SOURCE], ["another", &renamed]);
    let both = [CauseKind::SourcePathInDebugInformation, CauseKind::DebugInformation];
    assert_eq!(kinds(&told), both, "{told:#?}");
    assert_eq!(told.code_equal, Some(true));
}

#[test]
fn how_code_is_unwound_is_told_where_nothing_else_changed() {
    let unwound = |value: u8, more: &str| {
        format!(
            "{SOURCE} asm(\".pushsection .orc_unwind, \\\"a\\\"\\n.byte 1, 0, 0, 0, 0, 0, {value}, 0, 0, 0, 0, 0\\n\"
                \"{more}.popsection\\n.pushsection .orc_unwind_ip, \\\"a\\\"\\n\"
                \".long call - .\\n.long put - .\\n.popsection\");"
        )
    };
    let base = unwound(2, "");
    for other in [unwound(3, ""), unwound(3, ".byte 4, 0, 0, 0, 0, 0\\n")] {
        let told = of_sources([&base, RECORDS], [&other, RECORDS]);
        assert_eq!(told.code_equal, Some(false));
        assert!(
            told.causes.iter().any(|it| it.text() == "how code is unwound: first put"),
            "{told:#?}"
        );
        assert!(!kinds(&told).contains(&CauseKind::Unknown), "{told:#?}");
    }
    // Code that changed has it changed as well.
    let code = unwound(3, "").replace("flag = 7", "flag = 8");
    let told = of_sources([&base, RECORDS], [&code, RECORDS]);
    assert!(!kinds(&told).contains(&CauseKind::Unwinding), "{told:#?}");
}
