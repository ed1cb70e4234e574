//! The shape of the test machine, and the key under which evidence of a test is kept.

use std::time::Duration;

use kiln_cache::digest::Digest;
use kiln_cache::evidence::TestKey;
use serde::{Deserialize, Serialize};

use super::arch::Arch;
use crate::console::Patterns;

/// Version of how tests are run: the init program, kernel parameters, markers and
/// classification. It is part of every test key, so raise it whenever a change could make the
/// same kernel give another outcome.
pub const RUNNER_VERSION: u32 = 5;

/// Who executes the guest's instructions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Accel {
    /// The processor, through Linux's KVM.
    Kvm,
    /// QEMU's own translator: slower, works everywhere.
    Tcg,
}

impl Accel {
    /// The name, as QEMU spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Kvm => "kvm",
            Self::Tcg => "tcg",
        }
    }
}

/// The machine that a kernel is tested on, and how long it may take.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Machine {
    /// Architecture of the guest.
    pub arch: Arch,
    /// How it is executed.
    pub accel: Accel,
    /// Memory in MiB.
    pub memory_mb: u32,
    /// Virtual processors.
    pub cpus: u32,
    /// Longest time until the payload starts; after it the boot has failed.
    pub boot_timeout: Duration,
    /// Longest time that the payload runs; after it the payload is stopped, which is no failure.
    pub run_timeout: Duration,
}

impl Machine {
    /// A machine of common shape: 512 MiB, two processors, two minutes to boot and one minute
    /// for the payload.
    pub fn new(arch: Arch, accel: Accel) -> Self {
        Self {
            arch,
            accel,
            memory_mb: 512,
            cpus: 2,
            boot_timeout: Duration::from_secs(120),
            run_timeout: Duration::from_secs(60),
        }
    }

    /// One line that says everything about this machine that can change an outcome.
    pub fn canonical(&self) -> String {
        format!(
            "arch={} accel={} memory_mb={} cpus={} boot_timeout_ms={} run_timeout_ms={}",
            self.arch,
            self.accel.as_str(),
            self.memory_mb,
            self.cpus,
            self.boot_timeout.as_millis(),
            self.run_timeout.as_millis()
        )
    }
}

/// The identity of a test: what runs (`payload`, see `PreparedPayload::digest`), on which
/// machine, by which version of the runner, with which patterns of the user's.
pub fn test_key(payload: &Digest, machine: &Machine, patterns: &Patterns) -> TestKey {
    let mut surroundings = machine.canonical();
    if let Some(patterns) = patterns.canonical() {
        surroundings = format!("{surroundings}\npatterns={patterns}");
    }
    keyed(payload, &surroundings)
}

/// The key of a test whose surroundings are described by one canonical line.
pub(crate) fn keyed(payload: &Digest, surroundings: &str) -> TestKey {
    let text = format!("kiln test\nrunner={RUNNER_VERSION}\npayload={payload}\n{surroundings}\n");
    TestKey(Digest::of(text.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_depends_on_every_part() {
        let payload = Digest::of(b"a");
        let base = Machine::new(Arch::X86_64, Accel::Tcg);
        let plain = Patterns::default();
        let mut own = Patterns::default();
        own.ignore("x").unwrap();
        let mut keys = vec![
            test_key(&payload, &base, &plain),
            test_key(&Digest::of(b"b"), &base, &plain),
            test_key(&payload, &base, &own),
        ];
        let changes: [fn(&mut Machine); 6] = [
            |m| m.arch = Arch::Aarch64,
            |m| m.accel = Accel::Kvm,
            |m| m.memory_mb += 1,
            |m| m.cpus += 1,
            |m| m.boot_timeout += Duration::from_millis(1),
            |m| m.run_timeout += Duration::from_millis(1),
        ];
        for change in changes {
            let mut machine = base.clone();
            change(&mut machine);
            keys.push(test_key(&payload, &machine, &plain));
        }
        let mut unique = keys.clone();
        unique.sort();
        unique.dedup();
        assert_eq!(unique.len(), keys.len());
        assert_eq!(test_key(&payload, &base.clone(), &plain), keys[0]);
    }
}
