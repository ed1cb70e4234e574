//! A file as another one and what is different.
//!
//! Neighbouring kernels differ little in what they do and everywhere in their bytes: one function
//! that grows moves all that follows it, and every call, pointer and table entry that crosses the
//! place changes. A delta of bytes pays for each of them. This one says *how far things moved*
//! instead (a step function over addresses), moves the fields itself, and stores what then still
//! differs:
//!
//! ```text
//! delta = head (one zstd frame) and groups (one zstd frame each)
//! head  = model: runs taken from the base, address ranges of both files, the class of each
//!         page of the base (code, pointers, 32-bit tables, text, …), the steps
//!         groups: how many units each corrects, and its length
//! group = of each unit (1 MiB of the new file): where it differs from its prediction, and by
//!         how much, byte by byte; bytes that no run covers are predicted as zero
//! ```
//!
//! Which parts of the base the runs are is found by their bytes ([`matching`]), and of tables of
//! references by where those lead ([`tables`]).
//!
//! Each unit is predicted and corrected by itself, so a range of the new file is had from the
//! matching ranges of the base, with the memory of a few units. Nothing of it is trusted: whoever
//! unpacks compares with the hash of what was packed.

mod correct;
mod fields;
mod layout;
mod learn;
mod matching;
mod model;
mod shifts;
mod tables;
pub(crate) mod wire;

#[cfg(test)]
mod tests;

pub(crate) use correct::{Delta, Group, Packed, make};

pub(crate) use model::{UNIT, UNIT_LOG2};

/// Stored bytes that are no delta, or one of another version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Damaged;

impl From<wire::Cut> for Damaged {
    fn from(_: wire::Cut) -> Self {
        Self
    }
}
