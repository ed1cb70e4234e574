//! A finished build on its way into the store.

use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};

use crate::input::{BuildInput, InputKey};
use crate::manifest::{Artifact, BuildResult};
#[cfg(doc)]
use crate::signature::SignatureKind;
use crate::signature::{IMAGE_VERSION, Signature, is_named_by_image};

/// Name of the artifact that `syzkaller` is computed from, and `image` with what belongs to it.
pub const VMLINUX: &str = "vmlinux";

/// Name of the artifact that `code` is computed from: the kernel before linking, without debug
/// information.
pub const VMLINUX_O: &str = "vmlinux.o";

/// Name of the artifact that holds what the compiler said: never part of an identity, because it
/// holds times and orders that differ between equal builds.
pub const BUILD_LOG: &str = "build.log";

/// Name of the artifact that holds the build's closure: which of its sources it asked about. What
/// is in it is the builder's business. Never part of an identity either: a build upon another one
/// has a larger closure than the same build from nothing.
pub const CLOSURE: &str = "closure";

/// Name of the artifact that says which files of the sources each object was made from. As with the
/// closure, what is in it is the builder's business, and it is never part of an identity.
pub const UNITS: &str = "units";

/// Name of the artifact that says how the build came about, when it was not plainly compiled. Never
/// part of an identity.
pub const PROVENANCE: &str = "provenance";

/// Artifacts of a kernel that no machine runs: what the linker was given and noted, and Kconfig's file.
const NOTES_OF_A_KERNEL: [&str; 3] = ["System.map", ".config", VMLINUX_O];

/// Version of the definition of [`SignatureKind::Content`] below.
pub(crate) const CONTENT_VERSION: u32 = 5;

/// Two contents of one version are compared, so they must be made of one version of `image`.
const _: () = assert!(IMAGE_VERSION == 5, "another version of `image` is one of `content`, too");

/// What a builder knows of a build. Digests, sizes and signatures are missing on purpose: the
/// store computes them from the bytes that it keeps.
#[derive(Clone, Debug)]
pub struct BuildDraft {
    /// What it was made from, with the normalized configuration.
    pub input: BuildInput,
    /// Key of the request (configuration as given) that led to it.
    pub request_key: InputKey,
    /// Key of the request without its tree: what the builds of one configuration have in common
    /// along a history.
    pub family_key: InputKey,
    /// The commit it was built for, hexadecimal.
    pub commit: String,
    /// Built, or why not.
    pub result: BuildResult,
    /// Files by name within the build, with the place where each is now.
    pub artifacts: Vec<(String, PathBuf)>,
    /// Compiler and linker, as a person would name them.
    pub compiler: String,
    /// Wall time of the compile in seconds.
    pub seconds: f64,
}

/// A draft that can't become a build.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidDraft {
    /// A name that could escape the build's folder, or can't be written.
    #[error("'{0}' is no name for an artifact: use a relative path without '.' and '..'")]
    Name(String),
    /// One name, two files.
    #[error("the artifact '{0}' is named twice")]
    Twice(String),
    /// A success that left nothing behind.
    #[error(
        "the build says that it succeeded, but made no artifact besides its log: \
         nothing could be run, and every such build would look like every other"
    )]
    Nothing,
    /// The commit is not hexadecimal.
    #[error("'{0}' is not a commit id: expected hexadecimal digits")]
    Commit(String),
    /// The wall time is negative, infinite or no number.
    #[error("a build can't take {0} seconds")]
    Seconds(String),
}

