//! What a build is made from, and the key under which Kiln remembers it.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::digest::Digest;

/// Everything that decides the bytes of a build.
///
/// The same type serves two keys. With the *normalized* configuration (the `.config` after
/// `olddefconfig` on this tree) its key is the [`InputKey`] a build is stored under. With the
/// configuration *as given* it is the request key: an alias that answers "have I built this
/// already?" before any tree is checked out. The alias is sound because the normalized
/// configuration is a function of the other fields and the given text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BuildInput {
    /// Git tree id (40 or 64 hexadecimal digits): what is built, whatever commit it came from.
    pub tree: String,
    /// Digest of the configuration text (see the type's description for which one).
    pub config: Digest,
    /// Kernel architecture, as in `ARCH=` ("x86_64", "arm64").
    pub arch: String,
    /// Content id of the compiler, assembler, linker and the libraries they load.
    pub toolchain: Digest,
    /// Version of the recipe, or the digest of the command that stands in for it.
    pub recipe: String,
    /// What is made: Kbuild targets, sorted.
    pub targets: Vec<String>,
}

/// Digest of the canonical encoding of a [`BuildInput`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct InputKey(pub Digest);

impl fmt::Display for InputKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl BuildInput {
    /// The key: BLAKE3 over a domain tag and length-prefixed fields, in the order of the struct.
    pub fn key(&self) -> InputKey {
        let mut hasher = blake3::Hasher::new_derive_key("kiln build input v1");
        let mut field = |bytes: &[u8]| {
            hasher.update(&(bytes.len() as u64).to_le_bytes());
            hasher.update(bytes);
        };
        field(self.tree.as_bytes());
        field(self.config.as_bytes());
        field(self.arch.as_bytes());
        field(self.toolchain.as_bytes());
        field(self.recipe.as_bytes());
        field(&(self.targets.len() as u64).to_le_bytes());
        for target in &self.targets {
            field(target.as_bytes());
        }
        InputKey(hasher.finalize().into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn input() -> BuildInput {
        BuildInput {
            tree: "a".repeat(40),
            config: Digest::of(b"config"),
            arch: "x86_64".into(),
            toolchain: Digest::of(b"gcc"),
            recipe: "1".into(),
            targets: vec!["bzImage".into(), "modules".into()],
        }
    }

    #[test]
    fn every_field_is_part_of_the_key() {
        let base = input();
        let changed = [
            BuildInput { tree: "b".repeat(40), ..base.clone() },
            BuildInput { config: Digest::of(b"other"), ..base.clone() },
            BuildInput { arch: "arm64".into(), ..base.clone() },
            BuildInput { toolchain: Digest::of(b"clang"), ..base.clone() },
            BuildInput { recipe: "2".into(), ..base.clone() },
            BuildInput { targets: vec!["bzImage".into()], ..base.clone() },
            BuildInput { targets: vec!["bzImagemodules".into()], ..base.clone() },
        ];
        for other in changed {
            assert_ne!(base.key(), other.key(), "{other:?}");
        }
        assert_eq!(base.key(), input().key());
    }
}
