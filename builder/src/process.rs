//! Running one build step: confined, its output split into lines, and killed whole.

use std::ffi::OsString;
use std::io::{self, BufRead, BufReader};
use std::os::fd::RawFd;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use nix::sys::signal::{Signal, killpg};
use nix::sys::wait::{Id, WaitPidFlag, waitid};
use nix::unistd::Pid;

use crate::sandbox::{Bind, Confinement, Enter};

/// One command to run.
pub(crate) struct Step {
    pub(crate) program: OsString,
    pub(crate) arguments: Vec<OsString>,
    /// The whole environment.
    pub(crate) environment: Vec<(OsString, OsString)>,
    /// Working folder, as seen inside.
    pub(crate) folder: PathBuf,
    pub(crate) binds: Vec<Bind>,
    /// Descriptor that the step and all its descendants keep open.
    pub(crate) kept_open: Option<RawFd>,
    /// Folder of the host that is shown empty inside, where namespaces are to be had.
    pub(crate) hidden: Option<PathBuf>,
}

/// A switch that stops whatever runs under it, for good.
#[derive(Debug, Default)]
pub(crate) struct Cancel {
    cancelled: AtomicBool,
    group: Mutex<Option<Pid>>,
}

impl Cancel {
    /// Stops: kills the process group that runs now, and lets no other start.
    pub(crate) fn cancel(&self) {
        self.cancelled.store(true, Ordering::SeqCst);
        if let Some(group) = *self.group() {
            // It may have ended by itself in this moment; then there is nothing to kill.
            let _ = killpg(group, Signal::SIGKILL);
        }
    }

    /// Whether [`Cancel::cancel`] was called.
    pub(crate) fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::SeqCst)
    }

    fn group(&self) -> std::sync::MutexGuard<'_, Option<Pid>> {
        // The guarded value is one word: a panic elsewhere can't leave it half-written.
        self.group.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// Runs a step to its end and returns its exit code; death by signal n is 128 + n. Each line of
/// its output (both streams, in order of arrival) is given to `line`, without the line end.
///
/// The kernel kills the step when the calling *thread* ends, so that thread must stay for it.
pub(crate) fn run(
    step: Step,
    confinement: &Confinement,
    cancel: &Cancel,
    mut line: impl FnMut(&[u8]) -> io::Result<()> + Send,
) -> io::Result<i32> {
    let enter =
        Enter::new(confinement, &step.binds, &step.folder, step.kept_open, step.hidden.as_deref())?;
    let (output, input) = io::pipe()?;
    let mut command = Command::new(&step.program);
    command.args(&step.arguments).env_clear().envs(step.environment);
    command.stdin(Stdio::null()).stdout(input.try_clone()?).stderr(input);
    // SAFETY: `enter` makes nothing but system calls on memory that was prepared before.
    unsafe { command.pre_exec(move || enter.enter()) };

    let mut group = cancel.group();
    if cancel.is_cancelled() {
        return Err(io::ErrorKind::Interrupted.into());
    }
    let mut child = command.spawn()?;
    let pid = Pid::from_raw(child.id() as i32);
    *group = Some(pid);
    drop(group);
    // The writing ends of the pipe live in `command`; with them open the output never ends.
    drop(command);

    let (status, read) = std::thread::scope(|scope| {
        let reader = scope.spawn(move || each_line(output, &mut line));
        // Waits without reaping, so that the id can't be given to another group before it is
        // forgotten here.
        let ended = waitid(Id::Pid(pid), WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT);
        *cancel.group() = None;
        // What the step left running would hold the pipe open, and could still write.
        let _ = killpg(pid, Signal::SIGKILL);
        let status = ended.map_err(io::Error::from).and_then(|_| child.wait());
        let read = reader
            .join()
            .unwrap_or_else(|_| Err(io::Error::other("the reader of a build's output panicked")));
        (status, read)
    });
    if cancel.is_cancelled() {
        return Err(io::ErrorKind::Interrupted.into());
    }
    let status = status?;
    read?;
    Ok(status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0)))
}

