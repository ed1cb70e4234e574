//! What takes a build from nothing each: asked for by `tests/bench/metamorphic`.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;
use std::time::Instant;

use object::{Object as _, ObjectSection as _};

use crate::edits::{PROBED, prepend, replace};
use crate::flips::every_loaded_byte_of_arm64;
use crate::flips_of_code::masks_of_code_in;
use crate::support::Kiln;
use crate::tree::{Change, Make, Names, Tree, config, history, shared};

/// The names of the kernel as nothing was changed of it.
fn plain() -> Option<&'static Names> {
    static NAMES: OnceLock<Option<Names>> = OnceLock::new();
    let names = || Some(Names::of(&Tree::new(&config(), Make::new())?.objects()));
    NAMES.get_or_init(names).as_ref()
}

#[test]
#[ignore = "takes a build from nothing: tests/bench/metamorphic runs it"]
fn everything_made_anew_elsewhere() {
    let Some(here) = plain() else { return };
    let Some(mut there) = Tree::unbuilt(&config(), Make::new().elsewhere()) else { return };
    there.rename("another-name-of-the-tree");
    there.build();
    assert_eq!(*here, Names::of(&there.objects()));
}

/// Takes 3 GB of memory: a tmpfs lists what was made last first, where others go by a hash of names.
#[test]
#[ignore = "takes a build from nothing: tests/bench/metamorphic runs it"]
fn another_order_of_files_in_folders() {
    let Some(here) = plain() else { return };
    let folder = std::env::var_os("KILN_ORDER_DIR").unwrap_or_else(|| "/dev/shm".into());
    let folder = tempfile::tempdir_in(folder).unwrap();
    let Some(there) = Tree::unbuilt_in(folder, &config(), Make::new()) else { return };
    let reversed = there.reverse_folders();
    assert!(
        reversed > 1000,
        "only {reversed} folders are listed in another order than before: KILN_ORDER_DIR names a \
         folder of a file system which lists them by the time of making"
    );
    there.build();
    assert_eq!(*here, Names::of(&there.objects()));
    eprintln!("{reversed} folders are listed in another order");
}

/// What is built by the command itself, in its namespaces, behind its view of the sources: every byte.
#[test]
#[ignore = "takes a build from nothing: tests/bench/metamorphic runs it"]
fn the_command_run_as_somebody_else_elsewhere() {
    let Some(repo) = history() else { return };
    let Some(tree) = Tree::unbuilt(&config(), Make::new()) else { return };
    let config = tree.objects().join(".config");
    let build = |kiln: &Kiln, jobs: &str, umask: &str| {
        let mut command = Command::new("sh");
        let script = format!("umask {umask}; exec \"$@\"");
        let own = kiln.command();
        command.args(["-c", &script, "sh"]).arg(own.get_program());
        for (name, value) in own.get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        command.args(["build", "base", "--json", "--no-proofs", "--jobs", jobs, "--repo"]);
        let output = command.arg(&repo).arg("--config").arg(&config).output().unwrap();
        crate::support::Answer::from(output).exits(0).json()
    };
    let (here, mut there) = (Kiln::new(), Kiln::new());
    let elsewhere = tempfile::Builder::new().prefix("another length of path ").tempdir().unwrap();
    there.set("KILN_WORK", elsewhere.path().join("work").to_str().unwrap());
    for (name, value) in Make::new().elsewhere().variables {
        there.set(&name, value);
    }
    let answers = [build(&here, "2", "022"), build(&there, "3", "077")];
    let files = answers.map(|answer| {
        assert_eq!(answer["obtained"], "compiled");
        let artifacts = answer["artifacts"].as_array().unwrap().clone();
        let is_made = |name: &str| name != "build.log" && name != "closure" && name != "units";
        let files = artifacts.iter().map(|it| (it["name"].as_str().unwrap(), &it["digest"]));
        let files = files.filter(|(name, _)| is_made(name));
        files.map(|(name, digest)| format!("{name} {digest}")).collect::<Vec<_>>()
    });
    for name in ["vmlinux ", "bzImage ", "modules/lib/crc7.ko ", "System.map "] {
        assert!(files[0].iter().any(|it| it.starts_with(name)), "{name}: {:?}", files[0]);
    }
    assert_eq!(files[0], files[1]);
    eprintln!("the same bytes: {:#?}", files[0]);
}

