//! `image` of modules.

use std::fs;
use std::process::Command;

use super::compiled::{NATIVE, run};
use super::kernel::{Build, kernel};
use crate::Digest;
use crate::signature::image::{Part, module_masks, module_part};
use crate::signature::test_elf::TestElf;
use crate::signature::{SignatureKind, sign_build};

const SOURCE: &str = r#"
static const char version[] __attribute__((section(".modinfo"), used)) =
    "license=GPL\0vermagic=6.1.0-one SMP mod_unload ";
extern int one(int), two(int);
int counter;
int entry(int x) { counter += one(x); return x * 3; }
"#;

/// Beside a kernel of the release that it says.
fn part(module: &[u8]) -> Part {
    part_beside(module, "6.1.0-one")
}

fn part_beside(module: &[u8], release: &str) -> Part {
    module_part(&module, Some(release.as_bytes()))
}

fn signed(module: &[u8], signature: &[u8]) -> Vec<u8> {
    let length = (signature.len() as u32).to_be_bytes();
    [module, signature, &[0, 0, 2, 0, 0, 0, 0, 0], &length, b"~Module signature appended~\n"]
        .concat()
}

/// The same with a length that reaches before the file: it is not signed, though it ends so.
fn signed_badly(module: &[u8]) -> Vec<u8> {
    let mut bytes = signed(module, b"x");
    let at = bytes.len() - 29;
    bytes[at - 3..=at].fill(0xff);
    bytes
}

fn module(from: &str, to: &str) -> Vec<u8> {
    assert!(SOURCE.contains(from));
    NATIVE.object(&SOURCE.replace(from, to))
}

#[test]
fn how_it_is_signed_releases_and_debug_information_do_not_count() {
    let module = NATIVE.object(SOURCE);
    let name = part(&module);
    assert_eq!(name.kind, "module");
    assert_eq!(part_beside(&self::module("6.1.0-one", "6.1.9-two"), "6.1.9-two"), name);
    assert_eq!(part(&NATIVE.object_with(SOURCE, &["-g"])), name);
    assert_eq!(part(&signed(&module, &[7; 300])), part(&signed(&module, b"")));
}

#[test]
fn whether_it_is_signed_counts() {
    for module in [&NATIVE.object(SOURCE)[..], b"no ELF file"] {
        let all = [module.to_vec(), signed(module, &[7; 300]), signed_badly(module)];
        let [plain, signed, badly] = all.map(|it| part(&it));
        assert!(plain != signed && signed != badly && badly != plain);
    }
}

#[test]
fn what_the_loader_reads_counts() {
    let name = part(&NATIVE.object(SOURCE));
    for (from, to) in [
        ("x * 3", "x * 5"),
        ("one(x)", "two(x)"),
        ("counter", "tally"),
        ("SMP mod", "UP  mod"),
        ("6.1.0-one", "6.1.10-one"),
        ("6.1.0-one", "6.1.9-two"),
        ("license=GPL", "license=MIT"),
        ("int counter;", "int counter; int more = 1;"),
    ] {
        assert_ne!(part(&module(from, to)), name, "{from} -> {to}");
    }
}

/// A module with one more section, which is not allocated.
fn with_section(module: &[u8], name: &str, content: &str) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("module"), module).unwrap();
    fs::write(folder.path().join("content"), content).unwrap();
    let mut objcopy = Command::new("objcopy");
    let section = format!("{name}=content");
    run(objcopy.current_dir(&folder).args(["--add-section", &section, "module", "made"]));
    fs::read(folder.path().join("made")).unwrap()
}

#[test]
fn type_information_counts_as_far_as_the_loader_finds_it() {
    let module = NATIVE.object(SOURCE);
    let with = |name: &str, content: &str| part(&with_section(&module, name, content));
    for name in [".BTF", ".BTF.base"] {
        assert_ne!(with(name, "struct one"), with(name, "struct two"), "{name}");
        assert_ne!(with(name, "struct one"), with(".other", "struct one"), "{name}");
    }
    assert_eq!(with(".other", "struct one"), with(".another", "struct two, and more"));
    // Of two of one name it takes the first.
    let first = with_section(&module, ".BTF", "struct one");
    let [one, other] = ["struct one", "struct two"].map(|content| {
        let mut bytes = with_section(&first, ".BTX", content);
        let name = bytes.windows(5).position(|it| it == b".BTX\0").unwrap();
        bytes[name + 3] = b'F';
        bytes
    });
    assert_ne!(one, other);
    assert_eq!(part(&one), part(&other));
}

/// The image of a kernel with a module that says a release.
fn image(build: &Build, release: &str) -> Digest {
    let folder = tempfile::tempdir().unwrap();
    let files = [
        ("vmlinux", kernel(build, TestElf::new()).elf.build()),
        ("modules/a.ko", module("6.1.0-one", release)),
        ("modules/b.ko", module("int counter;", "int counter; int more = 1;")),
    ];
    let files = files.iter().zip(["kernel", "one", "other"]).map(|((name, bytes), file)| {
        let path = folder.path().join(file);
        fs::write(&path, bytes).unwrap();
        ((*name).to_owned(), path)
    });
    let signatures = sign_build(&files.collect::<Vec<_>>()).unwrap();
    signatures.get(SignatureKind::Image).unwrap().hash
}

#[test]
fn a_module_of_another_kernel_is_not_taken_for_this_ones() {
    let (one, other) = (Build::new(), Build::other());
    let name = image(&one, one.release);
    assert_eq!(image(&other, other.release), name, "both are whole builds of one source");
    let mixed = [image(&one, other.release), image(&other, one.release)];
    assert!(mixed[0] != name && mixed[1] != name && mixed[0] != mixed[1]);
}

#[test]
fn what_counts_byte_by_byte_has_no_mask() {
    let module = NATIVE.object(SOURCE);
    let masks = |bytes: &[u8], release: &str| module_masks(&bytes, Some(release.as_bytes()));
    let kinds = |release| masks(&module, release).into_iter().map(|it| it.kind.tag());
    assert_eq!(kinds("6.1.0-one").collect::<Vec<_>>(), ["vermagic"]);
    assert_eq!(kinds("6.1.9-two").count(), 0);
    // Another machine: nothing is known of its relocations.
    let mut foreign = module.clone();
    foreign[18] = 243;
    assert_eq!(part(&foreign).kind, "module-bytes");
    assert_eq!(masks(&foreign, "6.1.0-one"), []);
    assert_ne!(part(b"no ELF file"), part(b"no ELF files"));
}
