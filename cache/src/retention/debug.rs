//! Debug information: of all that a build holds the largest part, and the one that it does without.
//! A kernel boots, and is what it is, when its `vmlinux` is gone.

use std::collections::{HashMap, HashSet};

use crate::blob::reader::BlobReader;
use crate::digest::Digest;
use crate::error::StoreError;
use crate::input::InputKey;
use crate::manifest::Artifact;
use crate::store::Store;

use super::needed::Shelf;
use super::policy::{Known, Policy, Reason};
use super::report::LetGo;

/// What stays of a blob that is let go of, in bytes.
pub(super) const NAME: u64 = 72;

/// Longest table of section names that is looked at: kernels have a few kilobytes.
const NAMES: u64 = 4 << 20;

/// What there is to choose from.
pub(super) struct Choice<'a> {
    pub(super) policy: &'a Policy,
    /// In the order in which they go; those with a reason go whole.
    pub(super) order: &'a [(&'a Known, Option<Reason>)],
    pub(super) files: &'a HashMap<InputKey, Vec<Artifact>>,
    pub(super) shelf: &'a Shelf,
    /// Blobs that something needs.
    pub(super) needed: &'a HashSet<Digest>,
    /// Of these, the ones that nothing may take.
    pub(super) kept: &'a HashSet<Digest>,
    /// When any of the builds that name a file was last used.
    pub(super) last_use: &'a HashMap<Digest, i64>,
    pub(super) now: i64,
}

/// For each file, when any of the builds that name it was last used.
pub(super) fn last_uses(
    builds: &[Known],
    files: &HashMap<InputKey, Vec<Artifact>>,
) -> HashMap<Digest, i64> {
    let mut newest = HashMap::new();
    for build in builds {
        for file in files.get(&build.key).into_iter().flatten() {
            let last = newest.entry(file.digest).or_insert(build.last_use);
            *last = build.last_use.max(*last);
        }
    }
    newest
}

impl Store {
    /// Chooses the files with debug information that go, `bytes` being what the store takes. A file
    /// stays while others that stay rest on it; one that several builds share is as old as the use of
    /// the last of them.
    pub(super) async fn choose_debug(
        &self,
        choice: &Choice<'_>,
        mut bytes: u64,
    ) -> Result<Vec<LetGo>, StoreError> {
        let Choice { policy, shelf, needed, .. } = choice;
        let rested = shelf.rested_by();
        let (mut found, mut chosen) = (Vec::new(), HashSet::new());
        let mut looked_at: HashMap<Digest, bool> = HashMap::new();
        if !policy.debug_first && policy.debug_age.is_none() {
            return Ok(found);
        }
        // Each round may free what others rested on.
        loop {
            let before = found.len();
            for (build, _) in choice.order.iter().filter(|(_, reason)| reason.is_none()) {
                for file in choice.files.get(&build.key).into_iter().flatten() {
                    let (last_use, now) = (build.last_use, choice.now);
                    let Some(reason) = policy.debug_goes(last_use, now, bytes) else { break };
                    // Its turn comes with the other build.
                    if choice.last_use.get(&file.digest).is_some_and(|last| *last > last_use) {
                        continue;
                    }
                    let Some(blob) = shelf.blobs.get(&file.digest) else { continue };
                    let stays = |it: &Digest| needed.contains(it) && !chosen.contains(it);
                    let is_base = rested.get(&file.digest).is_some_and(|by| by.iter().any(stays));
                    if !stays(&file.digest)
                        || choice.kept.contains(&file.digest)
                        || blob.bytes <= NAME
                        || is_base
                        || !may_have_it(&file.name)
                    {
                        continue;
                    }
                    let has_it = match looked_at.get(&file.digest) {
                        Some(known) => *known,
                        None => self.has_debug_info(file).await?,
                    };
                    looked_at.insert(file.digest, has_it);
                    if has_it {
                        chosen.insert(file.digest);
                        bytes -= blob.bytes - NAME;
                        found.push(LetGo {
                            build: build.key,
                            commit: build.commit.clone(),
                            name: file.name.clone(),
                            digest: file.digest,
                            size: file.size,
                            freed: blob.bytes - NAME,
                            reason,
                        });
                    }
                }
            }
            if found.len() == before {
                return Ok(found);
            }
        }
    }

    async fn has_debug_info(&self, file: &Artifact) -> Result<bool, StoreError> {
        if !is_kernel(&file.name) {
            return Ok(true);
        }
        let found = match self.reader(&file.digest).await {
            Ok(reader) => names_debug_section(&reader).await,
            Err(error) => Err(error),
        };
        match found {
            // `verify` says more of it.
            Err(StoreError::Missing(_) | StoreError::Corrupt { .. } | StoreError::LetGo(_)) => {
                Ok(false)
            }
            found => found,
        }
    }
}

/// Whether a file may be of use to debuggers alone.
fn may_have_it(name: &str) -> bool {
    is_kernel(name) || [".debug", ".dwo", ".dwp"].iter().any(|end| name.ends_with(end))
}

fn is_kernel(name: &str) -> bool {
    matches!(name, "vmlinux" | "vmlinux.o")
}

/// Whether a 64-bit little-endian ELF file has a section of debug information, by the names of its
/// sections (System V ABI, chapter 4). Anything else has none.
async fn names_debug_section(reader: &BlobReader) -> Result<bool, StoreError> {
    const HEADER: u64 = 64;
    const ENTRY: u64 = 64;
    if reader.size() < HEADER {
        return Ok(false);
    }
    let header = reader.read(0..HEADER).await?;
    if !header.starts_with(b"\x7fELF\x02\x01") {
        return Ok(false);
    }
    let table = number(&header, 0x28, 8);
    let names = number(&header, 0x3e, 2);
    let entry = table.checked_add(names * ENTRY);
    let Some(entry) =
        entry.filter(|at| at.checked_add(ENTRY).is_some_and(|end| end <= reader.size()))
    else {
        return Ok(false);
    };
    let entry = reader.read(entry..entry + ENTRY).await?;
    let (start, len) = (number(&entry, 0x18, 8), number(&entry, 0x20, 8).min(NAMES));
    let end = start.checked_add(len).filter(|end| *end <= reader.size());
    let Some(end) = end else { return Ok(false) };
    let names = reader.read(start..end).await?;
    // A name may be the end of a longer one.
    Ok([&b".debug_info\0"[..], b".zdebug_info\0"]
        .iter()
        .any(|name| memchr::memmem::find(&names, name).is_some()))
}

fn number(bytes: &[u8], at: usize, len: usize) -> u64 {
    let mut number = [0; 8];
    if let Some(field) = bytes.get(at..at + len) {
        number[..len].copy_from_slice(field);
    }
    u64::from_le_bytes(number)
}
