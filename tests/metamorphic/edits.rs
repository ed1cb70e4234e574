//! Changes to a kernel's sources.

use std::fs;
use std::path::Path;

/// The file that gets the probes: in every kernel, and small.
pub(crate) const PROBED: &str = "lib/cmdline.c";

/// Code that nothing calls, with one of each kind of thing that a test changes.
const PROBES: &str = r#"
/* probes of Kiln's tests */
int kiln_probe_one(int x);
int kiln_probe_two(int x);
int kiln_probe_call(int x);
__attribute__((noipa)) int kiln_probe_one(int x) { return x + 41; }
__attribute__((noipa)) int kiln_probe_two(int x) { return x + 43; }
__attribute__((noipa)) int kiln_probe_call(int x) { return kiln_probe_one(x) * 3; }
struct kiln_probe_ops { int (*call)(int x); };
extern const struct kiln_probe_ops kiln_probe_table;
const struct kiln_probe_ops kiln_probe_table = { .call = kiln_probe_one };
extern const char kiln_probe_text[];
const char kiln_probe_text[] = "a probe of Kiln";
extern int kiln_probe_room[];
int kiln_probe_room[64];
static int __init kiln_probe_first(void) { return kiln_probe_room[1]; }
static int __init kiln_probe_second(void) { return kiln_probe_room[2]; }
late_initcall(kiln_probe_first);
late_initcall(kiln_probe_second);
"#;

/// Puts the probes into a tree.
pub(crate) fn probe(tree: &Path) {
    append(tree, PROBED, &format!("#include <linux/init.h>\n{PROBES}"));
}

/// Replaces a text that is in a file once.
pub(crate) fn replace(tree: &Path, file: &str, from: &str, to: &str) {
    let path = tree.join(file);
    let text = fs::read_to_string(&path).unwrap();
    assert_eq!(text.matches(from).count(), 1, "'{from}' in {file}");
    fs::write(path, text.replace(from, to)).unwrap();
}

/// Adds to the end of a file.
pub(crate) fn append(tree: &Path, file: &str, more: &str) {
    let path = tree.join(file);
    let text = fs::read_to_string(&path).unwrap();
    fs::write(path, text + more).unwrap();
}

/// Adds to the start of a file, so that all lines move.
pub(crate) fn prepend(tree: &Path, file: &str, more: &str) {
    let path = tree.join(file);
    let text = fs::read_to_string(&path).unwrap();
    fs::write(path, more.to_owned() + &text).unwrap();
}
