//! Runs one payload on one kernel, once.

use std::path::Path;
use std::time::Instant;

use kiln_cache::evidence::Outcome;

use super::machine::Machine;
use super::outcome::classify;
use super::payload::PreparedPayload;
use super::qemu::{self, QemuError};
use crate::console::Patterns;

/// What one run showed.
#[derive(Clone, Debug)]
pub struct BootReport {
    /// The judgement.
    pub outcome: Outcome,
    /// Everything that the machine, or the host's command, printed, within a bound.
    pub console: Vec<u8>,
    /// Wall time in seconds.
    pub seconds: f64,
}

/// Boots `kernel` (a bzImage or Image) on `machine`, runs the payload and judges the console, with
/// the user's own patterns of crashes.
///
/// Any number may run side by side. Errors mean that nothing was started at all; a machine that
/// started and then failed through the host is [`Outcome::Infra`]. Dropping the future ends the
/// machine.
pub async fn run(
    kernel: &Path,
    payload: &PreparedPayload,
    machine: &Machine,
    patterns: &Patterns,
) -> Result<BootReport, QemuError> {
    let begin = Instant::now();
    let finished = qemu::boot(kernel, &payload.initramfs, machine).await?;
    Ok(BootReport {
        outcome: classify(&finished.console, &finished.ended, patterns),
        console: finished.console,
        seconds: begin.elapsed().as_secs_f64(),
    })
}
