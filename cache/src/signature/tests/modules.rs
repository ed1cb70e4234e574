//! `image` of modules.

use super::compiled::NATIVE;
use crate::signature::elf::Elf;
use crate::signature::image::{Part, companion};
use crate::signature::test_elf::TestElf;

const SOURCE: &str = r#"
static const char version[] __attribute__((section(".modinfo"), used)) =
    "license=GPL\0vermagic=6.1.0-one SMP mod_unload ";
extern int one(int), two(int);
int counter;
int entry(int x) { counter += one(x); return x * 3; }
"#;

fn part(module: &[u8]) -> Part {
    let vmlinux = TestElf::new().section(".text", 1, 2, vec![1; 9]).build();
    companion("modules/a.ko", &module, &Elf::parse(&vmlinux).unwrap(), &&vmlinux[..])
}

fn signed(module: &[u8], signature: &[u8]) -> Vec<u8> {
    let length = (signature.len() as u32).to_be_bytes();
    [module, signature, &[0, 0, 2, 0, 0, 0, 0, 0], &length, b"~Module signature appended~\n"]
        .concat()
}

fn module(from: &str, to: &str) -> Vec<u8> {
    assert!(SOURCE.contains(from));
    NATIVE.object(&SOURCE.replace(from, to))
}

#[test]
fn signatures_releases_and_debug_information_do_not_count() {
    let module = NATIVE.object(SOURCE);
    let name = part(&module);
    assert_eq!(name.kind, "module");
    assert_eq!(part(&signed(&module, &[7; 300])), name);
    assert_eq!(part(&signed(&module, b"")), name);
    assert_eq!(part(&self::module("6.1.0-one", "6.1.9-two")), name);
    assert_eq!(part(&NATIVE.object_with(SOURCE, &["-g"])), name);
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
        ("license=GPL", "license=MIT"),
        ("int counter;", "int counter; int more = 1;"),
    ] {
        assert_ne!(part(&module(from, to)), name, "{from} -> {to}");
    }
}

#[test]
fn garbage_counts_byte_by_byte_without_its_signature() {
    let name = part(b"no ELF file");
    assert_eq!(name.kind, "module-bytes");
    assert_ne!(part(b"no ELF files"), name);
    assert_eq!(part(&signed(b"no ELF file", b"x")), name);
    // A length that reaches before the file leaves everything.
    let mut wrong = signed(b"m", b"x");
    let at = wrong.len() - 29;
    wrong[at - 3..=at].fill(0xff);
    assert_eq!(part(&wrong).kind, "module-bytes");
    assert_ne!(part(&wrong), part(b"m"));
}
