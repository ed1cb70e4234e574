//! Bringing a configuration to a tree with the tree's own `olddefconfig`.

use std::fs;

use super::text::{self, ConfigChange};
use crate::error::{BuildError, Doing};
use crate::kbuild::{Kbuild, Made};
use crate::place::place;
use crate::recipe::OBJECTS;
use crate::sandbox::Bind;

/// Folder, below the objects, for what Kiln does there itself. Configurations are brought to a tree
/// in it, apart from the objects' own `.config`, whose time Kbuild watches.
pub(crate) const SCRATCH: &str = ".kiln";

/// What became of a configuration.
pub(crate) enum Normalized {
    /// The tree takes it, so changed.
    Well { text: String, changes: Vec<ConfigChange> },
    /// The tree's Kconfig files are broken, or the programs that read them: the first errors.
    Badly { errors: Vec<String> },
}

/// Runs `olddefconfig` on the configuration given. It is always run, about a second in a warm
/// pair: Kconfig files may call any script or the compiler, so nothing less proves the result.
/// Afterwards the objects' `.config` holds the result; it keeps its time when it is the same.
pub(crate) fn normalize(kbuild: &Kbuild<'_>, given: &str) -> Result<Normalized, BuildError> {
    let objects = kbuild.pair.objects();
    let scratch = objects.join(SCRATCH);
    fs::create_dir_all(&scratch).doing("making", &scratch)?;
    let file = scratch.join("config");
    fs::write(&file, text::with_pinned_options(given)).doing("writing", &file)?;
    let objects_bind = Bind { host: objects.clone(), inside: OBJECTS, read_only: false };
    let seen = kbuild.confinement.seen(&objects_bind).join(SCRATCH).join("config");
    let made = kbuild.make(&["olddefconfig"], &[("KCONFIG_CONFIG", seen.into())], &|_| {}, None)?;
    if let Made::Badly { errors } = made {
        return Ok(Normalized::Badly { errors });
    }
    let bytes = fs::read(&file).doing("reading", &file)?;
    let text = String::from_utf8_lossy(&bytes).into_owned();
    place(&objects.join(".config"), &bytes, 0o644)?;
    Ok(Normalized::Well { changes: text::changes(given, &text), text })
}
