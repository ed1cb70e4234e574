//! What is another kernel.

use crate::edits::{PROBED, append, replace};
use crate::tree::{Change, shared};

fn replaced(file: &str, from: &str, to: &str) -> Option<Change> {
    let mut tree = shared()?;
    let change = tree.change(|tree| {
        replace(&tree.path, file, from, to);
        tree.build();
    });
    change.changes_image();
    Some(change)
}

/// A change of the probes, which `code` and `kiln diff` see too; the latter nothing else.
#[track_caller]
fn probe(from: &str, to: &str, changed: &[&str]) {
    let Some(change) = replaced(PROBED, from, to) else { return };
    assert_ne!(change.before.code, change.after.code);
    assert_eq!(change.changed(), changed, "{:#}", change.explain());
    change.has_cause("changed-code", &[]);
}

#[test]
fn one_opcode() {
    probe("return x + 43;", "return x - 43;", &["kiln_probe_two"]);
}

#[test]
fn a_call_target() {
    probe("kiln_probe_one(x) * 3", "kiln_probe_two(x) * 3", &["kiln_probe_call"]);
}

#[test]
fn a_pointer_in_a_table_of_operations() {
    probe(".call = kiln_probe_one", ".call = kiln_probe_two", &["kiln_probe_table"]);
}

#[test]
fn a_string() {
    probe("\"a probe of Kiln\"", "\"a proof of Kiln\"", &["kiln_probe_text"]);
}

#[test]
fn the_size_of_bss() {
    probe("int kiln_probe_room[64];", "int kiln_probe_room[4096];", &["kiln_probe_room"]);
}

#[test]
fn the_order_of_initcalls() {
    let (first, second) = ("late_initcall(kiln_probe_first);", "late_initcall(kiln_probe_second);");
    let change = replaced(PROBED, &format!("{first}\n{second}"), &format!("{second}\n{first}"));
    let Some(change) = change else { return };
    assert_ne!(change.before.code, change.after.code);
}

#[test]
fn the_linker_script() {
    let from = "__bss_start = .;";
    let change = replaced("arch/x86/kernel/vmlinux.lds.S", from, "__bss_start = .; . += 4096;");
    let Some(change) = change else { return };
    // It comes after what `code` is made of. (Here it moves a symbol between two sections that stay
    // where they are, so a bisection goes by the name of the file: see `may_change_beyond_objects`.)
    change.changes_image();
    assert_eq!(change.before.code, change.after.code);
}

#[test]
fn code_that_only_the_decompressor_takes_in() {
    // Under `STATIC`, which the kernel's own copy is compiled without.
    let change = replaced(
        "lib/decompress_inflate.c",
        "/* Pre-boot environment: included */\n",
        "/* Pre-boot environment: included */\nasm(\"nop; nop; nop\");\n",
    );
    let Some(change) = change else { return };
    change.is_beyond_code();
    change.has_cause("boot-code", &["decompressor"]);
}

#[test]
fn setup_code_which_syzkaller_does_not_see() {
    let change = replaced(
        "arch/x86/boot/main.c",
        "\tinit_default_io_ops();\n",
        "\tinit_default_io_ops();\n\tasm volatile(\"nop; nop\");\n",
    );
    let Some(change) = change else { return };
    assert_eq!(change.before.syzkaller, change.after.syzkaller);
    change.is_beyond_code();
    change.has_cause("boot-code", &["set-up code"]);
    eprintln!(
        "set-up code changed: syzkaller {} both times; image {} became {}",
        change.before.syzkaller, change.before.image, change.after.image
    );
}

#[test]
fn setup_code_beside_a_changed_kernel() {
    let Some(mut tree) = shared() else { return };
    let change = tree.change(|tree| {
        let (from, to) = ("\tset_bios_mode();\n", "\tset_bios_mode();\n\tasm volatile(\"nop\");\n");
        replace(&tree.path, "arch/x86/boot/main.c", from, to);
        append(&tree.path, PROBED, "\nint kiln_probe_too(int x) { return x * 7; }\n");
        tree.build();
    });
    change.changes_image();
    let causes = change.causes();
    let of = |kind: &str| causes.iter().filter(|it| it.0 == kind).map(|it| it.1.as_str()).collect();
    let (code, boot): (Vec<&str>, Vec<&str>) = (of("changed-code"), of("boot-code"));
    assert_eq!((code.len(), &boot[..]), (1, &["set-up code"][..]), "{:#}", change.explain());
}
