//! What a line of a report is, by the kernel function that prints it.

use std::sync::LazyLock;

use regex::bytes::Regex;

use super::pattern::{compile, names_in};

/// A line of a report. Names of functions are without the suffixes that compilers give to parts
/// and copies of a function (`.isra.0`, `.cold`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Item<'a> {
    /// Where the processor was: the function, if it was in one of the kernel's.
    Pc(Option<&'a [u8]>),
    /// What stands above a stack.
    Heading(Stack),
    /// A function of a stack, and the one that called it where the line says so (32-bit ARM).
    Frame(&'a [u8], Option<&'a [u8]>),
    /// A lock, and where it was taken.
    Lock(&'a [u8]),
    /// The end of an interrupt: what it interrupted follows.
    Resumed,
    /// Anything else.
    Text,
}

/// Whose stack follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Stack {
    /// That of whoever prints.
    Own,
    /// Who allocated the object.
    Allocated,
    /// Who freed it.
    Freed,
    /// Where a value came from that was never set.
    Origin,
    /// How an object came about that nobody points to.
    Leaked,
}

/// `show_trace_log_lvl` of x86, `dump_backtrace` of ARM and PowerPC's `show_stack`; then
/// `mm/kasan/report.c`, `mm/kfence/report.c`, `mm/kmsan/report.c` and `mm/kmemleak.c`, as they
/// were named over the years.
const HEADINGS: [(&str, Stack); 9] = [
    (r"Call [Tt]race:", Stack::Own),
    // Not lockdep's "stack backtrace:", which stands above "Call Trace:".
    (r"(?:^|[^k]) ?Backtrace:", Stack::Own),
    (r"^ *backtrace(?: \(crc [0-9a-f]+\))?:", Stack::Leaked),
    (r"(?i:allocated)(?: by task [0-9]+.*)?:$", Stack::Allocated),
    (r"(?i:allocated) by task [0-9]+", Stack::Allocated),
    (r"(?i:freed)(?: by task [0-9]+.*)?:$", Stack::Freed),
    (r"(?i:freed) by task [0-9]+", Stack::Freed),
    (r"Uninit was (?:created|stored to memory) at:", Stack::Origin),
    (r"Local variable .*created at:", Stack::Origin),
];

/// Names of the instruction pointer: x86 (`__show_regs`), ARM, PowerPC, RISC-V; and PowerPC's
/// `--- interrupt: 700 at`.
const PC: &str = r"(?:\b(?:RIP|EIP|IP|NIP|pc|epc|PC is at)\b ?:? *|--- interrupt: [0-9a-f]+ at )";

/// What stands for an address in brackets before a function's name.
const ADDRESS: &str = r"(?:\[<? *(?:0x)?[0-9a-f]+>?\] *)";

static PC_KERNEL: LazyLock<Regex> =
    LazyLock::new(|| compile(&format!(r"{PC}(?:[0-9a-f]{{2,4}}:)?{ADDRESS}*{{FUNCTION}}")));
/// The address of a program, or one that belongs to no function.
static PC_ELSEWHERE: LazyLock<Regex> = LazyLock::new(|| {
    compile(r"\b(?:RIP|EIP)\b ?:? *\[?[0-9a-f<]|\bIP: \[<|\bPC is at 0x|\bpc : [\[0-9a-f]")
});
/// `%pS` and `%pB` of `lib/vsprintf.c`: name, offset, size, module.
static FRAME: LazyLock<Regex> =
    LazyLock::new(|| compile(&format!(r"^ *(?:\? )?{ADDRESS}{{0,2}}(?:\? )?{{FUNCTION}}")));
/// `dump_backtrace_entry` of 32-bit ARM.
static FRAME_ARM: LazyLock<Regex> = LazyLock::new(|| {
    compile(&format!(
        r"^ *{ADDRESS}?\(?([A-Za-z_][A-Za-z0-9_]*)[A-Za-z0-9_.]*\)? from {ADDRESS}?\(?{{FUNCTION}}"
    ))
});
/// `print_lock` of `kernel/locking/lockdep.c`: `... at: [<ffff>] function+0x1/0x2`.
static LOCK: LazyLock<Regex> = LazyLock::new(|| compile(&format!(r"\bat: {ADDRESS}?{{FUNCTION}}")));
static HEADING: LazyLock<Vec<(Regex, Stack)>> =
    LazyLock::new(|| HEADINGS.iter().map(|(text, stack)| (compile(text), *stack)).collect());