/// Packed otherwise, the kernel takes other room in the boot image and pushes the decompressor
/// elsewhere, by steps of 16 bytes and by pages.
#[test]
#[ignore = "takes a build from nothing: tests/bench/metamorphic runs it"]
fn another_length_of_the_packed_kernel() {
    let Some(mut tree) = shared() else { return };
    let make = tree.make.clone();
    let folder = tempfile::tempdir().unwrap();
    for level in [8, 6] {
        let gzip = folder.path().join(format!("gzip-{level}"));
        fs::write(&gzip, format!("#!/bin/sh\nexec gzip -n -{level}\n")).unwrap();
        fs::set_permissions(&gzip, fs::Permissions::from_mode(0o755)).unwrap();
        let packed = make.clone().with("MAKEFLAGS", &format!("-- KGZIP={}", gzip.display()));
        let change = tree.change(|tree| {
            tree.make = packed;
            tree.build();
        });
        change.keeps_image();
        change.keeps_code();
    }
    tree.make = make;
}

#[test]
#[ignore = "takes a build from nothing: tests/bench/metamorphic runs it"]
fn lines_in_the_widest_headers() {
    let Some(mut tree) = shared() else { return };
    for (line, count) in [("/* a line */\n", 10), ("\n", 10_000)] {
        let change = tree.change(|tree| {
            prepend(&tree.path, "include/linux/sched.h", &line.repeat(count));
            tree.build();
        });
        eprintln!("{count} lines in sched.h: {:?}", change.causes());
        change.moves_lines_only(count as u32);
    }
}

/// Added to `tinyconfig`: modules that are signed, and debug information.
const SIGNED: &str = "
CONFIG_64BIT=y
CONFIG_PRINTK=y
CONFIG_BUG=y
CONFIG_MODULES=y
CONFIG_MODULE_SIG=y
CONFIG_MODULE_SIG_ALL=y
CONFIG_MODULE_SIG_SHA256=y
CONFIG_MODULE_SIG_KEY=\"certs/signing_key.pem\"
CONFIG_SYSTEM_TRUSTED_KEYRING=y
CONFIG_CRYPTO=y
CONFIG_LIBCRC32C=m
CONFIG_CRC7=m
CONFIG_DEBUG_INFO_NONE=n
CONFIG_DEBUG_INFO_DWARF4=y
";

fn remove_objects(folder: &Path) {
    for entry in fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            remove_objects(&path);
        } else if path.extension().is_some_and(|it| it == "o") {
            fs::remove_file(path).unwrap();
        }
    }
}

/// Asserts that a cause is named, and beside it nothing but debug information: whatever changes there
/// (lines, offsets into it in modules) is not told apart.
#[track_caller]
fn is_named(change: &Change, kind: &str, word: &str) {
    let causes = change.causes();
    let known = [kind, "debug-information"];
    assert!(causes.iter().all(|it| known.contains(&it.0.as_str())), "{causes:?}");
    assert!(causes.iter().any(|it| it.0 == kind && it.1.contains(word)), "{causes:?}");
}

