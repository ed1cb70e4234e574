//! Two boot images.

use std::path::Path;

use crate::signature::SignatureError;
use crate::signature::image::{companion, payload_of};
use crate::signature::mapping::{ByteSource, Mapping};

use super::kernel::Elves;
use super::modules::differing;
use super::{Cause, CauseKind, Difference};

/// The difference of two boot images; `None` if their bytes are equal.
pub(super) fn difference(
    name: &str,
    [a, b]: [&Path; 2],
    elves: &Elves<'_>,
) -> Result<Option<Difference>, SignatureError> {
    let (a, b) = (Mapping::open(a)?, Mapping::open(b)?);
    if a.bytes() == b.bytes() {
        return Ok(None);
    }
    let before = companion(&a, &elves.before.elf, elves.before.source);
    let after = companion(&b, &elves.after.elf, elves.after.source);
    let (place, cause) = if before == after {
        ("the kernel inside and its version", Cause::new(CauseKind::CompressedKernel, ""))
    } else {
        own_code(a.bytes(), b.bytes())
    };
    Ok(Some(Difference {
        file: name.to_owned(),
        place: place.to_owned(),
        symbols: Vec::new(),
        symbol_count: 0,
        bytes: differing(a.bytes(), b.bytes()),
        masked: before == after,
        causes: vec![cause],
    }))
}

/// Where two boot images differ besides the kernel inside.
fn own_code(a: &[u8], b: &[u8]) -> (&'static str, Cause) {
    let (Some(old), Some(new)) = (payload_of(a), payload_of(b)) else {
        return ("the boot image", Cause::new(CauseKind::Unknown, "it can't be taken apart"));
    };
    // The set-up code is what the header's start counts from: the compressed part lies behind it.
    if a[..old.start].len() != b[..new.start].len() {
        return ("set-up code", Cause::new(CauseKind::Unknown, "it has another size"));
    }
    if old.len() != new.len() {
        return (
            "decompressor",
            Cause::new(CauseKind::CompressedKernel, "its length moves the decompressor"),
        );
    }
    ("set-up code or decompressor", Cause::new(CauseKind::Unknown, ""))
}
