//! Starts children that cannot outlive Kiln, even when Kiln is killed.
//!
//! The kernel sends the parent-death signal when the *thread* that forked ends, and threads of
//! an async runtime come and go. So one thread, which lives as long as the process, does all
//! the forking.

use std::io;
use std::sync::LazyLock;
use std::sync::mpsc::{Sender, channel};

use nix::sys::prctl;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::{Pid, getpid, getppid};
use tokio::process::{Child, Command};
use tokio::runtime::Handle;
use tokio::sync::oneshot;

type Job = Box<dyn FnOnce() + Send>;

static FORKER: LazyLock<io::Result<Sender<Job>>> = LazyLock::new(|| {
    let (sender, jobs) = channel::<Job>();
    std::thread::Builder::new().name("kiln-forker".into()).spawn(move || {
        for job in jobs {
            job();
        }
    })?;
    Ok(sender)
});

/// Starts `command` in a process group of its own. The child is killed when it is dropped, and
/// when this process ends in whatever way.
pub(crate) async fn start(mut command: Command) -> io::Result<Child> {
    let parent = getpid();
    command.kill_on_drop(true).process_group(0);
    // SAFETY: the closure runs between fork and exec and only makes two system calls, which
    // are async-signal-safe; it allocates nothing.
    unsafe {
        command.pre_exec(move || {
            prctl::set_pdeathsig(Signal::SIGKILL)?;
            // The parent may have died before the line above.
            if getppid() == parent { Ok(()) } else { Err(io::ErrorKind::BrokenPipe.into()) }
        });
    }
    let forker = FORKER.as_ref().map_err(|e| io::Error::new(e.kind(), e.to_string()))?;
    let (answer, answered) = oneshot::channel();
    let runtime = Handle::current();
    let job: Job = Box::new(move || {
        let _inside = runtime.enter();
        // A caller that went away drops the child with the answer, which kills it.
        let _ = answer.send(command.spawn());
    });
    let gone = || io::Error::other("the thread that starts processes has ended");
    forker.send(job).map_err(|_| gone())?;
    answered.await.map_err(|_| gone())?
}

/// Kills a child's whole process group when dropped, grandchildren included.
#[derive(Debug)]
pub(crate) struct Group(Option<Pid>);

impl Group {
    /// The group that [`start`] made for this child.
    pub(crate) fn of(child: &Child) -> Self {
        Self(child.id().and_then(|id| i32::try_from(id).ok()).map(Pid::from_raw))
    }

    /// Kills it now.
    pub(crate) fn kill(&mut self) {
        if let Some(group) = self.0.take() {
            // Fails when nobody is left in the group: then there is nothing to do.
            let _ = killpg(group, Signal::SIGKILL);
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.kill();
    }
}

#[cfg(test)]
mod tests {
    use std::process::Stdio;
    use std::time::{Duration, Instant};

    use super::*;

    #[tokio::test]
    async fn group_dies_with_its_guard() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("pid");
        let mut command = Command::new("sh");
        command
            .arg("-c")
            .arg(format!("sleep 600 & echo $! > {0}.new; mv {0}.new {0}; wait", file.display()))
            .stdin(Stdio::null());
        let child = start(command).await.unwrap();
        let group = Group::of(&child);
        let begin = Instant::now();
        while !file.exists() {
            assert!(begin.elapsed() < Duration::from_secs(20));
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let grandchild: i32 = std::fs::read_to_string(&file).unwrap().trim().parse().unwrap();
        drop(group);
        // Gone, or a zombie that nobody has reaped yet.
        loop {
            let stat = std::fs::read_to_string(format!("/proc/{grandchild}/stat"));
            if stat.map_or(true, |s| s.contains(") Z")) {
                break;
            }
            assert!(begin.elapsed() < Duration::from_secs(20), "still alive");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        drop(child);
    }
}
