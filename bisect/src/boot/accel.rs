//! Which accelerator serves best here, found out by booting.
//!
//! A device node proves nothing: nested KVM may hang, fail on the first instruction, or be
//! slower than translation. So a kernel is booted with each, to the payload's start, and the
//! quicker one that got there is taken.

use std::io;
use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::arch::Arch;
use super::machine::{Accel, Machine};
use super::payload::{self, PayloadError, PayloadKind};
use super::qemu::{self, Finished, QemuError};

/// How long KVM may take to boot a kernel before it is taken for broken.
const KVM_PATIENCE: Duration = Duration::from_secs(20);
/// The same for translation, which is slow with large kernels.
const TCG_PATIENCE: Duration = Duration::from_secs(120);

/// Why the question could not be asked.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// The trivial payload cannot be made.
    #[error(transparent)]
    Payload(#[from] PayloadError),
    /// No emulator, or no kernel.
    #[error(transparent)]
    Qemu(#[from] QemuError),
}

/// The answer, and what it rests on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Probe {
    /// The accelerator to use.
    pub accel: Accel,
    /// One sentence for people.
    pub why: String,
    /// Seconds to the payload's start by KVM, when it got there.
    pub kvm_seconds: Option<f64>,
    /// Seconds to the payload's start by translation, when it got there.
    pub tcg_seconds: Option<f64>,
    /// The host, kernel and emulator that the answer holds for.
    surroundings: String,
}

/// Finds the accelerator for `arch`, by booting `kernel` unless `cache_file` has an answer for
/// this boot of the host and this emulator. Nothing is remembered when `kernel` boots in
/// neither way: that says something of the kernel, not of the host.
pub async fn probe(
    kernel: &Path,
    arch: Arch,
    work_dir: &Path,
    cache_file: &Path,
) -> Result<Probe, ProbeError> {
    let surroundings = surroundings(&qemu::version(arch).await?).await;
    if let Some(known) = read_cache(cache_file, &surroundings).await {
        return Ok(known);
    }
    let decided = |accel, why: &str| Probe {
        accel,
        why: why.to_owned(),
        kvm_seconds: None,
        tcg_seconds: None,
        surroundings: surroundings.clone(),
    };
    let probe = if !arch.is_host() {
        decided(Accel::Tcg, "the guest's architecture is not the host's")
    } else if let Err(e) = open_kvm().await {
        decided(Accel::Tcg, &format!("/dev/kvm cannot be opened: {e}"))
    } else {
        let payload =
            payload::prepare_bytes("probe", b"", PayloadKind::Nothing, arch, work_dir).await?;
        let time = async |accel, patience| {
            let machine = Machine {
                cpus: 1,
                memory_mb: 256,
                boot_timeout: patience,
                run_timeout: Duration::from_secs(1),
                ..Machine::new(arch, accel)
            };
            qemu::boot(kernel, &payload.initramfs, &machine).await.map(seconds_to_start)
        };
        let kvm = time(Accel::Kvm, KVM_PATIENCE).await?;
        let tcg = time(Accel::Tcg, TCG_PATIENCE).await?;
        let (accel, why) = choose(kvm, tcg);
        Probe { kvm_seconds: kvm, tcg_seconds: tcg, ..decided(accel, &why) }
    };
    if probe.kvm_seconds.is_some() || probe.tcg_seconds.is_some() {
        write_cache(cache_file, &probe).await;
    }
    Ok(probe)
}

fn seconds_to_start(finished: Finished) -> Option<f64> {
    finished.until_start.map(|time| time.as_secs_f64())
}

/// Decides from the seconds that each needed.
fn choose(kvm: Option<f64>, tcg: Option<f64>) -> (Accel, String) {
    match (kvm, tcg) {
        (Some(k), Some(t)) if k <= t => (Accel::Kvm, format!("KVM boots in {k:.1} s")),
        (Some(k), Some(t)) => {
            (Accel::Tcg, format!("KVM is slower here than translation ({k:.1} s against {t:.1} s)"))
        }
        (Some(k), None) => (Accel::Kvm, format!("KVM boots in {k:.1} s, translation does not")),
        (None, Some(_)) => (Accel::Tcg, "a boot by KVM does not reach the payload".to_owned()),
        (None, None) => {
            (Accel::Tcg, "the kernel tried boots neither by KVM nor by translation".to_owned())
        }
    }
}

async fn open_kvm() -> io::Result<()> {
    tokio::fs::OpenOptions::new().read(true).write(true).open("/dev/kvm").await.map(|_| ())
}

async fn surroundings(qemu_version: &str) -> String {
    let read = async |path: &str| {
        tokio::fs::read_to_string(path).await.map(|s| s.trim().to_owned()).unwrap_or_default()
    };
    let boot = read("/proc/sys/kernel/random/boot_id").await;
    let release = read("/proc/sys/kernel/osrelease").await;
    format!("boot {boot}, linux {release}, {qemu_version}")
}

async fn read_cache(file: &Path, surroundings: &str) -> Option<Probe> {
    let bytes = tokio::fs::read(file).await.ok()?;
    let probe: Probe = serde_json::from_slice(&bytes).ok()?;
    (probe.surroundings == surroundings).then_some(probe)
}

/// Remembers the answer. A failure costs only another probe, so it is logged and let be.
async fn write_cache(file: &Path, probe: &Probe) {
    let write = async || {
        let dir = file.parent().unwrap_or(Path::new("."));
        tokio::fs::create_dir_all(dir).await?;
        let scratch = tempfile::NamedTempFile::new_in(dir)?;
        tokio::fs::write(scratch.path(), serde_json::to_vec_pretty(probe)?).await?;
        scratch.persist(file).map_err(|e| e.error)?;
        io::Result::Ok(())
    };
    if let Err(error) = write().await {
        tracing::warn!(file = %file.display(), %error, "cannot remember the accelerator");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_the_quicker_one_that_works() {
        assert_eq!(choose(Some(1.0), Some(2.0)).0, Accel::Kvm);
        assert_eq!(choose(Some(9.0), Some(2.0)).0, Accel::Tcg);
        assert_eq!(choose(None, Some(2.0)).0, Accel::Tcg);
        assert_eq!(choose(Some(1.0), None).0, Accel::Kvm);
        assert_eq!(choose(None, None).0, Accel::Tcg);
    }

    #[tokio::test]
    async fn an_answer_holds_for_its_surroundings_only() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("deep/accel.json");
        let probe = Probe {
            accel: Accel::Kvm,
            why: "tried".into(),
            kvm_seconds: Some(1.0),
            tcg_seconds: None,
            surroundings: "here".into(),
        };
        write_cache(&file, &probe).await;
        assert_eq!(read_cache(&file, "here").await, Some(probe));
        assert_eq!(read_cache(&file, "there").await, None);
        std::fs::write(&file, "{").unwrap();
        assert_eq!(read_cache(&file, "here").await, None);
    }
}
