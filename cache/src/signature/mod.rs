//! Signatures: "is it the same kernel?", answered from the bytes of an image.
//!
//! [`sign_build`] reads a `vmlinux` and what belongs to it, and gives `image` and `syzkaller`;
//! [`sign_file`] those of a lone `vmlinux`; [`sign_kind`] also makes the `code` signature of a `vmlinux.o`. What each of them sees and does
//! not see is said in the module that makes it, `image`, `syzkaller` and `code`. [`symbols`] says
//! what is in a `vmlinux.o`, function by function, and [`unseen_by_code`] what of a kernel is not of it.
//! All functions here block: call them from a thread that may.

mod code;
mod elf;
mod error;
pub mod explain;
mod image;
mod lookalike;
mod mapping;
mod masks;
mod notes;
mod relocatable;
mod side_by_side;
mod sign;
pub mod symbols;
mod syzkaller;
#[cfg(test)]
pub(crate) mod test_elf;
#[cfg(test)]
pub(crate) mod tests;
mod unseen;
mod writer;

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::digest::Digest;

pub use code::VERSION as CODE_VERSION;
pub use error::{ElfError, SignatureError};
pub(crate) use image::{VERSION as IMAGE_VERSION, name_of};
pub(crate) use sign::Kernel;
pub use sign::{
    Masked, build_id, has_debug_sections, is_elf, is_named_by_image, masked, masked_code,
    sign_build, sign_file, sign_kind,
};
pub use unseen::unseen_by_code;

/// A way of naming an image. Each is defined in a module of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SignatureKind {
    /// Kiln's name of a kernel: of `vmlinux`, of its boot image and of its modules.
    Image,
    /// What syzkaller prints as "kernel signature".
    Syzkaller,
    /// What the sources compile to, whatever the line numbers: from `vmlinux.o`.
    Code,
    /// The name of everything in a build that a test can run. Evidence is shared on it. Of a kernel
    /// it is `image`, unless the build has more that can run. Builds of other trees than kernels have
    /// this one alone.
    Content,
}

impl SignatureKind {
    /// The lower-case name used on the command line and in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Image => "image",
            Self::Syzkaller => "syzkaller",
            Self::Code => "code",
            Self::Content => "content",
        }
    }
}

impl fmt::Display for SignatureKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// One signature: the version of its definition and the hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Signature {
    /// Version of the definition. Hashes of different versions are never compared.
    pub version: u32,
    /// 32 bytes: SHA-256 for `syzkaller`, BLAKE3 for the others.
    pub hash: Digest,
}

/// All signatures of one build.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Signatures(pub BTreeMap<SignatureKind, Signature>);

impl Signatures {
    /// The signature of a kind, if this build has it.
    pub fn get(&self, kind: SignatureKind) -> Option<&Signature> {
        self.0.get(&kind)
    }

    /// The name that evidence is shared on; `None` for a build that failed.
    pub fn identity(&self) -> Option<ImageId> {
        self.get(SignatureKind::Content).map(|signature| ImageId(signature.hash))
    }
}

/// The identity of what is booted, a build's `content`: builds with one `ImageId` are twins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ImageId(pub Digest);

impl fmt::Display for ImageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
