//! Two modules of one name.

use std::path::Path;

use crate::signature::SignatureError;
use crate::signature::image::{module_part, without_signature};
use crate::signature::mapping::{ByteSource, Mapping};

use super::kernel::Elves;
use super::{Cause, CauseKind, Difference};

/// The difference of two modules; `None` if their bytes are equal.
pub(super) fn difference(
    name: &str,
    [a, b]: [&Path; 2],
    elves: &Elves<'_>,
) -> Result<Option<Difference>, SignatureError> {
    let (a, b) = (Mapping::open(a)?, Mapping::open(b)?);
    if a.bytes() == b.bytes() {
        return Ok(None);
    }
    let parts = [module_part(&a, elves.before.release()), module_part(&b, elves.after.release())];
    let same = parts[0] == parts[1];
    let (old, new) = (without_signature(a.bytes()), without_signature(b.bytes()));
    let (masked, place, cause) = if old == new && same {
        (true, "signature behind the module", Cause::new(CauseKind::ModuleSigningKey, ""))
    } else if old == new {
        let why = "one of them is not signed, or is of another release than its kernel";
        (false, "signature behind the module", Cause::new(CauseKind::Unknown, why))
    } else if same {
        (true, "debug information, build id, release", Cause::new(CauseKind::BuildId, ""))
    } else {
        (false, "what is loaded", Cause::new(CauseKind::Unknown, "see `kiln diff` of the modules"))
    };
    Ok(Some(Difference {
        file: name.to_owned(),
        place: place.to_owned(),
        symbols: Vec::new(),
        symbol_count: 0,
        bytes: differing(old, new),
        masked,
        causes: vec![cause],
    }))
}

/// Bytes that differ, or by which the sizes differ.
pub(super) fn differing(a: &[u8], b: &[u8]) -> u64 {
    match a.len() == b.len() {
        true => a.iter().zip(b).filter(|(a, b)| a != b).count() as u64,
        false => (a.len() as u64).abs_diff(b.len() as u64),
    }
}
