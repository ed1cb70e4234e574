//! What one comparison showed, as the store's journal keeps it.

use kiln_cache::{Digest, InputKey};
use serde::{Deserialize, Serialize};

use crate::stages::Stage;

/// Id and kind of the journal that findings are appended to.
pub(super) const JOURNAL: &str = "audit";

/// One build that was proved, and compiled all the same; or that was compiled upon what was proved.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Finding {
    /// The commit that was asked for.
    pub commit: String,
    /// The stage that said what it is; of one that was compiled, the last of those upon whose word it
    /// was (`kinds` is empty then: what changed since says nothing of the stage).
    #[serde(default = "first_stage")]
    pub stage: Stage,
    /// The build that was said to be the same.
    pub proved_by: InputKey,
    /// The closure that said so.
    pub closure: Digest,
    /// The build that came out; `None` when it is the same, and therefore not kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compiled: Option<InputKey>,
    /// Kinds of files in which the two trees differ, sorted: `c`, `h`, `S`, `Kconfig`, `Makefile`,
    /// other extensions, or `other`.
    pub kinds: Vec<String>,
    /// Whether both are the same, or both do not build.
    pub same: bool,
    /// Whether a kernel came out. That a revision does not build, for whatever reason, is weak evidence
    /// for what was proved of it. (False in findings of an older Kiln, which did not say.)
    #[serde(default)]
    pub built: bool,
    /// Seconds that the proof took.
    #[serde(default)]
    pub proof_seconds: f64,
    /// Seconds that compiling took, in a pair that only audits use.
    #[serde(default)]
    pub compile_seconds: f64,
    /// Whether it was compiled from nothing, and not upon the build that was audited before.
    #[serde(default)]
    pub from_nothing: bool,
    /// Upon the build that was audited before, something else had come out: make overlooks something
    /// there. What came out from nothing then is what counts.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub overlooked: bool,
    /// Whether no stage answered: it was compiled, upon objects that rest on that stage's word. If the
    /// same comes out again, that is no trial of the stage, which may have had no part in it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub compiled_upon: bool,
}

impl Finding {
    /// Whether it counts in rates: it could have come out otherwise, or did.
    pub(super) fn counts(&self) -> bool {
        !self.same || self.built && !self.compiled_upon
    }
}

/// The only one that there was when findings did not name it.
pub(super) fn first_stage() -> Stage {
    Stage::Closure
}

/// The kind of a file by its name.
pub(super) fn kind_of(path: &[u8]) -> String {
    let path = String::from_utf8_lossy(path);
    let name = path.rsplit('/').next().unwrap_or_default();
    for known in ["Kconfig", "Makefile", "Kbuild"] {
        if name.starts_with(known) {
            return known.to_owned();
        }
    }
    match name.rsplit_once('.') {
        Some((stem, extension)) if !stem.is_empty() && !extension.is_empty() => {
            extension.to_owned()
        }
        _ => "other".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_have_a_kind() {
        for (path, kind) in [
            ("mm/mmap.c", "c"),
            ("arch/x86/kernel/head_64.S", "S"),
            ("drivers/net/Kconfig.debug", "Kconfig"),
            ("Makefile", "Makefile"),
            ("COPYING", "other"),
            (".gitignore", "other"),
            ("a.", "other"),
        ] {
            assert_eq!(kind_of(path.as_bytes()), kind, "{path}");
        }
    }
}
