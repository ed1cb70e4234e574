//! The first crash of a console.

use super::clean::clean;
use super::crash::Crash;
use super::describe::describe;
use super::kind::Kind;
use super::titles::MARKERS;
use super::{damage, find, report};

/// A cloud's serial console says this when it ends before the kernel's last words.
const HUNG_UP: &[u8] = b"serialport: VM disconnected.";

/// Finds the first crash that a kernel's console tells of, with its title; none when it tells
/// of none. Never fails: a damaged report gives the best title that can be had, and says so.
pub fn crash_title(console: &[u8]) -> Option<Crash> {
    let markers = &*MARKERS;
    let telling = markers.telling_lines(console);
    let (line, marker) = telling.first().copied()?;
    let starts: Vec<usize> = telling.iter().map(|(line, _)| line.start).collect();
    let report = report::gather(console, line, markers, &starts);
    let own = &report.lines[..report.own];
    let description = describe(&marker.readers, marker.text, own).or_else(|| {
        let raw: Vec<&[u8]> = console[report.start..report.end].split(|b| *b == b'\n').collect();
        describe(&marker.readers, marker.text, &raw)
    })?;
    let title = clean(&description.title);
    let mut alternatives: Vec<String> = Vec::new();
    for other in description.alternatives.iter().map(|other| clean(other)) {
        if other != title && !alternatives.contains(&other) {
            alternatives.push(other);
        }
    }
    alternatives.sort();
    let corrupted = description.damaged
        || damage::torn_title(&title)
        || find(console, HUNG_UP).is_some()
        || (description.traced && damage::traces_missing(&report.lines));
    Some(Crash {
        kind: Kind::of_title(&title),
        title,
        alternatives,
        corrupted,
        start: report.start,
        end: report.end,
    })
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
