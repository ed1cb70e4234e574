//! Writing and comparing many files with several threads.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use git2::Odb;

use super::Checkout;
use super::file::{self, Kind};
use crate::error::BuildError;
use crate::tree::Entry;

/// How many files lie between two reports of progress.
const REPORT: u64 = 256;

/// Below this many files one thread is done before a second has opened the repository.
const WORTH_A_THREAD: usize = 64;

/// Writes entries over whatever is there.
pub(super) fn write(checkout: &Checkout<'_>, entries: &[Entry]) -> Result<(), BuildError> {
    let written: Result<Vec<()>, _> = each(checkout, entries, |odb, entries, tick| {
        let mut last_parent: Option<&Path> = None;
        for entry in entries {
            tick()?;
            let parent = entry.path.parent().unwrap_or(Path::new(""));
            if last_parent != Some(parent) {
                file::make_folder(checkout.folder, parent)?;
                last_parent = Some(parent);
            }
            write_one(checkout, odb, entry)?;
        }
        Ok(Vec::new())
    });
    written.map(drop)
}

fn write_one(checkout: &Checkout<'_>, odb: &Odb<'_>, entry: &Entry) -> Result<(), BuildError> {
    let path = checkout.folder.join(&entry.path);
    match Kind::of(entry.mode) {
        Kind::Submodule => file::write(&path, Kind::Submodule, b""),
        kind => {
            let blob = odb.read(entry.id).map_err(|error| checkout.repository.error(error))?;
            file::write(&path, kind, blob.data())
        }
    }
}

/// Counts one item, reports it, and fails when the build is cancelled.
type Tick<'a> = &'a dyn Fn() -> Result<(), BuildError>;

/// Runs `work` over contiguous shares of `items`, a thread and an object database each, and joins
/// what they return. `work` calls its last argument once an item.
pub(super) fn each<'i, T: Sync, R: Send>(
    checkout: &Checkout<'_>,
    items: &'i [T],
    work: impl Fn(&Odb<'_>, &'i [T], Tick<'_>) -> Result<Vec<R>, BuildError> + Sync,
) -> Result<Vec<R>, BuildError> {
    let total = items.len() as u64;
    let done = AtomicU64::new(0);
    let tick = || {
        if checkout.cancel.is_cancelled() {
            return Err(BuildError::Cancelled);
        }
        let count = done.fetch_add(1, Ordering::Relaxed) + 1;
        if count.is_multiple_of(REPORT) || count == total {
            (checkout.progress)(count, total);
        }
        Ok(())
    };
    let share = |items: &'i [T]| {
        let git = checkout.repository.git()?;
        let odb = git.odb().map_err(|error| checkout.repository.error(error))?;
        work(&odb, items, &tick)
    };
    if items.len() < WORTH_A_THREAD {
        return share(items);
    }
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(8);
    std::thread::scope(|scope| {
        let share = &share;
        let running: Vec<_> = items
            .chunks(items.len().div_ceil(threads))
            .map(|items| scope.spawn(move || share(items)))
            .collect();
        let mut all = Vec::new();
        for thread in running {
            match thread.join() {
                Ok(part) => all.extend(part?),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        Ok(all)
    })
}