impl BuildDraft {
    /// Checks everything that can be checked without reading a file.
    pub fn check(&self) -> Result<(), InvalidDraft> {
        let mut names = BTreeSet::new();
        for (name, _) in &self.artifacts {
            if !is_artifact_name(name) {
                return Err(InvalidDraft::Name(name.clone()));
            }
            if !names.insert(name.as_str()) {
                return Err(InvalidDraft::Twice(name.clone()));
            }
        }
        if self.result == BuildResult::Built && !names.iter().any(|name| is_content(name)) {
            return Err(InvalidDraft::Nothing);
        }
        let is_commit =
            !self.commit.is_empty() && self.commit.bytes().all(|byte| byte.is_ascii_hexdigit());
        if !is_commit {
            return Err(InvalidDraft::Commit(self.commit.clone()));
        }
        if !(self.seconds.is_finite() && self.seconds >= 0.0) {
            return Err(InvalidDraft::Seconds(self.seconds.to_string()));
        }
        Ok(())
    }
}

/// Whether an artifact is what the build was for, not what Kiln noted of it.
fn is_content(name: &str) -> bool {
    ![BUILD_LOG, CLOSURE, UNITS, PROVENANCE].contains(&name)
}

/// Whether a name stays inside the folder of a build when it is used as a path there.
fn is_artifact_name(name: &str) -> bool {
    let plain = Path::new(name).components().all(|part| matches!(part, Component::Normal(_)));
    // `components` drops inner "." and doubled slashes, so the text is compared with what is left.
    let whole = Path::new(name).components().collect::<PathBuf>().to_str() == Some(name);
    !name.is_empty() && plain && whole && !name.chars().any(char::is_control)
}

