//! What can go wrong when a file is read as a kernel image, and what to do about it.

use std::io;
use std::path::PathBuf;

use super::SignatureKind;

/// Why a file has no signature.
#[derive(Debug, thiserror::Error)]
pub enum SignatureError {
    /// The file can't be opened, measured or mapped.
    #[error("cannot read '{path}' ({source}): check the path and its permissions")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A directory, device or socket.
    #[error("'{0}' is not a regular file: give the path of the `vmlinux` itself")]
    NotAFile(PathBuf),
    /// The content can't be read as the ELF file that is asked for.
    #[error("'{path}': {source}")]
    Elf {
        /// The file.
        path: PathBuf,
        /// What is wrong with its content.
        source: ElfError,
    },
    /// A build whose kernel can't be named.
    #[error("no `vmlinux` among the files: `image` names a kernel with what belongs to it")]
    NoVmlinux,
    /// The kind is not a property of one file.
    #[error(
        "'{path}' alone has no `{kind}` signature: it names all artifacts of a build; \
         ask for it of a stored build, or ask for `image` or `syzkaller` of this file"
    )]
    NotOfAFile {
        /// The file.
        path: PathBuf,
        /// The kind that was asked for.
        kind: SignatureKind,
    },
}

/// Why bytes can't be read as a kernel's ELF file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ElfError {
    /// Something else than an ELF file.
    #[error(
        "not an ELF file{}: the `vmlinux` in the top folder of the kernel's build is wanted",
        .looks_like.map(|it| format!(" but {it}")).unwrap_or_default()
    )]
    NotElf {
        /// What it is, if its first bytes tell.
        looks_like: Option<&'static str>,
    },
    /// The file ends before something that its headers promise.
    #[error(
        "{what} reaches to byte {end}, but the file ends at byte {length}: \
         it was cut short; copy or build it again"
    )]
    Truncated {
        /// The part that is missing, at least in its end.
        what: String,
        /// Where the part should end, in bytes from the start of the file.
        end: u64,
        /// Size of the file in bytes.
        length: u64,
    },
    /// A header that contradicts the format.
    #[error("{what} is damaged ({reason}): copy or build the file again")]
    Malformed {
        /// The part of the file.
        what: String,
        /// What the reader of the format found.
        reason: String,
    },
    /// More headers than any linker writes: reading on would only cost memory.
    #[error("{count} {what}, more than {limit}: not a file that a linker wrote")]
    TooMany {
        /// What there is too much of.
        what: &'static str,
        /// How many the file claims.
        count: u64,
        /// The most that is read.
        limit: u64,
    },
    /// Parts share bytes of the file, so that a small file could cost hours.
    #[error(
        "its {what} claim {claimed} bytes of a file of {length}: they overlap, as no linker's \
         output does"
    )]
    Overlap {
        /// Which parts.
        what: &'static str,
        /// Sum of their sizes in bytes.
        claimed: u64,
        /// Size of the file in bytes.
        length: u64,
    },
    /// SHF_ALLOC and SHF_COMPRESSED exclude each other in the ELF specification.
    #[error("section '{0}' is allocated and compressed, which ELF forbids: build the file again")]
    CompressedAlloc(String),
    /// An object file: what its code calls is said by relocations, which `image` does not hash.
    #[error(
        "an object file that is not linked: its bytes don't say what it calls, \
         so equal bytes would not mean an equal kernel; give the linked `vmlinux` (`kiln sign --kind \
         code` and `kiln diff` take the object)"
    )]
    NotLinked,
    /// A linked file where an object is wanted.
    #[error(
        "a linked file: `code` and `symbols` are made from the kernel before linking; \
         give the `vmlinux.o` beside it"
    )]
    Linked,
    /// A machine whose relocations are not known.
    #[error(
        "made for machine {0} (ELF's numbers): `code` and `symbols` know x86-64 and arm64, \
         little-endian"
    )]
    Machine(u16),
    /// No section that the machine would see.
    #[error(
        "it has no allocated section with content, so there is no kernel in it to name: \
         give the unstripped `vmlinux`, not a debug-only companion of it"
    )]
    NothingAllocated,
}
