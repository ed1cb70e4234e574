//! Evidence: what was seen when an image ran, counted by image and test.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::digest::Digest;
use crate::signature::ImageId;

/// The identity of a test: reproducer, machine shape and runner version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TestKey(pub Digest);

impl fmt::Display for TestKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What one run showed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Outcome {
    /// Booted, ran the reproducer to its end, and no crash was seen.
    Ok,
    /// The kernel crashed after the reproducer had started.
    Crash {
        /// Crash title, as syzkaller names it.
        title: String,
    },
    /// The kernel never reached the reproducer.
    BootFailure {
        /// Crash title, or what was missing.
        title: String,
    },
    /// The host failed; says nothing about the kernel.
    Infra {
        /// What failed.
        reason: String,
    },
}

/// One run, as it is remembered.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// Unique id: recording a run twice counts it once.
    pub id: Uuid,
    /// What ran.
    pub image: ImageId,
    /// How it was tested.
    pub test: TestKey,
    /// What was seen.
    pub outcome: Outcome,
    /// Wall time in seconds.
    pub seconds: f64,
    /// When it ended, seconds since 1970.
    pub finished: i64,
    /// The console, a blob of the same store.
    pub console: Option<Digest>,
}

/// Runs of one image under one test, counted by outcome.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Runs that ended well.
    pub ok: u32,
    /// Crashes by title.
    pub crashes: BTreeMap<String, u32>,
    /// Boot failures by title.
    pub boot_failures: BTreeMap<String, u32>,
    /// Failures of the host.
    pub infra: u32,
}

impl Counts {
    /// Adds `n` runs of one outcome.
    pub fn add(&mut self, outcome: &Outcome, n: u32) {
        match outcome {
            Outcome::Ok => self.ok += n,
            Outcome::Crash { title } => *self.crashes.entry(title.clone()).or_default() += n,
            Outcome::BootFailure { title } => {
                *self.boot_failures.entry(title.clone()).or_default() += n;
            }
            Outcome::Infra { .. } => self.infra += n,
        }
    }

    /// All runs, whatever they showed.
    pub fn total(&self) -> u32 {
        self.ok
            + self.infra
            + self.crashes.values().sum::<u32>()
            + self.boot_failures.values().sum::<u32>()
    }
}
