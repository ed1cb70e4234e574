//! Objects that a real compiler makes for a test.

use std::path::Path;
use std::process::Command;

use kiln_skip::{Lack, skip};

/// Kernel-like: no position-independent code, no unwind tables, statics where they are written.
const X86: &[&str] = &["-mcmodel=kernel", "-mno-sse", "-fcf-protection=none"];
const COMMON: &[&str] = &[
    "-O2",
    "-c",
    "-w",
    "-ffreestanding",
    "-fno-pic",
    "-fno-asynchronous-unwind-tables",
    "-fno-toplevel-reorder",
    "-fno-stack-protector",
];

/// A compiler and the linker beside it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Compiler {
    gcc: &'static str,
    ld: &'static str,
    flags: &'static [&'static str],
}

pub(super) const NATIVE: Compiler = Compiler { gcc: "gcc", ld: "ld", flags: X86 };
const ARM64: Compiler =
    Compiler { gcc: "aarch64-linux-gnu-gcc", ld: "aarch64-linux-gnu-ld", flags: &[] };

/// The compiler of this machine, and Debian's one for arm64 where it is installed.
pub(super) fn compilers() -> Vec<Compiler> {
    let mut all = vec![NATIVE];
    match Command::new(ARM64.gcc).arg("--version").output() {
        Ok(_) => all.push(ARM64),
        Err(_) => skip(Lack::Arm64, format_args!("no {}: arm64 is left out", ARM64.gcc)),
    }
    all
}

impl Compiler {
    /// The object made of one source file, which is called `kiln.c`.
    pub(super) fn object(self, source: &str) -> Vec<u8> {
        self.object_with(source, &[])
    }

    pub(super) fn object_with(self, source: &str, flags: &[&str]) -> Vec<u8> {
        let folder = tempfile::tempdir().unwrap();
        self.compile(folder.path(), "kiln.c", source, flags);
        std::fs::read(folder.path().join("kiln.o")).unwrap()
    }

    /// Source files by name, linked in this order as `vmlinux.o` is.
    pub(super) fn linked(self, sources: &[(&str, &str)]) -> Vec<u8> {
        let folder = tempfile::tempdir().unwrap();
        self.link(folder.path(), sources, &[]);
        std::fs::read(folder.path().join("vmlinux.o")).unwrap()
    }

    /// Puts `vmlinux.o` and a `vmlinux` made of it into a folder.
    pub(super) fn kernel(self, folder: &Path, sources: &[(&str, &str)]) {
        self.kernel_with(folder, sources, &[]);
    }

    pub(super) fn kernel_with(self, folder: &Path, sources: &[(&str, &str)], flags: &[&str]) {
        self.link(folder, sources, flags);
        self.place(folder, &["-Ttext=0x100000"]);
    }

    /// The same by a linker script.
    pub(super) fn kernel_by(self, folder: &Path, sources: &[(&str, &str)], script: &str) {
        self.link(folder, sources, &[]);
        std::fs::write(folder.join("script"), script).unwrap();
        self.place(folder, &["-T", "script"]);
    }

    fn place(self, folder: &Path, how: &[&str]) {
        let mut ld = Command::new(self.ld);
        ld.current_dir(folder).args(["--unresolved-symbols=ignore-all", "--no-warnings"]);
        run(ld.args(how).args(["-o", "vmlinux", "vmlinux.o"]));
    }

    fn link(self, folder: &Path, sources: &[(&str, &str)], flags: &[&str]) {
        let mut objects = Vec::new();
        for (name, source) in sources {
            self.compile(folder, name, source, flags);
            objects.push(name.replace(".c", ".o"));
        }
        let mut ld = Command::new(self.ld);
        run(ld.current_dir(folder).args(["-r", "-o", "vmlinux.o"]).args(objects));
    }

    fn compile(self, folder: &Path, name: &str, source: &str, flags: &[&str]) {
        std::fs::write(folder.join(name), source).unwrap();
        // Run in the folder, so that `__FILE__` does not hold its name.
        let mut gcc = Command::new(self.gcc);
        run(gcc.current_dir(folder).args(COMMON).args(self.flags).args(flags).arg(name));
    }
}

pub(super) fn run(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// A piece of a kernel: calls, a table of operations, texts, statics, a jump table, memory.
pub(super) const SOURCE: &str = r#"
extern int fa(int), fb(int);
struct ops { int (*open)(int); int (*close)(int); };
static int first(int x) { return x * 3 + 1; }
static int second(int x) { return x * 5 + 2; }
const struct ops table = { .open = first, .close = second };
static char buffer[64];
static int flag;
int put(int i) { buffer[i] = 1; flag = 7; return buffer[i + 1]; }
const char *say(void) { return "kiln says so"; }
int call(int x) { return fa(x) + 1; }
int choose(int x) {
    switch (x) {
    case 0: return fa(10);
    case 1: return fb(20);
    case 2: return fa(30) + 3;
    case 3: return fb(40) * 5;
    case 4: return fa(50) - 1;
    case 5: return fb(60) ^ x;
    case 6: return fa(70) | 8;
    }
    return -1;
}
int check(void) { return flag == 7 ? fa(1) : fb(2); }
"#;

/// Records with lines as the kernel's macros make them (Linux: arch/x86/include/asm/bug.h,
/// include/linux/dynamic_debug.h, include/linux/printk.h, include/linux/init.h).
pub(super) const RECORDS: &str = r#"
#define WARN() asm volatile("1: nop\n" \
    ".pushsection __bug_table,\"aw\"\n" \
    "2: .long 1b - .\n .long %c0 - .\n .short %c1\n .short %c2\n .org 2b + 12\n" \
    ".popsection" :: "i" ("kiln.c"), "i" (__LINE__), "i" (0x907))
struct ddebug {
    const char *modname, *function, *filename, *format;
    unsigned int lineno : 18, class_id : 6, flags : 8;
} __attribute__((aligned(8)));
struct pi_entry {
    const char *fmt, *func, *file;
    unsigned int line;
    const char *level, *prefix;
} __attribute__((packed));
#define PASTE2(a, b, c) a ## b ## c
#define PASTE(a, b, c) PASTE2(a, b, c)
int warns(int x) {
    static struct ddebug PASTE(__UNIQUE_ID_ddebug, __COUNTER__, )
        __attribute__((used, section("__dyndbg"))) =
        { "mod", "warns", "kiln.c", "x=%d", __LINE__, 63, 1 };
    static const struct pi_entry _entry __attribute__((used)) =
        { "oops", "warns", "kiln.c", __LINE__, 0, 0 };
    static const struct pi_entry *_entry_ptr
        __attribute__((used, section(".printk_index"))) = &_entry;
    if (x > 3)
        WARN();
    return x;
}
int warns_too(int x) {
    if (x > 5)
        WARN();
    return x + 1;
}
#define INITCALL(fn) \
    asm(".section .initcall6.init,\"a\"\n" \
        PASTE3(__initcall__kmod_kiln__1_, __LINE__) "_" #fn "6:\n .long " #fn " - .\n .previous")
#define STR2(x) #x
#define STR(x) STR2(x)
#define PASTE3(a, b) STR(a) STR(b)
INITCALL(warns);
"#;

/// The same source with comments before and inside it.
pub(super) fn with_lines(source: &str) -> String {
    let moved = source.replace("int warns(int x) {", "int warns(int x) {\n/* a comment */\n\n");
    format!("/* lines\n * that\n * move\n */\n\n\n{moved}")
}
