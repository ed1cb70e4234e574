//! Whose words stand on a console: the kernel's, or the payload's, which init marks.
//!
//! Init passes on what the payload prints line by line behind [`PREFIX`], through the kernel's log
//! where there is one (`output.c`). A kernel that dies may cut into such a line; its words begin
//! with a time stamp, which init never lets the payload print.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::LazyLock;

use regex::bytes::Regex;

use crate::console::compile;

/// What init puts before each line of the payload.
pub const PREFIX: &str = "KILN> ";

/// Where the payload's part of a line begins: at the line's head or behind the log's own prefix.
static BEGIN: LazyLock<Regex> =
    LazyLock::new(|| compile(r"(?m)(?:^|\[ *[0-9]+\.[0-9]+\](?:\[ *[CT][0-9]+\])? )KILN> "));

/// Where the kernel cuts in.
static STAMP: LazyLock<Regex> = LazyLock::new(|| compile(r"\[ *[0-9]+\.[0-9]+\]"));

/// The console without the payload's words. A line that was all the payload's goes as a whole.
pub fn without_payload(console: &[u8]) -> Cow<'_, [u8]> {
    let mut kept = Vec::new();
    let mut from = 0;
    for part in parts(console) {
        kept.extend_from_slice(&console[from..part.start]);
        let whole =
            kept.last().is_none_or(|b| *b == b'\n') && console.get(part.end) == Some(&b'\n');
        from = part.end + usize::from(whole);
    }
    match from {
        0 => Cow::Borrowed(console),
        _ => {
            kept.extend_from_slice(&console[from..]);
            Cow::Owned(kept)
        }
    }
}

/// The console with blanks instead of the payload's words: every other byte keeps its place.
pub(crate) fn payload_blanked(console: &[u8]) -> Cow<'_, [u8]> {
    let mut blanked = Cow::Borrowed(console);
    for part in parts(console) {
        blanked.to_mut()[part].fill(b' ');
    }
    blanked
}

/// The payload's parts, each with its prefixes and within one line.
fn parts(console: &[u8]) -> impl Iterator<Item = Range<usize>> + '_ {
    let mut from = 0;
    std::iter::from_fn(move || {
        let begin = BEGIN.find_at(console, from)?;
        let line = memchr::memchr(b'\n', &console[begin.end()..])
            .map_or(console.len(), |n| begin.end() + n);
        let cut = STAMP.find(&console[begin.end()..line]).map(|stamp| begin.end() + stamp.start());
        from = cut.unwrap_or(line);
        Some(begin.start()..from)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(console: &str) -> String {
        String::from_utf8(without_payload(console.as_bytes()).into_owned()).unwrap()
    }

    #[test]
    fn only_the_payloads_words_go() {
        let all = "a\r\n[ 1.5] KILN> x\r\n[ 1.5][ T7] KILN> \nKILN> y\n[ 1.6] b\nz KILN> c\n";
        assert_eq!(kept(all), "a\r\n[ 1.6] b\nz KILN> c\n");
        assert_eq!(kept("[ 1.5] KILN> x[ 1.6][  C0] b\nc"), "[ 1.6][  C0] b\nc");
        assert_eq!(kept("half[ 1.5] KILN> x\nc"), "half\nc");
        assert_eq!(kept("KILN> x"), "");
        let blanked = payload_blanked(b"a\n[ 1.5] KILN> x\nb").into_owned();
        assert_eq!(blanked, b"a\n              \nb");
    }

    /// `output.c` itself, run on this host: what a script prints, as the console would show it.
    async fn passed_on(script: &str) -> Option<Vec<String>> {
        use super::super::arch::Arch;
        use super::super::compile::{CompileError, compile_static};
        // As init does it, but for the log: the script is the payload, standard output the console.
        const MAIN: &str = r#"
            #include <stdlib.h>
            #include <sys/wait.h>
            int main(int count, char **words)
            {
                struct output o = { .log = -1, .console = 1 };
                int out[2], rounds = 0;
                pid_t pid;
                if (pipe(out) != 0 || (pid = fork()) < 0)
                    return 1;
                if (pid == 0) {
                    dup2(out[1], 1);
                    dup2(out[1], 2);
                    close(out[0]);
                    close(out[1]);
                    execl("/bin/sh", "sh", "-c", words[1], NULL);
                    _exit(127);
                }
                close(out[1]);
                o.from = out[0];
                while (waitpid(pid, NULL, WNOHANG) == 0)
                    pass_on(&o, 10);
                while (rounds++ < 20)
                    pass_on(&o, 10);
                return 0;
            }"#;
        let dir = tempfile::tempdir().unwrap();
        let source = format!("{}{MAIN}", include_str!("output.c"));
        let arch: Arch = kiln_builder::host_arch().parse().unwrap();
        let program = match compile_static("t.c", source.as_bytes(), arch, dir.path()).await {
            Ok(program) => program,
            Err(error @ CompileError::Missing { .. }) => {
                kiln_skip::skip(kiln_skip::Lack::Program, error);
                return None;
            }
            Err(error) => panic!("{error}"),
        };
        let run = tokio::process::Command::new(program).arg(script).kill_on_drop(true).output();
        let run = tokio::time::timeout(std::time::Duration::from_secs(20), run);
        let output = run.await.expect("a grandchild holds nobody up").unwrap();
        Some(String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect())
    }

    #[tokio::test]
    async fn init_marks_every_line_of_the_payload() {
        let script = "echo 'BUG: a'; echo '[    1.000000] BUG: b' >&2; printf 'c\\000\\r\\n\\nd'; \
                      sleep 25 & head -c 2000 /dev/zero | tr '\\0' x; echo; printf last";
        let Some(lines) = passed_on(script).await else { return };
        assert!(lines.iter().all(|line| line.starts_with(PREFIX) && line.len() < 900), "{lines:?}");
        let text: Vec<&str> = lines.iter().map(|line| &line[PREFIX.len()..]).collect();
        assert_eq!(text[..4], ["BUG: a", "(    1.000000] BUG: b", "c?", ""]);
        assert_eq!(text.last(), Some(&"last"));
        let flood: usize = text.iter().map(|line| line.matches('x').count()).sum();
        assert_eq!(flood, 2000);
        assert_eq!(kept(&(lines.join("\n") + "\n")), "");
    }
}
