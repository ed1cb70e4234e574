//! The `image` signature, version 5: Kiln's name of a kernel, of everything in a build that runs.
//!
//! It is the BLAKE3 hash of a manifest of the files of the build that a machine executes:
//!
//! 1. the text `kiln.signature.image` and the version;
//! 2. how many parts there are, and of each, sorted by name: what it is, its name within the build
//!    (`vmlinux`, `bzImage`, `modules/fs/fat/fat.ko`), and a BLAKE3 hash that is made as follows:
//!
//! | part | module | what counts |
//! |---|---|---|
//! | `vmlinux` | `vmlinux` | all that it loads into memory, but for masks |
//! | x86 boot image | `x86_boot` | set-up code, decompressor, relocations; its compressed part if it is not this `vmlinux` |
//! | flat image (arm64's `Image`) | `flat` | every byte that is not a byte of this `vmlinux` |
//! | module | `module` | what the loader reads: sections, relocations, symbols; whether it is signed, not how |
//! | anything else | here | every byte |
//!
//! Numbers are little-endian, 64 bits; texts are preceded by their length. So order, names and
//! sizes can't be traded for each other, and a masked byte differs from a zero that is real.
//!
//! A file that can't be read as what it should be (another compression, a damaged header) counts
//! byte by byte: then twins may be named differently without need, but never different kernels
//! equally. So it is with what a mask can't hide because its *length* differs: a longer banner, an
//! embedded configuration, certificates, an initramfs with times. The compressed part of an x86
//! boot image is hidden, whatever room it takes and however far it pushes the decompressor (see the
//! module `decompressor`). Of the compressions that Linux offers bzip2, lzo and lz4 are not unpacked
//! here.
//!
//! Version 4 did not see how many zeros end a table of the decompressor, where up to 63 led to a
//! multiple of 32, or fewer than a page to a page.
//! Version 3 did not see the type information of modules, nor whether they are signed and say the
//! release of the kernel beside them. Version 2 named twins differently when the compressed part moved
//! the decompressor, version 1 was of `vmlinux` alone. `image` of a lone `vmlinux` is a manifest with
//! one part. A new version of it is one of `content`, too (`crate::build_draft`).

mod decompressor;
mod flat;
mod gaps;
mod header;
mod masked;
mod module;
mod payload;
mod vmlinux;
mod x86_boot;

use std::collections::BTreeMap;

use super::elf::Elf;
use super::mapping::{ByteSource, stream};
use super::masks::Mask;
use super::writer::Writer;
use super::{ElfError, Signature};

pub(crate) use gaps::gaps;
pub(crate) use module::{masks_of as module_masks, without_signature};
pub(crate) use vmlinux::layout;
pub(crate) use x86_boot::{Code, own_of, payload_of};

/// Version of this definition.
pub(crate) const VERSION: u32 = 5;

const DOMAIN: &[u8] = b"kiln.signature.image";

/// Artifacts that are boot images, by the names that Kbuild gives them.
const BOOT_IMAGES: [&str; 3] = ["bzImage", "Image", "zImage"];

/// The artifact that everything else belongs to.
pub(crate) const VMLINUX: &str = "vmlinux";

/// Whether an artifact of a kernel's build is one of the parts that `image` names.
pub(crate) fn covers(name: &str) -> bool {
    name == VMLINUX || is_boot_image(name) || is_module(name)
}

/// Whether an artifact is a boot image.
pub(crate) fn is_boot_image(name: &str) -> bool {
    BOOT_IMAGES.contains(&name)
}

/// Whether an artifact is a module.
pub(crate) fn is_module(name: &str) -> bool {
    name.starts_with("modules/") && name.ends_with(".ko")
}

/// One part: what it was read as, and its hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Part {
    pub(crate) kind: &'static str,
    hash: blake3::Hash,
}

impl Part {
    pub(crate) fn hash(&self) -> &blake3::Hash {
        &self.hash
    }
}

/// The part of the `vmlinux` itself.
pub(crate) fn kernel(elf: &Elf<'_>, source: &dyn ByteSource) -> Result<Part, ElfError> {
    Ok(Part { kind: "vmlinux", hash: vmlinux::hash(elf, source)? })
}

/// The part of a file beside a `vmlinux` that is no module: a boot image.
pub(crate) fn companion(file: &dyn ByteSource, vmlinux: &Elf<'_>, source: &dyn ByteSource) -> Part {
    let boot = x86_boot::hash(file, vmlinux, source).map(|hash| ("x86-boot", hash));
    let read = boot.or_else(|| flat::hash(file, vmlinux, source).map(|hash| ("flat", hash)));
    let (kind, hash) = read.unwrap_or_else(|| ("bytes", bytes_hash(file)));
    file.done(0..file.bytes().len());
    Part { kind, hash }
}

/// The part of a module. `release`: what the `vmlinux` beside it says its release is.
pub(crate) fn module_part(file: &dyn ByteSource, release: Option<&[u8]>) -> Part {
    let (kind, hash) = module::hash(file, release);
    file.done(0..file.bytes().len());
    Part { kind, hash }
}

/// What is hidden in a file beside a `vmlinux` that is no module.
pub(crate) fn companion_masks(
    file: &dyn ByteSource,
    vmlinux: &Elf<'_>,
    source: &dyn ByteSource,
) -> Vec<Mask> {
    x86_boot::masks_of(file, vmlinux, source).map_or_else(Vec::new, |(masks, _)| masks)
}

/// The signature of all parts, by their names within the build.
pub(crate) fn name_of(parts: &BTreeMap<String, Part>) -> Signature {
    let mut manifest = Writer::new(DOMAIN);
    manifest.number(VERSION.into());
    manifest.number(parts.len() as u64);
    for (name, part) in parts {
        manifest.text(part.kind.as_bytes());
        manifest.text(name.as_bytes());
        manifest.hash(&part.hash);
    }
    Signature { version: VERSION, hash: manifest.finish().into() }
}

/// The signature of a lone `vmlinux`.
pub(crate) fn sign(elf: &Elf<'_>, source: &dyn ByteSource) -> Result<Signature, ElfError> {
    Ok(name_of(&BTreeMap::from([(VMLINUX.to_owned(), kernel(elf, source)?)])))
}

fn bytes_hash(file: &dyn ByteSource) -> blake3::Hash {
    let mut hasher = blake3::Hasher::new();
    stream(file, 0..file.bytes().len(), |bytes| _ = hasher.update_rayon(bytes));
    hasher.finalize()
}
