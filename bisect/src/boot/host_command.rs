//! A test that is a command on the host, in the manner of `git bisect run`.

use std::collections::BTreeMap;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};

use kiln_cache::digest::Digest;
use kiln_cache::evidence::{Outcome, TestKey};
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe;
use tokio::process::Command;
use tokio::time::timeout;

use super::capture::Capture;
use super::child::{self, Group};
use super::machine;
use super::runner::BootReport;

const OUTPUT_LIMIT: usize = 4 << 20;
/// How long output is awaited from a command that has ended.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// Title of what a command finds: it knows one way to fail.
pub const COMMAND_FAILED: &str = "command failed";

/// A command that judges a build.
#[derive(Clone, Debug)]
pub struct HostCommand {
    /// Shell text, run by `sh -c`.
    pub command: String,
    /// Where it runs; the current folder when absent.
    pub folder: Option<PathBuf>,
    /// Longest time that it may take.
    pub timeout: Duration,
    /// Files that the command names, from [`named_files`].
    files: BTreeMap<String, Digest>,
}

/// A file that a command names, and that can't be read.
#[derive(Debug, thiserror::Error)]
#[error("the command names {path}, which can't be read: {source}")]
pub struct NamedFileError {
    path: PathBuf,
    source: io::Error,
}

/// What the command is told about the build, in its environment.
#[derive(Clone, Debug)]
pub struct BuildPaths {
    /// `KILN_COMMIT`: the commit.
    pub commit: String,
    /// `KILN_ARTIFACTS`: folder of all artifacts.
    pub artifacts: PathBuf,
    /// `KILN_BZIMAGE`, when the build has one: the bootable image, whatever its architecture calls
    /// it.
    pub bzimage: Option<PathBuf>,
    /// `KILN_VMLINUX`, when the build has one.
    pub vmlinux: Option<PathBuf>,
}

/// How the reason begins when a command was given up.
pub(crate) const RAN_LONGER: &str = "the command ran longer than";

impl HostCommand {
    /// A command as it stands now: reads the files that it names.
    ///
    /// # Errors
    /// When such a file can't be read.
    pub fn new(
        command: String,
        folder: Option<PathBuf>,
        timeout: Duration,
    ) -> Result<Self, NamedFileError> {
        let files = named_files(&command, folder.as_deref().unwrap_or(Path::new(".")))?;
        Ok(Self { command, folder, timeout, files })
    }

    /// The identity of this test: the command's text, its folder, its time limit, and the content
    /// that the files it names had when it was made ready. What those read in turn is not seen.
    pub fn test_key(&self) -> TestKey {
        let folder = self.folder.as_deref().unwrap_or(Path::new("."));
        let mut surroundings =
            format!("host folder={} timeout_ms={}", folder.display(), self.timeout.as_millis());
        for (word, content) in &self.files {
            surroundings.push_str(&format!("\nfile {content} {word}"));
        }
        machine::keyed(&Digest::of(self.command.as_bytes()), &surroundings)
    }

    /// Runs it once. Exit status 0 is a good run; 1-124 a crash; 125 a build that cannot be
    /// tested; anything else, a signal, or the time limit is a failure of the host.
    pub async fn run(&self, build: &BuildPaths) -> BootReport {
        let begin = Instant::now();
        let mut capture = Capture::new(OUTPUT_LIMIT);
        let outcome = match self.carry_out(build, &mut capture).await {
            Ok(Some(status)) => judge(status),
            Ok(None) => {
                let seconds = self.timeout.as_secs_f64();
                Outcome::Infra { reason: format!("{RAN_LONGER} {seconds} s") }
            }
            Err(e) => Outcome::Infra { reason: format!("cannot run '{}': {e}", self.command) },
        };
        let seconds = begin.elapsed().as_secs_f64();
        BootReport { outcome, console: capture.finish(), seconds }
    }

    /// The exit status; none when its time was over.
    async fn carry_out(
        &self,
        build: &BuildPaths,
        capture: &mut Capture,
    ) -> io::Result<Option<ExitStatus>> {
        let (reader, writer) = io::pipe()?;
        let mut command = Command::new("sh");
        command.arg("-c").arg(&self.command).stdin(Stdio::null());
        command.stdout(writer.try_clone()?).stderr(writer);
        command.env("KILN_COMMIT", &build.commit).env("KILN_ARTIFACTS", &build.artifacts);
        for (name, path) in [("KILN_BZIMAGE", &build.bzimage), ("KILN_VMLINUX", &build.vmlinux)] {
            match path {
                Some(path) => command.env(name, path),
                None => command.env_remove(name),
            };
        }
        if let Some(folder) = &self.folder {
            command.current_dir(folder);
        }
        let mut output = nonblocking(reader)?;
        let mut child = child::start(command).await?;
        let mut group = Group::of(&child);
        let mut chunk = vec![0; 16 << 10];
        let deadline = tokio::time::sleep(self.timeout);
        tokio::pin!(deadline);
        let mut open = true;
        let status = loop {
            tokio::select! {
                read = output.read(&mut chunk), if open => match read {
                    Ok(0) | Err(_) => open = false,
                    Ok(n) => { capture.push(&chunk[..n]); }
                },
                status = child.wait() => break Some(status?),
                () = &mut deadline => break None,
            }
        };
        // Whatever it left running must not disturb the next run, nor hold the pipe open.
        group.kill();
        let drain = async {
            while let Ok(n @ 1..) = output.read(&mut chunk).await {
                capture.push(&chunk[..n]);
            }
        };
        let _ = timeout(LAST_WORDS, drain).await;
        Ok(status)
    }
}