/// The [`SignatureKind::Content`] of a build, on which evidence is shared: everything in it that a
/// test can run.
///
/// Of a kernel it is the `image` signature, if that names all of these artifacts. Otherwise it is
/// BLAKE3 in derive-key mode (context "kiln content signature v3") over the `image` signature, if
/// there is one, and over each artifact that it does not name, sorted by name: length of name
/// (u64, little-endian), name, digest of the content.
///
/// Left out are the log, the closure, the units and the provenance, and in a kernel's build `vmlinux.o`, `System.map`
/// and `.config`.
///
/// Version 4 was made of `image` version 4, version 3 of version 2 or 3, version 2 of version 1, which
/// knew `vmlinux` alone, and of the bytes of everything else. Builds that were stored with them keep
/// them, and what was seen of them: they are never compared with version 5. The same build made again
/// gets version 5. (The context is that of version 3: what has no `image` has the name that it had.)
pub(crate) fn content_signature(artifacts: &[Artifact], image: Option<&Signature>) -> Signature {
    let is_rest = |name: &str| {
        is_content(name)
            && (image.is_none() || !NOTES_OF_A_KERNEL.contains(&name) && !is_named_by_image(name))
    };
    let mut rest: Vec<&Artifact> = artifacts.iter().filter(|it| is_rest(&it.name)).collect();
    if let (Some(image), []) = (image, &rest[..]) {
        return Signature { version: CONTENT_VERSION, hash: image.hash };
    }
    rest.sort_by(|a, b| a.name.cmp(&b.name));
    let mut hasher = blake3::Hasher::new_derive_key("kiln content signature v3");
    if let Some(image) = image {
        hasher.update(image.hash.as_bytes());
    }
    for artifact in rest {
        hasher.update(&(artifact.name.len() as u64).to_le_bytes());
        hasher.update(artifact.name.as_bytes());
        hasher.update(artifact.digest.as_bytes());
    }
    Signature { version: CONTENT_VERSION, hash: hasher.finalize().into() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::Digest;

    fn draft(names: &[&str]) -> BuildDraft {
        BuildDraft {
            input: BuildInput {
                tree: "a".repeat(40),
                config: Digest::of(b"config"),
                arch: "x86_64".into(),
                toolchain: Digest::of(b"gcc"),
                recipe: "1".into(),
                targets: vec!["bzImage".into()],
            },
            request_key: InputKey(Digest::of(b"request")),
            family_key: InputKey(Digest::of(b"family")),
            commit: "c".repeat(40),
            result: BuildResult::Built,
            artifacts: names.iter().map(|name| ((*name).to_owned(), PathBuf::new())).collect(),
            compiler: "gcc".into(),
            seconds: 1.0,
        }
    }

    fn artifact(name: &str, content: &str) -> Artifact {
        Artifact { name: name.into(), digest: Digest::of(content.as_bytes()), size: 1 }
    }

    #[test]
    fn names_stay_inside() {
        for name in ["bzImage", ".config", "modules/a.ko", "..hidden"] {
            assert_eq!(draft(&[name]).check(), Ok(()), "{name}");
        }
        for name in ["", "/etc/passwd", "../up", "a/../b", "./a", "a//b", "a/", "a\nb"] {
            let wrong = Err(InvalidDraft::Name(name.into()));
            assert_eq!(draft(&[name]).check(), wrong, "{name}");
        }
        assert_eq!(draft(&["a", "a"]).check(), Err(InvalidDraft::Twice("a".into())));
    }

    #[test]
    fn a_success_leaves_something() {
        assert_eq!(draft(&[]).check(), Err(InvalidDraft::Nothing));
        let notes = [BUILD_LOG, CLOSURE, UNITS, PROVENANCE];
        assert_eq!(draft(&notes).check(), Err(InvalidDraft::Nothing));
        let failed = BuildResult::Failed { errors: vec!["x.c:1: error".into()] };
        let draft = BuildDraft { result: failed, ..draft(&[BUILD_LOG]) };
        assert_eq!(draft.check(), Ok(()));
    }

    #[test]
    fn content_depends_on_names_and_bytes_but_not_on_order_log_or_closure() {
        let sign = |artifacts: &[Artifact]| content_signature(artifacts, None);
        let base = sign(&[artifact("a", "1"), artifact("b", "2")]);
        let notes = [BUILD_LOG, CLOSURE, UNITS, PROVENANCE].map(|name| artifact(name, "now"));
        let same = [vec![artifact("b", "2"), artifact("a", "1")], notes.to_vec()].concat();
        assert_eq!(base, sign(&same));
        for other in [
            vec![artifact("a", "2"), artifact("b", "2")],
            vec![artifact("a", "2"), artifact("b", "1")],
            vec![artifact("a", "1")],
            vec![artifact("aa", "1"), artifact("b", "2")],
            vec![artifact("a", "1"), artifact("b", "2"), artifact(".config", "3")],
        ] {
            assert_ne!(base, sign(&other), "{other:?}");
        }
    }

    #[test]
    fn a_kernel_is_its_image_and_everything_else_that_runs() {
        let image = |text: &str| Signature { version: 2, hash: Digest::of(text.as_bytes()) };
        let build = |kernel: &str, more: &[(&str, &str)]| {
            let parts = ["vmlinux", "bzImage", "modules/a.ko"].map(|name| artifact(name, kernel));
            let more = more.iter().map(|(name, content)| artifact(name, content));
            parts.into_iter().chain(more).collect::<Vec<_>>()
        };
        let base = content_signature(&build("one", &[]), Some(&image("i")));
        assert_eq!(base.hash, image("i").hash, "it covers everything");
        // What differs in the bytes of parts and in notes does not matter; the image does.
        let notes = [("System.map", "s"), (".config", "c"), ("vmlinux.o", "o")];
        assert_eq!(base, content_signature(&build("two", &notes), Some(&image("i"))));
        assert_ne!(base, content_signature(&build("one", &[]), Some(&image("I"))));
        // Anything else that a test could run counts with the image.
        let with = |image: &Signature, name: &str, content: &str| {
            content_signature(&build("one", &[(name, content)]), Some(image))
        };
        for name in ["initrd", "modules/a.ko.xz", "vmlinux2"] {
            let other = with(&image("i"), name, "1");
            assert_ne!(base, other, "{name}");
            assert_ne!(other, with(&image("i"), name, "2"), "{name}");
            assert_ne!(other, with(&image("I"), name, "1"), "{name}");
        }
    }
}
