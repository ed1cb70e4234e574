//! What a console and the way it ended mean. Pure: the same bytes give the same outcome.

use kiln_cache::evidence::Outcome;

use super::said;
use crate::console::{self, Patterns, find};

/// The line that init prints before the payload runs.
pub const START_MARKER: &str = "KILN: payload starts";
/// The beginning of the line that init prints after the payload: how it ended follows.
pub const END_MARKER: &str = "KILN: payload ended: ";

/// The beginning of a kernel's first line.
const BANNER: &[u8] = b"Linux version ";

/// What follows the end marker when the payload could not be executed at all.
const NOT_STARTED: &str = "not-started ";

/// Ends of a script that could not do its work: POSIX gives these exit codes when a command can't
/// be executed or is not found. Such a run tells nothing, and must not pass for a good one.
const NOT_DONE: [(&str, &str); 2] = [
    ("exit 126", "the reproducer can't execute a command (exit 126)"),
    ("exit 127", "the reproducer lacks a command (exit 127)"),
];

/// How a test machine came to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    /// The machine restarted or switched off by itself.
    Stopped,
    /// It was still running when its time was over.
    TimedOut,
    /// The emulator failed: its own words.
    Failed(String),
}

/// Titles for machines that say nothing of a crash, as syzkaller words them.
pub const NO_OUTPUT: &str = "no output from test machine";
/// The machine went away without a word.
pub const LOST: &str = "lost connection to test machine";
/// The payload never started.
pub const BOOT_TIMEOUT: &str = "timed out booting";

/// What the kernel and init said since the payload started, of which a run is judged; nothing where it did
/// not start.
fn since_start(console: &[u8]) -> Option<&[u8]> {
    let marker = START_MARKER.as_bytes();
    find(console, marker).map(|at| &console[at + marker.len()..])
}

/// The report of the crash with this title, as a run's console has it: where a run is judged, if it
/// started a payload, and else anywhere. Nothing when no crash there has that title.
pub fn report_of(console: &[u8], title: &str, patterns: &Patterns) -> Option<String> {
    let console = said::without_payload(console);
    let judged = since_start(&console).unwrap_or(&console);
    let crash = console::crash_titled(judged, title, patterns)?;
    Some(String::from_utf8_lossy(&judged[crash.start..crash.end]).into_owned())
}

/// Judges one run, by what the kernel and init said: the payload's own words are left out.
///
/// A crash counts for the payload only when it stands after the start marker; before it, and
/// without the marker, the boot failed. A payload that fails by itself (exit status, signal,
/// time limit) is no crash: reproducers end like that. Only a script that lacks a command, by its
/// exit code, was no test: it counts like a boot that never came to the payload.
pub fn classify(console: &[u8], ended: &Ended, patterns: &Patterns) -> Outcome {
    let silent = console.iter().all(u8::is_ascii_whitespace);
    let console = &*said::without_payload(console);
    let started = since_start(console);
    let judged = match started {
        Some(said) => said,
        // What loads the kernel prints before its banner, in words that look like a restart.
        None => &console[find(console, BANNER).unwrap_or(console.len())..],
    };
    let crash = console::crash_title_with(judged, patterns).map(|crash| crash.title);
    if let (None, Ended::Failed(reason)) = (&crash, ended) {
        return Outcome::Infra { reason: reason.clone() };
    }
    if started.is_none() {
        let other = match ended {
            _ if silent => NO_OUTPUT,
            Ended::TimedOut => BOOT_TIMEOUT,
            _ => LOST,
        };
        return Outcome::BootFailure { title: crash.unwrap_or_else(|| other.to_owned()) };
    }
    if let Some(title) = crash {
        return Outcome::Crash { title };
    }
    match (payload_end(console), ended) {
        (Some(end), _) => match end.strip_prefix(NOT_STARTED) {
            Some(why) => Outcome::Infra { reason: format!("the payload could not start: {why}") },
            None => match NOT_DONE.iter().find(|(code, _)| *code == end) {
                Some((_, title)) => Outcome::BootFailure { title: (*title).to_owned() },
                None => Outcome::Ok,
            },
        },
        (None, Ended::TimedOut) => Outcome::Crash { title: NO_OUTPUT.to_owned() },
        (None, _) => Outcome::Crash { title: LOST.to_owned() },
    }
}

