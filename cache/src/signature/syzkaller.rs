//! The `syzkaller` signature: what syzkaller's bisection log prints as "kernel signature".
//!
//! Definition, as `pkg/build/linux.go` of syzkaller has had it since 2020: walk the section headers
//! in file order; leave out a section that lacks SHF_ALLOC or is NOBITS or SHT_NOTE; take the
//! SHA-256 of each other one's bytes; the signature is the SHA-256 of these 32-byte digests, raw,
//! one after the other. Names, addresses and segments do not count, and nothing is masked.
//!
//! Compressed sections: syzkaller's reader would unpack them. ELF forbids a section that is both
//! allocated and compressed, so such a file is refused instead. A file without such sections gets
//! the SHA-256 of nothing, as it does there.

use std::num::NonZero;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use object::elf as abi;
use sha2::{Digest as _, Sha256};

use crate::digest::Digest;

use super::ElfError;
use super::elf::{Elf, Section};
use super::mapping::{ByteSource, stream};

/// Version of this definition.
pub(crate) const VERSION: u32 = 1;

/// The largest section is most of a kernel: more threads than this find nothing to do.
const MAX_THREADS: usize = 4;

/// The signature of a file that `elf` was read from.
pub(crate) fn sign(elf: &Elf<'_>, source: &dyn ByteSource) -> Result<Digest, ElfError> {
    let sections: Vec<&Section<'_>> = elf.sections.iter().filter(|it| counts(it)).collect();
    if let Some(it) = sections.iter().find(|it| it.flags & abi::SHF_COMPRESSED.0 != 0) {
        return Err(ElfError::CompressedAlloc(it.display_name()));
    }
    let mut all = Sha256::new();
    for digest in digests(&sections, source) {
        all.update(digest);
    }
    Ok(Digest::from(<[u8; 32]>::from(all.finalize())))
}

fn counts(section: &Section<'_>) -> bool {
    section.is_allocated() && section.kind != abi::SHT_NOBITS.0 && section.kind != abi::SHT_NOTE.0
}

/// The digests of sections, in their order; made side by side, the largest first.
fn digests(sections: &[&Section<'_>], source: &dyn ByteSource) -> Vec<[u8; 32]> {
    let made: Vec<OnceLock<[u8; 32]>> = sections.iter().map(|_| OnceLock::new()).collect();
    let mut order: Vec<usize> = (0..sections.len()).collect();
    order.sort_by_key(|&index| std::cmp::Reverse(sections[index].size));
    let next = AtomicUsize::new(0);
    let work = || {
        while let Some(&index) = order.get(next.fetch_add(1, Ordering::Relaxed)) {
            // Each index is taken by one thread only.
            made[index].get_or_init(|| digest(sections[index], source));
        }
    };
    let threads = thread::available_parallelism().map_or(1, NonZero::get).min(MAX_THREADS);
    thread::scope(|scope| {
        for _ in 1..threads.min(sections.len()) {
            scope.spawn(work);
        }
        work();
    });
    let filled = made.into_iter().zip(sections);
    filled.map(|(it, section)| it.into_inner().unwrap_or_else(|| digest(section, source))).collect()
}

fn digest(section: &Section<'_>, source: &dyn ByteSource) -> [u8; 32] {
    let mut hasher = Sha256::new();
    stream(source, section.bytes.clone().unwrap_or_default(), |bytes| hasher.update(bytes));
    hasher.finalize().into()
}
