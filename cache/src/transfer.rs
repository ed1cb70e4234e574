//! What to bring from one store to another, and what came of it.

use std::collections::BTreeSet;

use serde::Serialize;

use crate::input::InputKey;
use crate::verify::Problem;

/// A part of a store.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    /// These builds, with their names and the runs of their images; `None`: all of them, and all
    /// runs.
    pub builds: Option<BTreeSet<InputKey>>,
    /// These journals; `None`: all of them.
    pub journals: Option<BTreeSet<String>>,
}

/// What a transfer is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransferPhase {
    /// Bringing builds.
    Builds,
    /// Bringing runs.
    Runs,
    /// Bringing journals.
    Journals,
}

/// How far a transfer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TransferProgress {
    /// What it is doing.
    pub phase: TransferPhase,
    /// Builds, runs or journals done.
    pub done: u64,
    /// Builds, images or journals in all.
    pub total: u64,
}

/// What a transfer brought.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct TransferReport {
    /// Builds that are new there.
    pub builds: u64,
    /// Builds that were there already.
    pub builds_known: u64,
    /// Of those, the ones that are another kernel there, from the same input: they stay.
    pub builds_otherwise: u64,
    /// Of the new ones, those that came without debug information that had been let go of: with the
    /// names that they had, which nothing can be made again of.
    pub builds_without_debug: u64,
    /// Builds that stayed behind, as an audit left them in doubt, here or there: they are to be built
    /// anew where they are asked for.
    pub builds_in_doubt: u64,
    /// Plain bytes of the files of the new ones.
    pub bytes: u64,
    /// Runs that are new there.
    pub runs: u64,
    /// Runs that were there already.
    pub runs_known: u64,
    /// Journals that are new there, or longer than before.
    pub journals: u64,
    /// Journals that were there already.
    pub journals_known: u64,
    /// What was not brought, and why.
    pub problems: Vec<Problem>,
}
