//! Functions that never are where a bug is: what finds and reports errors, and what the whole
//! kernel calls. By the part of the kernel that they belong to; `*` stands for anything.
//!
//! The parts come from the kernel's sources (6.1, and older names where the function was renamed);
//! what they leave out is left out on purpose: a file's helpers are plumbing only when their
//! callers hand them what is wrong. `remove_wait_queue` (`kernel/sched/wait.c`), `timerqueue_del`
//! (`lib/timerqueue.c`) or `iov_iter_advance` (`lib/iov_iter.c`), for example, do name bugs.

mod doors;
mod exceptions;
mod library;
mod locking;
mod memory;
mod reporting;

/// A part of the kernel: names of its functions.
type Part = &'static [&'static str];

/// Names of all of them.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    [
        reporting::PARTS,
        exceptions::PARTS,
        memory::PARTS,
        locking::PARTS,
        library::PARTS,
        doors::PARTS,
    ]
    .into_iter()
    .flatten()
    .flat_map(|part| part.iter())
    .copied()
}
