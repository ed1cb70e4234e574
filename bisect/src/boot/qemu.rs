//! One QEMU: its command line, its process, and its console until it ends.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::Command;
use tokio::time::timeout;

use super::arch::Arch;
use super::capture::{Capture, Seen};
use super::child::{self, Group};
use super::machine::{Accel, Machine};
use super::outcome::Ended;

/// Most of a console that is kept.
const CONSOLE_LIMIT: usize = 4 << 20;
/// Most of QEMU's own messages that is kept.
const MESSAGES_LIMIT: usize = 16 << 10;
/// How long a machine may take to go down after a panic or after the payload's end.
const DOWN: Duration = Duration::from_secs(10);
/// What init needs around the payload (stopping it, settling, restarting), on a slow emulator.
const AROUND_PAYLOAD: Duration = Duration::from_secs(20);

/// Why no machine was started.
#[derive(Debug, thiserror::Error)]
pub enum QemuError {
    /// The emulator is not installed.
    #[error("{program} is missing: install the Debian package {package}")]
    Missing {
        /// The program that was looked for.
        program: &'static str,
        /// The package that holds it.
        package: &'static str,
    },
    /// The emulator cannot be executed.
    #[error("cannot run {program}: {source}")]
    Start {
        /// The program.
        program: &'static str,
        /// Why.
        source: io::Error,
    },
    /// The kernel or the initramfs cannot be read.
    #[error("cannot boot {path}: {source}")]
    Image {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// What one machine left behind.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) console: Vec<u8>,
    pub(crate) ended: Ended,
    /// Time from power-on to the start marker, where it was seen.
    pub(crate) until_start: Option<Duration>,
}

/// The emulator's version line; an error when it is missing.
pub async fn version(arch: Arch) -> Result<String, QemuError> {
    let program = arch.traits().qemu;
    let output = Command::new(program)
        .arg("--version")
        .kill_on_drop(true)
        .output()
        .await
        .map_err(|e| start_error(arch, e))?;
    Ok(String::from_utf8_lossy(&output.stdout).lines().next().unwrap_or_default().to_owned())
}

/// The kernel's command line on `machine`.
///
/// Anything that is wrong becomes a panic, and a panic becomes a restart at once, which ends
/// QEMU. Every message has its time stamp, which tells it from what the payload prints
/// ([`super::said`]). Parameters that a kernel does not know do no harm.
pub fn kernel_parameters(machine: &Machine) -> String {
    let traits = machine.arch.traits();
    format!(
        "{} {} {} panic=-1 oops=panic panic_on_warn=1 softlockup_panic=1 hung_task_panic=1 \
         sysctl.kernel.panic_on_rcu_stall=1 ignore_loglevel printk.devkmsg=on \
         printk.time=1 random.trust_cpu=on rdinit=/init kiln_run_ms={}",
        traits.console,
        traits.reboot,
        traits.emulation,
        machine.run_timeout.as_millis()
    )
}

fn arguments(kernel: &Path, initramfs: &Path, machine: &Machine) -> Vec<OsString> {
    let traits = machine.arch.traits();
    let accel = match machine.accel {
        Accel::Kvm => "kvm".to_owned(),
        Accel::Tcg if machine.cpus > 1 => "tcg,thread=multi".to_owned(),
        Accel::Tcg => "tcg".to_owned(),
    };
    let cpu = match machine.accel {
        Accel::Kvm => "host",
        Accel::Tcg => "max",
    };
    let mut all: Vec<OsString> = ["-nodefaults", "-no-user-config", "-display", "none"]
        .into_iter()
        .chain(["-no-reboot", "-serial", "stdio", "-monitor", "none"])
        .map(OsString::from)
        .collect();
    let mut option = |name: &str, value: OsString| {
        all.push(name.into());
        all.push(value);
    };
    option("-machine", traits.machine.into());
    option("-accel", accel.into());
    option("-cpu", cpu.into());
    option("-m", machine.memory_mb.to_string().into());
    option("-smp", machine.cpus.to_string().into());
    option("-kernel", kernel.into());
    option("-initrd", initramfs.into());
    option("-append", kernel_parameters(machine).into());
    all
}

/// Boots a kernel and watches it to its end. The machine dies with this future.
pub(crate) async fn boot(
    kernel: &Path,
    initramfs: &Path,
    machine: &Machine,
) -> Result<Finished, QemuError> {
    for path in [kernel, initramfs] {
        // QEMU would say so too, but as a failure of the host among others.
        tokio::fs::File::open(path)
            .await
            .map_err(|source| QemuError::Image { path: path.to_owned(), source })?;
    }
    let mut command = Command::new(machine.arch.traits().qemu);
    command
        .args(arguments(kernel, initramfs, machine))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = child::start(command).await.map_err(|e| start_error(machine.arch, e))?;
    let mut group = Group::of(&child);
    let lost = || start_error(machine.arch, io::Error::other("no pipe to it"));
    let stdout = child.stdout.take().ok_or_else(lost)?;
    let stderr = child.stderr.take().ok_or_else(lost)?;
    let messages = tokio::spawn(read_messages(stderr));
    let watched = watch(stdout, &Limits::of(machine)).await;
    let exit = if watched.closed { timeout(DOWN, child.wait()).await.ok() } else { None };
    group.kill();
    let messages = timeout(DOWN, messages).await.ok().and_then(Result::ok).unwrap_or_default();
    let ended = match exit {
        _ if host_failed(&messages) => Ended::Failed(messages),
        Some(Ok(status)) if !status.success() => {
            Ended::Failed(format!("{}: {status}: {messages}", machine.arch.traits().qemu))
        }
        Some(Err(e)) => Ended::Failed(e.to_string()),
        Some(Ok(_)) => Ended::Stopped,
        None => Ended::TimedOut,
    };
    Ok(Finished { console: watched.capture.finish(), ended, until_start: watched.until_start })
}

/// Messages with which QEMU stops a guest, or starts it wrongly, for a fault of the host.
fn host_failed(messages: &str) -> bool {
    ["KVM internal error", "KVM: entry failed", "error: kvm run failed", "Cannot allocate memory"]
        .iter()
        .any(|sign| messages.contains(sign))
}

struct Watched {
    capture: Capture,
    until_start: Option<Duration>,
    /// QEMU closed the console (it ended), rather than the time being over.
    closed: bool,
}

/// How long each part of a machine's life may take.
struct Limits {
    boot: Duration,
    payload: Duration,
    down: Duration,
}

impl Limits {
    fn of(machine: &Machine) -> Self {
        Self {
            boot: machine.boot_timeout,
            payload: machine.run_timeout + AROUND_PAYLOAD,
            down: DOWN,
        }
    }
}

async fn watch(mut console: impl AsyncRead + Unpin, limits: &Limits) -> Watched {
    let begin = Instant::now();
    let mut capture = Capture::new(CONSOLE_LIMIT);
    let mut seen = Seen::default();
    let mut until_start = None;
    let mut deadline = begin + limits.boot;
    let mut chunk = vec![0; 64 << 10];
    let closed = loop {
        let left = deadline.saturating_duration_since(Instant::now());
        match timeout(left, console.read(&mut chunk)).await {
            Err(_) => break false,
            Ok(Ok(0) | Err(_)) => break true,
            Ok(Ok(n)) => {
                let now = capture.push(&chunk[..n]);
                if now.start && !seen.start {
                    until_start = Some(begin.elapsed());
                    deadline = Instant::now() + limits.payload;
                }
                if (now.end && !seen.end) || (now.panic && !seen.panic) {
                    deadline = deadline.min(Instant::now() + limits.down);
                }
                seen = now;
            }
        }
    };
    Watched { capture, until_start, closed }
}

async fn read_messages(mut stderr: impl AsyncRead + Unpin) -> String {
    let mut capture = Capture::new(MESSAGES_LIMIT);
    let mut chunk = vec![0; 4096];
    while let Ok(n @ 1..) = stderr.read(&mut chunk).await {
        capture.push(&chunk[..n]);
    }
    String::from_utf8_lossy(&capture.finish()).trim().to_owned()
}

fn start_error(arch: Arch, source: io::Error) -> QemuError {
    let traits = arch.traits();
    if source.kind() == io::ErrorKind::NotFound {
        QemuError::Missing { program: traits.qemu, package: traits.qemu_package }
    } else {
        QemuError::Start { program: traits.qemu, source }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn command_line_has_the_machines_shape() {
        let mut machine = Machine::new(Arch::X86_64, Accel::Tcg);
        machine.memory_mb = 300;
        machine.run_timeout = Duration::from_millis(1500);
        let line: Vec<String> = arguments(Path::new("/k"), Path::new("/i"), &machine)
            .iter()
            .map(|s| s.to_string_lossy().into_owned())
            .collect();
        let after = |name: &str| &line[line.iter().position(|w| w == name).unwrap() + 1];
        assert_eq!(after("-m"), "300");
        assert_eq!(after("-cpu"), "max");
        assert_eq!(after("-kernel"), "/k");
        for word in
            ["printk.time=1", "panic=-1", "oops=panic", "panic_on_warn=1", "kiln_run_ms=1500"]
        {
            assert!(after("-append").split(' ').any(|w| w == word), "{word}");
        }
        assert!(line.contains(&"-no-reboot".to_owned()));
        machine.accel = Accel::Kvm;
        assert!(arguments(Path::new("/k"), Path::new("/i"), &machine).contains(&"host".into()));
    }

    #[test]
    fn missing_emulator_names_the_package() {
        let text = start_error(Arch::Aarch64, io::ErrorKind::NotFound.into()).to_string();
        assert!(text.contains("qemu-system-arm"), "{text}");
    }

    fn limits(boot: u64, payload: u64, down: u64) -> Limits {
        let ms = Duration::from_millis;
        Limits { boot: ms(boot), payload: ms(payload), down: ms(down) }
    }

    /// Feeds a console that stays open and tells whether the watch ended within ten seconds.
    async fn ends(text: &str, limits: Limits) -> bool {
        use tokio::io::AsyncWriteExt;
        let (mut guest, host) = tokio::io::duplex(4096);
        guest.write_all(text.as_bytes()).await.unwrap();
        timeout(Duration::from_secs(10), watch(host, &limits)).await.is_ok_and(|w| !w.closed)
    }

    #[tokio::test]
    async fn deadlines_follow_the_markers() {
        use crate::boot::outcome::{END_MARKER, START_MARKER};
        const LONG: u64 = 3_600_000;
        let started = format!("{START_MARKER}\n");
        let ended = format!("{started}{END_MARKER}exit 0\n");
        assert!(ends("Linux\n", limits(50, LONG, LONG)).await);
        assert!(ends(&started, limits(LONG, 50, LONG)).await);
        assert!(ends(&ended, limits(LONG, LONG, 50)).await);
        assert!(ends("Kernel panic - not syncing: x\n", limits(LONG, LONG, 50)).await);
    }
}
