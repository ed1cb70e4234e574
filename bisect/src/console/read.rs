//! The first crash of a console.

use super::blame::{self, Blame, Names};
use super::catalog::{CATALOG, Entry};
use super::clean::clean;
use super::crash::Crash;
use super::item::Item;
use super::kind::Kind;
use super::name::Function;
use super::patterns::{Patterns, Title};
use super::report::{self, Report};
use super::{damage, find, lines};

/// A cloud's serial console says this when it ends before the kernel's last words.
const HUNG_UP: &[u8] = b"serialport: VM disconnected.";

/// The function of a title whose report tells none.
const UNKNOWN: &str = "corrupted";

/// Finds the first crash that a kernel's console tells of, with its title; none when it tells
/// of none. Never fails: a damaged report gives the best title that can be had, and says so.
pub fn crash_title(console: &[u8]) -> Option<Crash> {
    crash_title_with(console, &Patterns::default())
}

/// The same, with the user's own patterns.
pub fn crash_title_with(console: &[u8], patterns: &Patterns) -> Option<Crash> {
    let known = CATALOG.beginnings(console, 0, patterns).next();
    let added = patterns.first(console);
    if let Some((start, added)) = added
        && known.as_ref().is_none_or(|(line, _)| start <= line.start)
    {
        let line = lines::line_at(console, start);
        let report = report::gather(console, &line, patterns);
        let told = told_by_user(added, line.raw, &report)?;
        return Some(crash(console, &report, told));
    }
    let (line, entries) = known?;
    let report = report::gather(console, &line, patterns);
    let (kind, mut told) = entries
        .iter()
        .enumerate()
        .find_map(|(kind, entry)| Some((kind, told(entry, line.raw, &report)?)))?;
    // What begins like a special kind and lacks its lines is damaged.
    told.damaged |= kind > 0;
    Some(crash(console, &report, told))
}

/// The first of a console's crashes that has this title.
pub fn crash_titled(console: &[u8], title: &str, patterns: &Patterns) -> Option<Crash> {
    let mut from = 0;
    loop {
        let mut crash = crash_title_with(console.get(from..)?, patterns)?;
        crash.start += from;
        crash.end += from;
        if crash.title == title {
            return Some(crash);
        }
        // Another crash may lie within what is taken for the rest of this one's report.
        from = lines::line_at(console, crash.start).end + 1;
    }
}

/// The functions that the first crash of a console happened in: where the processor was, and its
/// callers, the innermost first, each once and at most `most` of them. What only reports crashes, or
/// is called by everybody, is left out.
pub fn crash_functions(console: &[u8], patterns: &Patterns, most: usize) -> Vec<String> {
    let known = CATALOG.beginnings(console, 0, patterns).next().map(|(line, _)| line);
    let added = patterns.first(console).map(|(start, _)| lines::line_at(console, start));
    let first = [known, added].into_iter().flatten().min_by_key(|line| line.start);
    let Some(first) = first else { return Vec::new() };
    let report = report::gather(console, &first, patterns);
    blame::stood_in(&report.items[..report.own], most)
}

fn crash(console: &[u8], report: &Report<'_>, told: Told) -> Crash {
    let title = clean(&told.title);
    let mut alternatives: Vec<String> = told.also.iter().map(|other| clean(other)).collect();
    alternatives.retain(|other| *other != title);
    alternatives.sort();
    alternatives.dedup();
    let corrupted = told.damaged
        || damage::torn_title(&title)
        || find(console, HUNG_UP).is_some()
        || (told.has_stack && damage::stacks_missing(&report.items, &report.lines));
    Crash {
        kind: Kind::of_title(&title),
        title,
        alternatives,
        corrupted,
        start: report.start,
        end: report.end,
    }
}

/// What a report says when read as one kind.
struct Told {
    title: Vec<u8>,
    also: Vec<Vec<u8>>,
    damaged: bool,
    has_stack: bool,
}

