//! What is the same kernel.

use std::fs;

use crate::edits::{append, prepend};
use crate::tree::shared;

#[test]
fn another_user_locale_time_zone_umask_and_number_of_jobs() {
    let Some(mut tree) = shared() else { return };
    let change = tree.change(|tree| {
        // A third of the units, and all links, are made anew; everything, and at another path, in
        // the long run.
        for folder in ["mm", "fs", "lib"] {
            for entry in fs::read_dir(tree.objects().join(folder)).unwrap().flatten() {
                if entry.path().extension().is_some_and(|it| it == "o" || it == "a") {
                    fs::remove_file(entry.path()).unwrap();
                }
            }
        }
        for name in ["vmlinux", "vmlinux.o", "arch/x86/boot/bzImage"] {
            fs::remove_file(tree.objects().join(name)).unwrap();
        }
        tree.build_as(&tree.make.clone().elsewhere());
    });
    change.keeps_image();
    assert_eq!(change.before, change.after);
    assert!(change.causes().is_empty(), "{:#}", change.explain());
}

#[test]
fn another_clock_and_builder() {
    let Some(mut tree) = shared() else { return };
    let make = tree.make.clone();
    let change = tree.change(|tree| {
        tree.make = make
            .with("KBUILD_BUILD_TIMESTAMP", "Fri Jul 13 21:09:08 UTC 2029")
            .with("KBUILD_BUILD_USER", "mary");
        tree.build();
    });
    change.keeps_image();
    let causes = change.causes();
    let kinds: Vec<&str> = causes.iter().map(|it| it.0.as_str()).collect();
    assert_eq!(kinds, ["build-timestamp", "build-user"], "{:#}", change.explain());
    assert!(causes[0].1.contains("2029"), "{causes:?}");
    assert_ne!(change.before.syzkaller, change.after.syzkaller, "it sees the banner");
}

#[test]
fn changes_under_another_architecture_documentation_and_tests() {
    let Some(mut tree) = shared() else { return };
    let change = tree.change(|tree| {
        append(&tree.path, "arch/arm64/kernel/setup.c", "\nint kiln_probe_arm64;\n");
        append(&tree.path, "Documentation/index.rst", "\nMore words.\n");
        append(&tree.path, "tools/testing/selftests/Makefile", "\nTARGETS += kiln\n");
        tree.build();
    });
    change.keeps_image();
    assert_eq!(change.before, change.after);
}

#[test]
fn one_comment_line_in_a_source_file() {
    let Some(mut tree) = shared() else { return };
    let change = tree.change(|tree| {
        prepend(&tree.path, "mm/mmap.c", "/* one more line */\n");
        tree.build();
    });
    change.moves_lines_only(1);
    if change.before.code == change.after.code {
        change.has_cause("line-numbers", &["mm/mmap.c"]);
    }
}

#[test]
fn ten_thousand_blank_lines_in_a_source_file() {
    let Some(mut tree) = shared() else { return };
    let change = tree.change(|tree| {
        prepend(&tree.path, "fs/pipe.c", &"\n".repeat(10_000));
        tree.build();
    });
    change.moves_lines_only(10_000);
}

#[test]
fn ten_comment_lines_and_ten_thousand_blank_ones_in_a_header() {
    let Some(mut tree) = shared() else { return };
    // Of some 30 units of a tiny kernel; the widest headers are in the long run.
    for (line, count) in [("/* a line */\n", 10), ("\n", 10_000)] {
        let change = tree.change(|tree| {
            prepend(&tree.path, "include/linux/pipe_fs_i.h", &line.repeat(count));
            tree.build();
        });
        change.moves_lines_only(count as u32);
    }
}

#[test]
fn lines_that_move_beside_changed_code_are_not_said_to_be_all() {
    let Some(mut tree) = shared() else { return };
    let change = tree.change(|tree| {
        prepend(&tree.path, "mm/mmap.c", "/* one more line */\n");
        // In another file than the lines, and in the same.
        append(&tree.path, "mm/mmap.c", "\nint kiln_probe_beside(int x) { return x * 5; }\n");
        prepend(&tree.path, "mm/mremap.c", "/* one more line */\n");
        tree.build();
    });
    let causes = change.causes();
    let of = |kind: &str| causes.iter().find(|it| it.0 == kind).map(|it| it.1.as_str());
    let beside = of("lines-beside-code").unwrap_or_default();
    assert!(beside.contains("mm/mmap.c"), "{causes:?}");
    assert!(!of("line-numbers").unwrap_or_default().contains("mm/mmap.c"), "{causes:?}");
    assert!(of("changed-code").is_some(), "{causes:?}");
}
