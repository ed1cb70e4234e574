//! What programs do, and what a trace says of it.

use std::collections::BTreeSet;
use std::fs;

use super::scene::{Scene, is_there, names};

#[test]
fn a_shell_that_reads_looks_and_misses() {
    let files = [
        ("read", "text"),
        ("looked", "text"),
        ("run!", "#!/bin/sh\nexit 0\n"),
        ("empty", ""),
        ("untouched", "text"),
        ("dir/inner", "text"),
        ("link", "->dir/inner"),
        ("pointer", "->read"),
    ];
    let Some(scene) = Scene::new(&files) else { return };
    let closure = scene.trace(
        "cat $V/read; test -f $V/looked; $V/run; test -e $V/empty; test ! -e $V/absent/deep
         test ! -e $V/dir/none; cat $V/link; readlink $V/pointer; test ! -e $V/read/below",
    );
    let read = ["dir/inner", "empty", "link", "pointer", "read", "run"];
    assert_eq!(names(&closure.read), read);
    assert_eq!(names(&closure.found), ["dir", "looked"]);
    assert_eq!(names(&closure.missing), ["absent", "dir/none"]);
    assert!(closure.listed.is_empty());
}

#[test]
fn a_compiler_that_searches() {
    let files = [
        ("main.c", "#include \"one.h\"\n#include <two.h>\nint main(void) { return ONE - TWO; }\n"),
        ("near/one.h", "#define ONE 1\n"),
        ("far/one.h", "#define ONE 2\n"),
        ("far/two.h", "#define TWO 1\n"),
    ];
    let Some(scene) = Scene::new(&files) else { return };
    let closure = scene.trace("gcc -I$V/gone -I$V/near -I$V/far -c $V/main.c -o $O/main.o");
    assert_eq!(names(&closure.read), ["far/two.h", "main.c", "near/one.h"]);
    for path in ["gone", "one.h", "near/two.h"] {
        assert!(closure.missing.contains(path.as_bytes()), "{path}: {:?}", names(&closure.missing));
    }
    assert!(!closure.missing.contains(b"far/one.h") && !closure.found.contains(b"far/one.h"));
}

#[test]
fn a_makefile_with_a_wildcard() {
    let makefile = "all: $(wildcard $(V)/parts/*.x)\n\tcat $^ > $(O)/all\n";
    let files =
        [("Makefile", makefile), ("parts/a.x", "a"), ("parts/b.x", "b"), ("parts/c.y", "c")];
    let Some(scene) = Scene::new(&files) else { return };
    let closure = scene.trace("make -rR -f $V/Makefile V=$V O=$O");
    assert_eq!(fs::read_to_string(scene.out().join("all")).unwrap(), "ab");
    assert!(closure.listed.contains(b"parts"));
    assert_eq!(names(&closure.read), ["Makefile", "parts/a.x", "parts/b.x"]);
}

#[test]
fn find_sees_names_and_kinds_only() {
    let Some(scene) = Scene::new(&[("a/b/1", "x"), ("a/2", "x"), ("c/3", "x")]) else { return };
    let closure = scene.trace("test $(find $V -type f | wc -l) = 3");
    assert_eq!(names(&closure.listed), ["", "a", "a/b", "c"]);
    assert!(closure.read.is_empty());
}

#[test]
fn a_static_program_that_maps_a_file() {
    let program = r#"
        #include <fcntl.h>
        #include <string.h>
        #include <sys/mman.h>
        int main(int argc, char **argv) {
            char *text = mmap(0, 4, PROT_READ, MAP_PRIVATE, open(argv[1], O_RDONLY), 0);
            return argc == 2 && text != MAP_FAILED && !memcmp(text, "text", 4) ? 0 : 1;
        }"#;
    let Some(scene) = Scene::new(&[("program.c", program), ("mapped", "text")]) else { return };
    fs::write(scene.source().join("tool"), "").unwrap();
    let source = scene.source();
    scene.run(&format!("cd {0}; gcc -static program.c -o tool", source.display()));
    let closure = scene.trace("$V/tool $V/mapped");
    assert_eq!(names(&closure.read), ["mapped", "tool"]);
    assert!(closure.missing.is_empty());
}

/// Holds the record of a compile against what strace sees of the same one.
#[test]
fn nothing_is_missed_that_strace_sees() {
    if !is_there("strace") {
        return;
    }
    let files = [
        ("src/main.c", "#include <a.h>\n#include \"b.h\"\nint main(void) { return A + B; }\n"),
        ("include/a.h", "#include <deep/c.h>\n#define A C\n"),
        ("include/deep/c.h", "#define C 0\n"),
        ("src/b.h", "#define B 0\n"),
        ("other/a.h", "#error not this one\n"),
    ];
    let Some(scene) = Scene::new(&files) else { return };
    let closure = scene.trace(
        "strace -f -o $O/log -e trace=%file,getdents64 \
         gcc -I$V/none -I$V/include -I$V/other -c $V/src/main.c -o $O/main.o",
    );
    let log = fs::read_to_string(scene.out().join("log")).unwrap();
    let prefix = format!("\"{}/", scene.view().display());
    let mut seen = BTreeSet::new();
    // What is executed lies elsewhere; its arguments are not accesses.
    for line in log.lines().filter(|line| !line.contains("execve(")) {
        let Some((_, rest)) = line.split_once(&prefix) else { continue };
        let Some((path, outcome)) = rest.split_once('"') else { continue };
        // Paths as the compiler gives them may go through "..": none does here.
        let (path, absent) = (path.trim_end_matches('/'), outcome.contains("ENOENT"));
        seen.insert((path.to_owned(), absent));
    }
    assert!(seen.len() > 8, "strace saw too little: {seen:?}");
    for (path, absent) in seen {
        let mut above = std::path::Path::new(&path).ancestors();
        let known = if absent {
            above.any(|path| closure.missing.contains(path.as_os_str().as_encoded_bytes()))
        } else {
            closure.read.contains(path.as_bytes()) || closure.found.contains(path.as_bytes())
        };
        assert!(known, "{path} (absent: {absent}) is not in the record: {closure:?}");
    }
}
