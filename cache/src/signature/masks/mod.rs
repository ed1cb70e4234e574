//! Masks: bytes of an image that say when, where and by whom it was built, not what it does.
//!
//! A mask has the exact length of what it hides, and only hides what was found at an exact place:
//! by a symbol with its size, by a note's header, or as an exact copy of bytes so found. What
//! can't be found so stays visible; then two builds may be named differently without need, but
//! never equally without right. Kiln's own recipe fixes all these bytes at the input, so that
//! masks only matter for kernels that were built by others.

mod banner;
mod copies;
mod locate;
mod mask;
mod note_values;
mod release_text;
mod superseded;
mod uts;
mod vdso;
mod vermagic;

pub(crate) use locate::locate;
pub(crate) use mask::{Mask, MaskKind, apart, settle};
pub(crate) use note_values::identity_notes;
pub(crate) use vermagic::kernels_release;