static ANY_HEADING: LazyLock<Regex> = LazyLock::new(|| {
    let all: Vec<&str> = HEADINGS.iter().map(|(text, _)| *text).collect();
    compile(&all.join("|"))
});

impl<'a> Item<'a> {
    /// Reads a line without its prefix.
    pub(crate) fn of(line: &'a [u8]) -> Self {
        if let Some(found) = FRAME_ARM.captures(line) {
            let mut names = names_in(&found);
            if let (Some(callee), caller) = (names.next(), names.next()) {
                return Self::Frame(callee, caller);
            }
        }
        if let Some(name) = FRAME.captures(line).and_then(|found| names_in(&found).next()) {
            return Self::Frame(name, None);
        }
        if let Some(name) = PC_KERNEL.captures(line).and_then(|found| names_in(&found).next()) {
            return Self::Pc(Some(name));
        }
        if PC_ELSEWHERE.is_match(line) {
            return Self::Pc(None);
        }
        if ANY_HEADING.is_match(line)
            && let Some((_, stack)) = HEADING.iter().find(|(heading, _)| heading.is_match(line))
        {
            return Self::Heading(*stack);
        }
        if let Some(name) = LOCK.captures(line).and_then(|found| names_in(&found).next()) {
            return Self::Lock(name);
        }
        let resumed = [&b"</IRQ>"[..], b"<EOI>", b"Exception stack("]
            .iter()
            .any(|mark| super::find(line, mark).is_some());
        if resumed { Self::Resumed } else { Self::Text }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_several_architectures() {
        let name: &[u8] = b"foo";
        for text in [
            "RIP: 0010:[<ffffffff81>]  [<ffffffff81>] foo+0x1/0x2",
            "RIP: 0010:foo+0x1/0x2",
            "EIP: foo+0x1/0x2",
            "IP: [<ffffffff82d4e304>] foo+0x24/0x30",
            "pc : foo.isra.5+0x1/0x2",
            "PC is at foo+0x1/0x2",
            "NIP [c000000000a4b5c4] foo+0x44/0x80",
            "epc : foo+0x1/0x2",
            "--- interrupt: 700 at foo+0x1/0x2",
        ] {
            assert_eq!(Item::of(text.as_bytes()), Item::Pc(Some(name)), "{text}");
        }
        for text in ["RIP: 0033:0x456789", "RIP: 0010:[<          (null)>]           (null)"] {
            assert_eq!(Item::of(text.as_bytes()), Item::Pc(None), "{text}");
        }
        for text in [
            " foo+0x1/0x2",
            " [<ffffffff81>] foo.cold+0x1/0x2 [module]",
            "[c0001] [c0002] foo+0x1/0x2",
            "foo+0x1/0x2 mm/slub.c:12",
        ] {
            assert_eq!(Item::of(text.as_bytes()), Item::Frame(name, None), "{text}");
        }
        let caller: &[u8] = b"bar";
        for text in ["[<8010>] (foo) from [<8011>] (bar+0x1/0x2)", " foo from bar+0x1/0x2"] {
            assert_eq!(Item::of(text.as_bytes()), Item::Frame(name, Some(caller)), "{text}");
        }
        let text = b" (&x){+.+.}-{3:3}, at: foo+0x1/0x2 fs/x.c:1";
        assert_eq!(Item::of(text), Item::Lock(name));
        assert_eq!(Item::of(b"Call Trace:"), Item::Heading(Stack::Own));
        assert_eq!(Item::of(b"Freed by task 7:"), Item::Heading(Stack::Freed));
        assert_eq!(Item::of(b"stack backtrace:"), Item::Text);
        assert_eq!(Item::of(b" </IRQ>"), Item::Resumed);
    }
}