/// Reads a report as one kind; none when the lines are missing that this kind has.
fn told(entry: &Entry, first: &[u8], report: &Report<'_>) -> Option<Told> {
    let own = &report.lines[..report.own];
    let items: &[Item<'_>] = &report.items[..report.own];
    let headline = entry.headline;
    let mut words: Vec<&[u8]> = Vec::new();
    let found = entry.says.captures(first)?;
    words.extend(found.iter().skip(1).map(|word| word.map_or(&b""[..], |word| word.as_bytes())));
    let mut rest = own.iter().skip(1);
    for wanted in &entry.then {
        let found = rest.find_map(|line| wanted.captures(line))?;
        words
            .extend(found.iter().skip(1).map(|word| word.map_or(&b""[..], |word| word.as_bytes())));
    }
    let function = blame::function(headline.blame, own, items, &entry.past);
    let damaged = headline.remains || (function.is_none() && headline.blame != Blame::Nobody);
    let function = function.unwrap_or_else(|| Function::called(UNKNOWN));
    let fill = |text: &str, name: &str| fill(text, &words, name);
    let title = fill(headline.title, &function.shown);
    let mut also: Vec<Vec<u8>> =
        headline.also.iter().map(|text| fill(text, &function.shown)).collect();
    for name in function.other_names() {
        also.extend(
            std::iter::once(&headline.title).chain(headline.also).map(|text| fill(text, name)),
        );
    }
    Some(Told { title, also, damaged, has_stack: headline.has_stack })
}

/// Reads a report as the user's own kind; the line is known to match.
fn told_by_user(added: &Title, first: &[u8], report: &Report<'_>) -> Option<Told> {
    let found = added.line.captures(first)?;
    let words: Vec<&[u8]> =
        found.iter().skip(1).map(|word| word.map_or(&b""[..], |word| word.as_bytes())).collect();
    let names_function = added.title.contains("{f}");
    let function = blame::function(
        if names_function { Blame::Trap } else { Blame::Nobody },
        &report.lines[..report.own],
        &report.items[..report.own],
        &Names::default(),
    );
    let damaged = names_function && function.is_none();
    let name = function.unwrap_or_else(|| Function::called(UNKNOWN)).shown;
    let title = fill(&added.title, &words, &name);
    Some(Told { title, also: Vec::new(), damaged, has_stack: false })
}

/// Fills `{1}`, `{2}`.. with words of the report, and `{f}` with the function.
fn fill(template: &str, words: &[&[u8]], function: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('{') {
        out.extend_from_slice(before.as_bytes());
        let Some((name, after)) = after.split_once('}') else { break };
        match name.parse::<usize>() {
            Ok(number) => {
                let word = number.checked_sub(1).and_then(|at| words.get(at));
                out.extend_from_slice(word.unwrap_or(&&b""[..]));
            }
            Err(_) => out.extend_from_slice(function.as_bytes()),
        }
        rest = after;
    }
    out.extend_from_slice(rest.as_bytes());
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn title(console: &str) -> String {
        crash_title(console.as_bytes()).map_or_else(String::new, |crash| crash.title)
    }

    /// A fault as x86 prints it, with the given headline.
    fn fault(headline: &str) -> String {
        format!(
            "[    3.0][   T77] {headline}\r\n\
             [    3.0][    C1] clocksource: something else\r\n\
             [    3.0][   T77] CPU: 1 PID: 77 Comm: payload Not tainted 6.1.0 #1\r\n\
             [    3.0][   T77] RIP: 0010:kiln_break+0x12/0x30\r\n\
             [    3.0][   T77] Call Trace:\r\n\
             [    3.0][   T77]  <TASK>\r\n\
             [    3.0][   T77]  ? stale+0x1/0x2\r\n\
             [    3.0][   T77]  kiln_ioctl+0x1/0x2\r\n\
             [    3.0][   T77]  do_syscall_64+0x1/0x2\r\n"
        )
    }

    #[test]
    fn a_crash_stands_in_functions() {
        let console = "[ 1.0][ T7] BUG: kernel NULL pointer dereference, address: 0\n\
             [ 1.0][ T7] RIP: 0010:kiln_write+0x12/0x30\n\
             [ 1.0][ T7] Call Trace:\n\
             [ 1.0][ T7]  <TASK>\n\
             [ 1.0][ T7]  kiln_call+0x1/0x2\n\
             [ 1.0][ T7]  kiln_write.isra.0+0x1/0x2\n\
             [ 1.0][ T7]  do_syscall_64+0x1/0x2\n\
             [ 1.0][ T7]  entry_SYSCALL_64_after_hwframe+0x1/0x2\n\
             [ 1.0][ T7] RIP: 0033:0x456789\n";
        let of = |text: &str, most| crash_functions(text.as_bytes(), &Patterns::default(), most);
        assert_eq!(of(console, 6), ["kiln_write", "kiln_call"]);
        assert_eq!(of(console, 1), ["kiln_write"]);
        let kasan = "BUG: KASAN: use-after-free in kiln_put+0x12/0x30\n\
             Read of size 4 at addr ffff888000000000 by task a/1\nCall Trace:\n\
             \x20dump_stack+0x1/0x2\n kasan_report+0x1/0x2\n kiln_put+0x1/0x2\n x+0x1/0x2\n\
             RIP: 0033:0x456789\n\nAllocated by task 3:\n kiln_get+0x1/0x2\n";
        assert_eq!(of(kasan, 6), ["kiln_put", "x"]);
        assert!(of("nothing of the kind\n", 6).is_empty());
    }

    #[test]
    fn faults_are_named_by_where_they_happened() {
        for (headline, expected) in [
            (
                "BUG: kernel NULL pointer dereference, address: 0000000000000008",
                "BUG: unable to handle kernel NULL pointer dereference in kiln_break",
            ),
            (
                "BUG: unable to handle page fault for address: ffff888000000000",
                "BUG: unable to handle kernel paging request in kiln_break",
            ),
            (
                "general protection fault, probably for non-canonical address: 0000 [#1] SMP",
                "general protection fault in kiln_break",
            ),
            ("divide error: 0000 [#1] PREEMPT SMP", "divide error in kiln_break"),
            ("kernel BUG at fs/kiln.c:77!", "kernel BUG in kiln_break"),
            ("invalid opcode: 0000 [#1] SMP", "invalid opcode in kiln_break"),
            (
                "WARNING: CPU: 1 PID: 77 at fs/kiln.c:77 kiln_break+0x12/0x30",
                "WARNING in kiln_break",
            ),
            (
                "WARNING: CPU: 1 PID: 77 at lib/refcount.c:25 refcount_warn_saturate+0x1/0x2",
                "WARNING: refcount bug in kiln_break",
            ),
            (
                "watchdog: BUG: soft lockup - CPU#1 stuck for 26s! [payload:77]",
                "BUG: soft lockup in kiln_ioctl",
            ),
            (
                "UBSAN: shift-out-of-bounds in fs/kiln.c:7:9",
                "UBSAN: shift-out-of-bounds in kiln_ioctl",
            ),
            (
                "Kernel panic - not syncing: sysrq triggered crash",
                "kernel panic: sysrq triggered crash",
            ),
        ] {
            let console = format!("booting\r\n{}", fault(headline));
            let crash = crash_title(console.as_bytes()).unwrap();
            assert_eq!(crash.title, expected);
            assert_eq!(crash.start, "booting\r\n".len());
            assert!(!crash.corrupted, "{headline}");
        }
    }

    #[test]
    fn the_first_crash_counts_and_noise_does_not() {
        assert_eq!(title("all is well\n"), "");
        assert_eq!(title(""), "");
        let noise = "[ 1.0] ODEBUG: off\n[ 1.0] Unprivileged WARNING: The mand mount option\n";
        assert_eq!(title(noise), "");
        let two = format!(
            "{}{}",
            fault("kernel BUG at fs/kiln.c:77!"),
            fault("Kernel panic - not syncing: Fatal exception")
        );
        assert_eq!(title(&two), "kernel BUG in kiln_break");
    }

    #[test]
    fn a_report_cut_short_is_corrupted() {
        let whole = fault("general protection fault: 0000 [#1] SMP");
        let cut = &whole[..whole.find("Call Trace").unwrap()];
        let crash = crash_title(cut.as_bytes()).unwrap();
        assert_eq!(crash.title, "general protection fault in kiln_break");
        assert!(crash.corrupted);
        let crash = crash_title(b"[    3.0][   T77] BUG: unable to handle kernel\n").unwrap();
        assert_eq!(crash.title, "BUG: unable to handle kernel");
        assert!(crash.corrupted);
    }

    #[test]
    fn a_hung_task_is_named_by_what_it_waits_in() {
        let console = "[ 9.0][ T5] INFO: task payload:77 blocked for more than 143 seconds.\n\
             [ 9.0][ T5] Call Trace:\n\
             [ 9.0][ T5]  __schedule+0x1/0x2\n\
             [ 9.0][ T5]  rwsem_down_write_slowpath+0x1/0x2\n\
             [ 9.0][ T5]  kiln_close+0x1/0x2\n";
        let crash = crash_title(console.as_bytes()).unwrap();
        assert_eq!(crash.title, "INFO: task hung in kiln_close");
        assert_eq!(crash.alternatives, ["hang in kiln_close"]);
        assert_eq!(crash.kind.as_str(), "HANG");
    }

    #[test]
    fn templates_are_filled() {
        let words: [&[u8]; 2] = [b"one", b"two"];
        assert_eq!(fill("A: {2} {1} in {f}", &words, "x"), b"A: two one in x");
        assert_eq!(fill("{9}{f}", &words, "y"), b"y");
        assert_eq!(fill("plain", &words, ""), b"plain");
    }

    #[test]
    fn what_a_symbolizer_put_in_is_passed_over() {
        let console = "BUG: KASAN: use-after-free in atomic_read include/x.h:26 [inline]\n\
             BUG: KASAN: use-after-free in kiln_put+0x12/0x30 fs/kiln.c:7\n\
             Read of size 4 at addr ffff888000000000 by task a/1\n\
             Call Trace:\n __dump_stack lib/dump_stack.c:77 [inline]\n\
             \x20dump_stack+0x1/0x2 lib/dump_stack.c:9\n kiln_put+0x1/0x2 fs/kiln.c:7\n x+0x1/0x2\n";
        assert_eq!(title(console), "KASAN: use-after-free Read in kiln_put");
        let console = "general protection fault: 0000 [#1] SMP\n\
             RIP: 0010:inner fs/kiln.c:5 [inline]\nRIP: 0010:kiln_get+0x1/0x2 fs/kiln.c:9\n\
             Call Trace:\n outer+0x1/0x2 fs/kiln.c:11\n x+0x1/0x2\n";
        assert_eq!(title(console), "general protection fault in kiln_get");
    }

    #[test]
    fn users_add_and_ignore() {
        let mut patterns = Patterns::default();
        patterns.add_title(r"widget: fatal error (\w+)", "widget {1} in {f}").unwrap();
        patterns.ignore("WARNING: .*harmless").unwrap();
        let console = format!(
            "[ 1.0] WARNING: this is harmless\n{}",
            fault("widget: fatal error E12 (harmful)")
        );
        let crash = crash_title_with(console.as_bytes(), &patterns).unwrap();
        assert_eq!(crash.title, "widget E12 in kiln_break");
        assert_eq!(title(&console), "WARNING: this is harmless");
        assert!(patterns.ignore("(").unwrap_err().to_string().contains("'('"));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read(edits in prop::collection::vec((0usize..4000, any::<u8>()), 0..40),
                              cut in 0usize..4000) {
            let mut console: Vec<u8> = [
                fault("BUG: KASAN: use-after-free in kiln_break+0x1/0x2"),
                fault("WARNING: possible circular locking dependency detected"),
                fault("INFO: rcu_sched self-detected stall on CPU"),
            ].concat().into_bytes();
            for (at, byte) in edits {
                let at = at % console.len();
                console[at] = byte;
            }
            console.truncate(cut);
            if let Some(crash) = crash_title(&console) {
                prop_assert!(crash.start <= crash.end && crash.end <= console.len());
                prop_assert!(crash.title.len() <= 120);
                prop_assert!(crash.title.bytes().all(|b| (0x20..0x7f).contains(&b)));
            }
        }
    }
}
