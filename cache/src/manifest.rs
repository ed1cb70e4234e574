//! The record of one build: the object that the index can be rebuilt from.

use serde::{Deserialize, Serialize};

use crate::build_draft::CLOSURE;
use crate::digest::Digest;
use crate::input::{BuildInput, InputKey};
use crate::signature::{ImageId, SignatureKind, Signatures};

/// Version of the manifest's format; a store refuses manifests of a newer one, and reads all older
/// ones. Format 2 may have a `code` signature, which Kiln did not know when it wrote format 1; format
/// 3 has a checksum of its own bytes.
pub const FORMAT: u32 = 3;

/// Stands in the place of a recipe's version where nobody here knows how a build was made.
pub(crate) const PUSHED: &str = "pushed";

/// One file of a build.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Artifact {
    /// Name within the build: "bzImage", "vmlinux", "System.map", ".config", "build.log", "modules/…".
    pub name: String,
    /// BLAKE3 of the plain content.
    pub digest: Digest,
    /// Plain size in bytes.
    pub size: u64,
}

/// How the build ended. A failure of the *source* is remembered as firmly as a success; a failure
/// of the machine (full disk, killed compiler) is an error and never becomes a manifest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "result", rename_all = "kebab-case")]
pub enum BuildResult {
    /// It compiled and linked.
    Built,
    /// It does not compile (or its configuration can't be made): the first errors.
    Failed {
        /// The compiler's or make's first error lines, at most ten.
        errors: Vec<String>,
    },
}

/// The record of one compiled build. Immutable once stored.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// [`FORMAT`].
    pub format: u32,
    /// `input.key()`; kept beside the input so that a reader can check one against the other.
    pub input_key: InputKey,
    /// What it was made from.
    pub input: BuildInput,
    /// Keys of requests (configuration as given) that are known to normalize to this input.
    pub request_key: InputKey,
    /// Key of the request without its tree, see
    /// [`BuildDraft::family_key`](crate::BuildDraft::family_key).
    pub family_key: InputKey,
    /// The commit it was first built for. Other commits with the same tree share this build.
    pub commit: String,
    /// Built, or why not.
    #[serde(flatten)]
    pub result: BuildResult,
    /// Signatures, computed by the store from the artifacts it holds. Empty when the build failed.
    pub signatures: Signatures,
    /// GNU build id of `vmlinux`, hexadecimal, when it has one.
    pub build_id: Option<String>,
    /// Files, sorted by name.
    pub artifacts: Vec<Artifact>,
    /// Compiler and linker, as a person would name them ("gcc (Debian …) 12.2.0, GNU ld … 2.40").
    pub compiler: String,
    /// Wall time of the compile in seconds.
    pub seconds: f64,
    /// When it was made, seconds since 1970.
    pub created: i64,
}

impl Manifest {
    /// Whether it was made elsewhere, and only pushed: then nobody here knows of what, or how.
    pub fn is_pushed(&self) -> bool {
        self.input.recipe == PUSHED
    }

    /// The commit it was first built for, if anybody said it. (What is pushed without one stands under
    /// digits of its content.)
    pub fn told_commit(&self) -> Option<&str> {
        (!self.is_pushed() || self.commit != self.input.tree).then_some(&self.commit)
    }

    /// The artifact of a name.
    pub fn artifact(&self, name: &str) -> Option<&Artifact> {
        self.artifacts.iter().find(|artifact| artifact.name == name)
    }