/// How init says that the payload ended (`exit 0`, `signal 11`, `stopped after 5000 ms`), if it
/// came so far.
fn payload_end(console: &[u8]) -> Option<String> {
    let at = find(console, END_MARKER.as_bytes())? + END_MARKER.len();
    let rest = &console[at..];
    let line = rest.split(|b| *b == b'\n' || *b == b'\r').next().unwrap_or(rest);
    Some(String::from_utf8_lossy(line).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const BUG: &str = "\n[    3.1] kernel BUG at mm/slub.c:4023!\n\
        [    3.2] invalid opcode: 0000 [#1] PREEMPT SMP\n\
        [    3.3] RIP: 0010:kfree+0x1/0x2 mm/slub.c:4023\n\
        [    3.4] Call Trace:\n[    3.5]  do_thing+0x1/0x2\n";

    fn judge(console: &str, ended: Ended) -> Outcome {
        classify(console.as_bytes(), &ended, &Patterns::default())
    }

    fn boot_failure(title: &str) -> Outcome {
        Outcome::BootFailure { title: title.into() }
    }

    fn crash(title: &str) -> Outcome {
        Outcome::Crash { title: title.into() }
    }

    #[test]
    fn before_the_start_marker() {
        assert_eq!(judge("", Ended::TimedOut), boot_failure(NO_OUTPUT));
        assert_eq!(judge("\r\n", Ended::Stopped), boot_failure(NO_OUTPUT));
        assert_eq!(judge("Linux version 6\n", Ended::TimedOut), boot_failure(BOOT_TIMEOUT));
        assert_eq!(judge("Linux version 6\n", Ended::Stopped), boot_failure(LOST));
        assert_eq!(judge("\nBooting the kernel.\n", Ended::Stopped), boot_failure(LOST));
        let booting = format!("Decompressing Linux...\nBooting the kernel.\nLinux version 6{BUG}");
        let Outcome::BootFailure { title } = judge(&booting, Ended::Stopped) else { panic!() };
        assert!(title.starts_with("kernel BUG"), "{title}");
    }

    #[test]
    fn after_the_start_marker() {
        let started = format!("Linux\n{START_MARKER}\n");
        let Outcome::Crash { title } = judge(&format!("{started}{BUG}"), Ended::Stopped) else {
            panic!()
        };
        assert!(title.starts_with("kernel BUG"), "{title}");
        assert_eq!(judge(&started, Ended::TimedOut), crash(NO_OUTPUT));
        assert_eq!(judge(&started, Ended::Stopped), crash(LOST));
        for end in ["exit 0", "exit 1", "signal 11", "stopped after 5 ms", "none"] {
            let console = format!("{started}{END_MARKER}{end}\r\n");
            assert_eq!(judge(&console, Ended::Stopped), Outcome::Ok);
            assert_eq!(judge(&console, Ended::TimedOut), Outcome::Ok);
            assert_eq!(payload_end(console.as_bytes()).unwrap(), end);
        }
    }

    #[test]
    fn the_users_own_patterns_count() {
        let mut patterns = Patterns::default();
        patterns.ignore("WARNING: fine").unwrap();
        patterns.add_title("widget: broken", "widget broken").unwrap();
        let judge = |text: &str| {
            let console = format!("{START_MARKER}\n{text}\n{END_MARKER}exit 0\n");
            classify(console.as_bytes(), &Ended::Stopped, &patterns)
        };
        assert_eq!(judge("[    3.1] WARNING: fine"), Outcome::Ok);
        assert_eq!(judge("[    3.1] widget: broken"), crash("widget broken"));
    }

    #[test]
    fn the_report_of_a_run_is_that_of_its_own_crash() {
        let warns = "[    3.0] WARNING: CPU: 0 PID: 1 at a.c:1 other+0x1/0x2\n";
        let title = |text: &str, patterns: &Patterns| match classify(
            text.as_bytes(),
            &Ended::Stopped,
            patterns,
        ) {
            Outcome::Crash { title } => title,
            other => panic!("{other:?}"),
        };
        let mut patterns = Patterns::default();
        patterns.ignore("WARNING: .* other").unwrap();
        // Another crash before the payload started, and one that the user's patterns leave out.
        for (console, patterns) in [
            (format!("Linux\n{BUG}{START_MARKER}\n{BUG}"), Patterns::default()),
            (format!("Linux\n{warns}{START_MARKER}\n{warns}{BUG}"), patterns),
        ] {
            let title = title(&console, &patterns);
            for patterns in [&patterns, &Patterns::default()] {
                let report = report_of(console.as_bytes(), &title, patterns).unwrap();
                assert!(report.starts_with("[    3.1] kernel BUG at mm/slub.c"), "{report}");
            }
            assert_eq!(report_of(console.as_bytes(), "KASAN: x", &patterns), None);
        }
        // What a command says has no start.
        let output = format!("make: ok\n{BUG}");
        assert!(report_of(output.as_bytes(), &title_of_bug(), &Patterns::default()).is_some());
    }

    fn title_of_bug() -> String {
        console::crash_title(BUG.as_bytes()).unwrap().title
    }

    #[test]
    fn a_crash_beats_the_end_marker_and_an_earlier_one_does_not() {
        let late = format!("{START_MARKER}\n{END_MARKER}exit 0\n{BUG}");
        assert!(matches!(judge(&late, Ended::Stopped), Outcome::Crash { .. }));
        let early = format!("{BUG}{START_MARKER}\n{END_MARKER}exit 0\n");
        assert_eq!(judge(&early, Ended::Stopped), Outcome::Ok);
    }

    #[test]
    fn the_payloads_words_are_not_the_kernels() {
        let says = |stamp: &str, text: &str| {
            format!(
                "{START_MARKER}\n{stamp}KILN> WARNING: CPU: 0 PID: 1 at x.c:1 f+0x1/0x2\n\
                 {stamp}KILN> panic: {text}\n{stamp}KILN> {END_MARKER}exit 0\n"
            )
        };
        for stamp in ["", "[    3.141592] ", "[    3.141592][   T77] "] {
            let console = says(stamp, "runtime error") + END_MARKER + "exit 1\n";
            assert_eq!(judge(&console, Ended::Stopped), Outcome::Ok, "{stamp}");
            // Nor does its claim to have ended count.
            assert_eq!(judge(&says(stamp, "x"), Ended::TimedOut), crash(NO_OUTPUT), "{stamp}");
        }
    }

    #[test]
    fn a_kernel_that_cuts_into_the_payloads_line_is_heard() {
        let console = format!(
            "{START_MARKER}\n[    3.000000] KILN> WARNING: all[    3.100000] kernel BUG at \
             mm/slub.c:4023!\n[    3.2] RIP: 0010:kfree+0x1/0x2\n"
        );
        let Outcome::Crash { title } = judge(&console, Ended::Stopped) else { panic!() };
        assert!(title.starts_with("kernel BUG"), "{title}");
    }

    #[test]
    fn a_script_that_lacks_a_command_is_no_good_run() {
        for code in [126, 127] {
            let console = format!("{START_MARKER}\nsh: x: not found\n{END_MARKER}exit {code}\n");
            let Outcome::BootFailure { title } = judge(&console, Ended::Stopped) else { panic!() };
            assert!(title.contains(&code.to_string()), "{title}");
        }
    }

    #[test]
    fn the_hosts_failures_say_nothing_of_the_kernel() {
        let failed = || Ended::Failed("qemu: out of memory".into());
        assert!(matches!(judge("", failed()), Outcome::Infra { .. }));
        assert!(matches!(judge(START_MARKER, failed()), Outcome::Infra { .. }));
        let console = format!("{START_MARKER}\n{END_MARKER}not-started Exec format error\n");
        assert!(matches!(judge(&console, Ended::Stopped), Outcome::Infra { .. }));
        let console = format!("{START_MARKER}\n{BUG}");
        assert!(matches!(judge(&console, failed()), Outcome::Crash { .. }));
    }
}