fn each_line(
    output: io::PipeReader,
    line: &mut impl FnMut(&[u8]) -> io::Result<()>,
) -> io::Result<()> {
    let mut output = BufReader::new(output);
    let mut buffer = Vec::new();
    let mut outcome = Ok(());
    loop {
        buffer.clear();
        // Bounded, so that a build that prints no line ends can't fill the memory.
        let read = io::Read::take(&mut output, 1 << 20).read_until(b'\n', &mut buffer)?;
        if read == 0 {
            return outcome;
        }
        let text = buffer.strip_suffix(b"\n").unwrap_or(&buffer);
        // A full disk must not stop the reading: the build would block on a full pipe for ever.
        if outcome.is_ok() {
            outcome = line(text);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::os::fd::AsRawFd;
    use std::time::{Duration, Instant};

    use super::*;
    use crate::recipe::{OBJECTS, SOURCE};
    use crate::sandbox::confinement;

    fn plain() -> Confinement {
        Confinement::Plain { reason: "a test".into() }
    }

    /// Runs a script with a read-only and a writable folder; returns exit code and output.
    fn sh(script: &str, confinement: &Confinement) -> (i32, Vec<String>) {
        let folder = tempfile::tempdir().unwrap();
        let (source, objects) = (folder.path().join("s"), folder.path().join("o"));
        std::fs::create_dir(&source).unwrap();
        std::fs::create_dir(&objects).unwrap();
        let source = Bind { host: source, inside: SOURCE, read_only: true };
        let objects = Bind { host: objects, inside: OBJECTS, read_only: false };
        let step = Step {
            program: "/bin/sh".into(),
            arguments: vec!["-c".into(), script.into()],
            environment: vec![("PATH".into(), "/usr/bin:/bin".into()), ("A".into(), "b".into())],
            folder: confinement.seen(&objects),
            binds: vec![source, objects],
            kept_open: None,
            hidden: None,
        };
        let mut lines = Vec::new();
        let code = run(step, confinement, &Cancel::default(), |line| {
            lines.push(String::from_utf8_lossy(line).into_owned());
            Ok(())
        });
        (code.unwrap(), lines)
    }

    #[test]
    fn exit_codes_and_output_come_through() {
        for confinement in [confinement(), &plain()] {
            assert_eq!(sh("exit 3", confinement).0, 3);
            assert_eq!(sh("kill -TERM $$", confinement).0, 128 + 15);
            let (code, lines) = sh("echo $A; echo two >&2; printf three; umask", confinement);
            assert_eq!((code, lines), (0, vec!["b".into(), "two".into(), "three0022".into()]));
        }
    }

    #[test]
    fn confined_paths_never_differ_and_sources_are_read_only() {
        if let Confinement::Namespaces { .. } = confinement() {
            let (_, lines) = sh("pwd -P; echo x > ok && ls /mnt/kiln; ls /mnt", confinement());
            assert_eq!(lines, ["/mnt/kiln/objects", "objects", "source", "kiln"]);
            let (_, lines) = sh("echo x > ../source/no; ls ../source", confinement());
            assert!(lines.len() == 1 && lines[0].contains("Read-only"), "{lines:?}");
        }
    }

    #[test]
    fn cancelling_kills_every_process_of_a_step() {
        for confinement in [confinement(), &plain()] {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("lock");
            let lock = File::create(&path).unwrap();
            lock.lock().unwrap();
            let bind = Bind { host: folder.path().into(), inside: SOURCE, read_only: false };
            let step = Step {
                program: "/bin/sh".into(),
                arguments: vec!["-c".into(), "sleep 1000 & echo on; sleep 1000".into()],
                environment: vec![("PATH".into(), "/usr/bin:/bin".into())],
                folder: confinement.seen(&bind),
                binds: vec![bind],
                kept_open: Some(lock.as_raw_fd()),
                hidden: None,
            };
            let cancel = Cancel::default();
            let begun = Instant::now();
            let ended = run(step, confinement, &cancel, |_| {
                cancel.cancel();
                Ok(())
            });
            assert_eq!(ended.unwrap_err().kind(), io::ErrorKind::Interrupted);
            // The processes hold the lock too: it is free when the last of them is gone.
            drop(lock);
            let again = File::open(&path).unwrap();
            while again.try_lock().is_err() {
                assert!(begun.elapsed() < Duration::from_secs(60), "something still runs");
                std::thread::sleep(Duration::from_millis(20));
            }
        }
    }

    #[test]
    fn a_step_that_is_cancelled_before_does_not_start() {
        let cancel = Cancel::default();
        cancel.cancel();
        let folder = std::env::temp_dir();
        let step = Step {
            program: "/bin/sh".into(),
            arguments: vec!["-c".into(), "true".into()],
            environment: Vec::new(),
            folder,
            binds: Vec::new(),
            kept_open: None,
            hidden: None,
        };
        let ended = run(step, &plain(), &cancel, |_| Ok(()));
        assert_eq!(ended.unwrap_err().kind(), io::ErrorKind::Interrupted);
    }
}