#[test]
#[ignore = "takes a build from nothing: tests/bench/metamorphic runs it"]
fn another_module_key_and_another_path_with_debug_information() {
    // Without what the builder does to have neither in the kernel.
    let mut make = Make::new();
    (make.targets, make.mapped) = (vec!["bzImage", "modules"], false);
    let Some(mut tree) = Tree::tiny(make, SIGNED) else { return };
    tree.build();
    let key = tree.change(|tree| {
        for name in ["certs/signing_key.pem", "certs/signing_key.x509"] {
            fs::remove_file(tree.objects().join(name)).unwrap();
        }
        tree.build();
    });
    key.changes_image();
    key.has_cause("module-signing-key", &[]);
    eprintln!("another module key: {:?}", key.causes());

    let line = tree.change(|tree| {
        prepend(&tree.path, "mm/mmap.c", "/* one more line */\n");
        tree.build();
    });
    line.keeps_code();
    is_named(&line, "line-numbers", "in mm/mmap.c");
    eprintln!("a comment, with debug information: {:?}", line.causes());

    // Debug information names the folder that make runs in, so objects are made anew there. (Not all
    // that make would clean: it would draw another key as well.)
    let path = tree.change(|tree| {
        tree.rename("moved-to-another-folder");
        for folder in ["fs", "kernel", "lib", "mm"] {
            remove_objects(&tree.objects().join(folder));
        }
        tree.build();
    });
    path.keeps_code();
    is_named(&path, "source-path-in-debug-information", "moved-to-another-folder");
    path.keeps_image();
    eprintln!("another path, with debug information: {:?}", path.causes());
}

/// Added to `tinyconfig`: each kind of record with lines, and tables of how code is unwound.
const RECORDED: &str = "
CONFIG_64BIT=y
CONFIG_PRINTK=y
CONFIG_BUG=y
CONFIG_PROC_FS=y
CONFIG_DEBUG_KERNEL=y
CONFIG_DEBUG_FS=y
CONFIG_DYNAMIC_DEBUG=y
CONFIG_PRINTK_INDEX=y
CONFIG_UBSAN=y
CONFIG_UBSAN_SANITIZE_ALL=y
# CONFIG_UNWINDER_GUESS is not set
CONFIG_UNWINDER_ORC=y
";

#[test]
#[ignore = "takes a build from nothing: tests/bench/metamorphic runs it"]
fn how_code_is_unwound_and_every_kind_of_record() {
    let Some(mut tree) = Tree::tiny(Make::new(), RECORDED) else { return };
    let config = fs::read_to_string(tree.objects().join(".config")).unwrap();
    for option in ["UNWINDER_ORC", "DYNAMIC_DEBUG", "PRINTK_INDEX", "UBSAN"] {
        assert!(config.contains(&format!("CONFIG_{option}=y")), "{option} can't be set");
    }
    tree.build();
    let kinds = ["bug-line", "dyndbg-line", "printk-line", "source-location"];
    masks_of_code_in(&tree.objects(), &kinds);

    // A hint to objtool, of which the assembler makes no byte that runs.
    let text = |tree: &Tree| section(&tree.objects().join("vmlinux.o"), ".text");
    let before = text(&tree);
    let change = tree.change(|tree| {
        let (hint, at) = ("\tUNWIND_HINT_EMPTY\n", "\tmovq\t%r12, %rdi\n");
        let other = format!("\tUNWIND_HINT_FUNC\n{at}");
        replace(&tree.path, "arch/x86/entry/entry_64.S", &format!("{hint}{at}"), &other);
        tree.build();
    });
    assert_eq!(before, text(&tree), "a hint is no code");
    change.changes_image();
    assert_ne!(change.before.code, change.after.code);
    assert!(change.changed().is_empty(), "{:?}", change.changed());
    change.has_cause("unwinding", &["ret_from_fork"]);

    let change = tree.change(|tree| {
        prepend(&tree.path, "lib/vsprintf.c", "/* one more line */\n");
        tree.build();
    });
    change.keeps_code();
    eprintln!("a comment, with every kind of record: {:?}", change.causes());
}

/// A kernel that counts which of its lines run.
const PROFILED: &str = "\
CONFIG_DEBUG_FS=y
CONFIG_GCOV_KERNEL=y
CONFIG_GCOV_PROFILE_ALL=y
";

