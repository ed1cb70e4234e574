//! Notes of the image itself.

use crate::signature::elf::Elf;
use crate::signature::notes::{Note, notes};

use super::mask::{Mask, MaskKind};

/// The descriptions of GNU build ids and of CONFIG_BUILD_SALT.
///
/// What: the linker's hash over the whole output, debug information included, and a text which
/// only serves to make that hash differ. Why: neither changes what the kernel does, and the first
/// differs whenever anything else does. How: by the headers of notes in note sections and
/// segments. Owner, type and sizes stay visible.
pub(crate) fn identity_notes(elf: &Elf<'_>) -> Vec<Mask> {
    notes(elf)
        .into_iter()
        .filter_map(|note| Some(Mask { kind: identity(&note)?, range: note.description }))
        .collect()
}

/// What hides a note that only identifies a build.
pub(super) fn identity(note: &Note<'_>) -> Option<MaskKind> {
    if note.is_build_id() {
        Some(MaskKind::BuildId)
    } else if note.is_build_salt() {
        Some(MaskKind::BuildSalt)
    } else {
        None
    }
}