    /// The name of this very build, the same in every store that it is brought to: a build that is made
    /// anew of the same input has another one, be it the same to the byte. Signatures are no part of it,
    /// as each store computes them by its own definitions. BLAKE3 over a domain tag and length-prefixed
    /// fields: input key, when it was made, how long that took, and name and digest of each file.
    pub fn own_name(&self) -> Digest {
        let mut hasher = blake3::Hasher::new_derive_key("kiln build own name v1");
        let mut field = |bytes: &[u8]| {
            hasher.update(&(bytes.len() as u64).to_le_bytes());
            hasher.update(bytes);
        };
        field(self.input_key.0.as_bytes());
        field(&self.created.to_le_bytes());
        field(&self.seconds.to_bits().to_le_bytes());
        for artifact in &self.artifacts {
            field(artifact.name.as_bytes());
            field(artifact.digest.as_bytes());
        }
        hasher.finalize().into()
    }

    /// Whether a closure (a blob) is this build's own. What that proves to give a build is proved of no
    /// other one, not even of one of the same input that has taken its place.
    pub fn has_closure(&self, closure: &Digest) -> bool {
        self.artifact(CLOSURE).is_some_and(|artifact| artifact.digest == *closure)
    }

    /// The identity that evidence is shared on; `None` for a failed build.
    pub fn image(&self) -> Option<ImageId> {
        self.signatures.identity()
    }

    /// Whether two builds are known to be different kernels, or only one of them compiled. Signatures
    /// of different versions can't be told apart.
    pub fn is_another_than(&self, other: &Self) -> bool {
        let of = |build: &Self, kind| build.signatures.get(kind).copied();
        let both = |kind| Some((of(self, kind)?, of(other, kind)?));
        let is_comparable = |kind| both(kind).is_none_or(|(a, b)| a.version == b.version);
        match both(SignatureKind::Content) {
            // (Version 3 of `content` was made of two versions of `image`.)
            Some((a, b)) => {
                is_comparable(SignatureKind::Content)
                    && is_comparable(SignatureKind::Image)
                    && a.hash != b.hash
            }
            None => self.is_built() != other.is_built(),
        }
    }

    /// Whether it compiled.
    pub fn is_built(&self) -> bool {
        self.result == BuildResult::Built
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signature::Signature;

    /// A build whose kernel has an image and a content of these versions; the hashes are of `name`.
    fn build(name: &str, image: Option<u32>, content: u32) -> Manifest {
        let hash = Digest::of(name.as_bytes());
        let input = BuildInput {
            tree: "a".repeat(40),
            config: hash,
            arch: "x86_64".into(),
            toolchain: hash,
            recipe: "1".into(),
            targets: Vec::new(),
        };
        let image = image.map(|version| (SignatureKind::Image, Signature { version, hash }));
        let content = (SignatureKind::Content, Signature { version: content, hash });
        Manifest {
            format: FORMAT,
            input_key: input.key(),
            request_key: input.key(),
            family_key: input.key(),
            input,
            commit: "c".repeat(40),
            result: BuildResult::Built,
            signatures: Signatures(image.into_iter().chain([content]).collect()),
            build_id: None,
            artifacts: Vec::new(),
            compiler: "gcc".into(),
            seconds: 1.0,
            created: 1,
        }
    }

    #[test]
    fn builds_that_were_named_by_different_definitions_are_not_told_apart() {
        let one = build("one", Some(4), 4);
        assert!(!one.is_another_than(&build("one", Some(4), 4)));
        assert!(one.is_another_than(&build("two", Some(4), 4)));
        assert!(!one.is_another_than(&build("two", Some(3), 3)));
        // One version of `content` was made of two of `image`.
        assert!(!build("one", Some(2), 3).is_another_than(&build("two", Some(3), 3)));
        assert!(build("one", Some(3), 3).is_another_than(&build("two", Some(3), 3)));
        // What is no kernel has no image.
        assert!(build("one", None, 4).is_another_than(&build("two", None, 4)));
        assert!(build("one", None, 4).is_another_than(&build("two", Some(4), 4)));
        let mut failed = build("one", Some(4), 4);
        failed.result = BuildResult::Failed { errors: Vec::new() };
        failed.signatures = Signatures::default();
        assert!(one.is_another_than(&failed) && !failed.is_another_than(&failed));
    }
}