#[test]
#[ignore = "takes a build from nothing: tests/bench/metamorphic runs it"]
fn a_profiled_kernel_made_anew() {
    let Some(mut tree) = Tree::tiny(Make::new(), PROFILED) else { return };
    let config = fs::read_to_string(tree.objects().join(".config")).unwrap();
    assert!(config.contains("CONFIG_GCOV_PROFILE_ALL=y"), "profiling can't be set");
    tree.build();
    // What gcc stamps a unit's counters with is of the clock, unless it is given a seed.
    let anew = tree.change(|tree| {
        for folder in ["fs", "kernel", "lib", "mm"] {
            remove_objects(&tree.objects().join(folder));
        }
        tree.build();
    });
    anew.keeps_image();
    anew.keeps_code();
}

/// The bytes of a section of an object.
fn section(object: &Path, name: &str) -> Vec<u8> {
    let bytes = fs::read(object).unwrap();
    let file = object::File::parse(&bytes[..]).unwrap();
    file.section_by_name(name).unwrap().data().unwrap().to_vec()
}

#[test]
#[ignore = "takes a build from nothing: tests/bench/metamorphic runs it"]
fn arm64() {
    if Command::new("aarch64-linux-gnu-gcc").arg("--version").output().is_err() {
        kiln_skip::skip(kiln_skip::Lack::Arm64, "apt-get install gcc-aarch64-linux-gnu");
        return;
    }
    let mut make = Make::new();
    (make.arch, make.targets) = ("arm64", vec!["Image"]);
    let Some(mut tree) = Tree::tiny(make, "CONFIG_PRINTK=y\nCONFIG_BUG=y\n") else { return };
    let begun = Instant::now();
    tree.build();
    eprintln!("arm64 tinyconfig: built in {} s", begun.elapsed().as_secs());
    let image = tree.objects().join("arch/arm64/boot/Image");
    assert!(image.is_file());
    every_loaded_byte_of_arm64(&tree.objects());

    let clock = tree.make.clone().with("KBUILD_BUILD_TIMESTAMP", "Fri Jul 13 21:09:08 UTC 2029");
    let change = tree.change(|tree| {
        tree.make = clock;
        tree.build();
    });
    change.keeps_image();
    change.keeps_code();
    change.has_cause("build-timestamp", &["2029"]);
    let change = tree.change(|tree| {
        prepend(&tree.path, "mm/mmap.c", "/* one more line */\n");
        tree.build();
    });
    change.keeps_code();
    let rows = [
        ("return x + 43;", "return x - 43;", "kiln_probe_two"),
        ("kiln_probe_one(x) * 3", "kiln_probe_two(x) * 3", "kiln_probe_call"),
        (".call = kiln_probe_one", ".call = kiln_probe_two", "kiln_probe_table"),
        ("\"a probe of Kiln\"", "\"a proof of Kiln\"", "kiln_probe_text"),
        ("int kiln_probe_room[64];", "int kiln_probe_room[4096];", "kiln_probe_room"),
    ];
    for (from, to, name) in rows {
        let change = tree.change(|tree| {
            replace(&tree.path, PROBED, from, to);
            tree.build();
        });
        change.changes_image();
        assert_ne!(change.before.code, change.after.code);
        assert_eq!(change.changed(), [name]);
    }
    let (first, second) = ("late_initcall(kiln_probe_first);", "late_initcall(kiln_probe_second);");
    let change = tree.change(|tree| {
        replace(&tree.path, PROBED, &format!("{first}\n{second}"), &format!("{second}\n{first}"));
        tree.build();
    });
    change.changes_image();
    assert_ne!(change.before.code, change.after.code, "the order of initcalls");
    let bss = "BSS_SECTION(SBSS_ALIGN, 0, 0)";
    let mut script = |to: &str| {
        tree.change(|tree| {
            replace(&tree.path, "arch/arm64/kernel/vmlinux.lds.S", bss, to);
            tree.build();
        })
    };
    script(&format!(". += 8192;\n\t{bss}")).is_beyond_code();
    // Behind the last section there are only names that move, and code that refers to them.
    let behind = script(&format!("{bss}\n\t. += 8192;"));
    behind.changes_image();
    assert_eq!(behind.before.code, behind.after.code);
}