/// The content of every regular file that a word of a command names, relative to its folder: the
/// script that does the work, above all. Words are what stands between blanks, quotes and the
/// shell's signs, and what stands between quotes; what the shell would only put together
/// (variables, patterns) is not found.
fn named_files(command: &str, folder: &Path) -> Result<BTreeMap<String, Digest>, NamedFileError> {
    let bare = command.split(|c: char| c.is_whitespace() || ";|&()<>\"'`=".contains(c));
    let quoted = command.split(['"', '\'']);
    let mut files = BTreeMap::new();
    for word in bare.chain(quoted).filter(|word| !word.is_empty()) {
        let path = folder.join(word);
        if !files.contains_key(word) && path.is_file() {
            let content =
                Digest::of_file(&path).map_err(|source| NamedFileError { path, source })?;
            files.insert(word.to_owned(), content);
        }
    }
    Ok(files)
}

fn nonblocking(reader: io::PipeReader) -> io::Result<pipe::Receiver> {
    pipe::Receiver::from_owned_fd(reader.into())
}

fn judge(status: ExitStatus) -> Outcome {
    match (status.code(), status.signal()) {
        (Some(0), _) => Outcome::Ok,
        (Some(1..=124), _) => Outcome::Crash { title: COMMAND_FAILED.to_owned() },
        (Some(125), _) => Outcome::BootFailure { title: "command said skip (125)".to_owned() },
        (Some(126), _) => infra("the command cannot be executed (126)".to_owned()),
        (Some(127), _) => infra("the command was not found (127)".to_owned()),
        (Some(code), _) => infra(format!("the command ended with status {code}")),
        (None, Some(signal)) => infra(format!("the command was ended by signal {signal}")),
        (None, None) => infra("the command ended in an unknown way".to_owned()),
    }
}

fn infra(reason: String) -> Outcome {
    Outcome::Infra { reason }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command(text: &str) -> HostCommand {
        HostCommand::new(text.into(), None, Duration::from_secs(30)).unwrap()
    }

    fn build() -> BuildPaths {
        BuildPaths {
            commit: "c0ffee".into(),
            artifacts: "/a".into(),
            bzimage: Some("/a/bzImage".into()),
            vmlinux: None,
        }
    }

    async fn run(text: &str) -> BootReport {
        command(text).run(&build()).await
    }

    #[tokio::test]
    async fn exit_codes_mean_what_git_says() {
        assert_eq!(run("exit 0").await.outcome, Outcome::Ok);
        for code in [1, 2, 124] {
            let outcome = run(&format!("exit {code}")).await.outcome;
            assert_eq!(outcome, Outcome::Crash { title: "command failed".into() });
        }
        let skip = run("exit 125").await.outcome;
        assert_eq!(skip, Outcome::BootFailure { title: "command said skip (125)".into() });
        for text in ["exit 126", "exit 127", "exit 128", "exit 255", "kill -9 $$", "/no/such"] {
            assert!(matches!(run(text).await.outcome, Outcome::Infra { .. }), "{text}");
        }
    }

    #[tokio::test]
    async fn tells_about_the_build_and_keeps_the_output() {
        let report = run(
            "echo $KILN_COMMIT $KILN_ARTIFACTS $KILN_BZIMAGE ${KILN_VMLINUX-none}; echo two >&2",
        )
        .await;
        assert_eq!(String::from_utf8(report.console).unwrap(), "c0ffee /a /a/bzImage none\ntwo\n");
    }

    #[tokio::test]
    async fn stops_at_the_time_limit_and_does_not_wait_for_the_forgotten() {
        let slow = HostCommand { timeout: Duration::from_millis(200), ..command("sleep 60") };
        let report = slow.run(&build()).await;
        assert!(matches!(report.outcome, Outcome::Infra { .. }));
        assert!(report.seconds < 20.0, "{}", report.seconds);
        let report = run("sleep 60 & exit 3").await;
        assert!(matches!(report.outcome, Outcome::Crash { .. }));
        assert!(report.seconds < 20.0, "{}", report.seconds);
    }

    #[test]
    fn key_is_the_command_and_its_limits() {
        let a = command("true");
        assert_eq!(a.test_key(), a.clone().test_key());
        assert_ne!(a.test_key(), command("false").test_key());
        let longer = HostCommand { timeout: Duration::from_secs(31), ..a.clone() };
        assert_ne!(a.test_key(), longer.test_key());
    }

    #[test]
    fn key_is_the_script_that_the_command_runs() {
        let dir = tempfile::tempdir().unwrap();
        for (text, name) in [("sh ./check.sh -v; true", "check.sh"), ("sh 'a b.sh'", "a b.sh")] {
            let key = || {
                let folder = Some(dir.path().to_owned());
                HostCommand::new(text.into(), folder, Duration::from_secs(1)).unwrap().test_key()
            };
            let missing = key();
            std::fs::write(dir.path().join(name), "exit 0").unwrap();
            let first = key();
            assert_eq!(first, key());
            std::fs::write(dir.path().join(name), "exit 1").unwrap();
            assert!(first != missing && first != key(), "{text}");
        }
    }
}
