//! The test, made ready in two steps: before a kernel is built, and with the first one.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use kiln_cache::{Digest, Manifest, Store};

use super::error::BisectError;
use super::setup::blocking;
use crate::boot::{self, Arch, HostCommand, Machine, PayloadKind, PreparedPayload};
use crate::console::Patterns;
use crate::record::{Limits, TestSpec};
use crate::tester::{Tester, place_kernel};

/// The test as far as it can be made without a kernel.
pub(crate) enum Prepared {
    Payload(PreparedPayload),
    Command { command: String, folder: PathBuf },
}

impl Prepared {
    /// Compiles a reproducer, so that one that does not compile is told before a kernel is built.
    pub(crate) async fn new(test: &TestSpec, work: &Path) -> Result<Self, BisectError> {
        match test {
            TestSpec::Command { command, folder } => {
                Ok(Self::Command { command: command.clone(), folder: folder.clone() })
            }
            TestSpec::Reproducer { path, digest } => {
                let content = tokio::fs::read(path)
                    .await
                    .map_err(|source| BisectError::Io { path: path.clone(), source })?;
                if Digest::of(&content) != *digest {
                    return Err(BisectError::Changed { path: path.clone() });
                }
                let arch: Arch = kiln_builder::host_arch().parse()?;
                boot::qemu::version(arch).await?;
                let kind = PayloadKind::of_file(path);
                Ok(Self::Payload(boot::prepare(path, kind, arch, &work.join("boot")).await?))
            }
        }
    }

    /// The test of kernels like the one of `manifest`, which shows whether KVM works here. Kernels
    /// under test are put into `kernels`.
    pub(crate) async fn tester(
        &self,
        limits: &Limits,
        store: &Store,
        work: &Path,
        kernels: &Path,
        manifest: &Manifest,
        patterns: &Arc<Patterns>,
    ) -> Result<Tester, BisectError> {
        let run_timeout = Duration::from_secs(limits.run_timeout);
        match self {
            Self::Command { command, folder } => {
                let (command, folder) = (command.clone(), Some(folder.clone()));
                let command =
                    blocking(move || Ok(HostCommand::new(command, folder, run_timeout)?)).await?;
                Ok(Tester::Host(command))
            }
            Self::Payload(payload) => {
                let kernel = place_kernel(store, manifest, payload.arch, kernels).await?;
                let work = work.join("boot");
                let known = work.join("accel.json");
                let probe = boot::probe(&kernel, payload.arch, &work, &known).await?;
                Ok(Tester::Vm {
                    machine: Machine {
                        arch: payload.arch,
                        accel: probe.accel,
                        memory_mb: limits.memory_mb,
                        cpus: limits.cpus,
                        boot_timeout: Duration::from_secs(limits.boot_timeout),
                        run_timeout,
                    },
                    payload: payload.clone(),
                    patterns: Arc::clone(patterns),
                })
            }
        }
    }
}
