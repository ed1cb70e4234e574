//! Exact copies of bytes.

use std::ops::Range;

use crate::signature::mapping::{ByteSource, find};

/// More copies than this are not what they seem: real kernels have one of a banner, and about ten
/// of the release.
const MAX_COPIES: usize = 64;

/// Where a pattern occurs in a range, in bytes from the start of the file; nothing if too often.
pub(super) fn copies(source: &dyn ByteSource, range: &Range<usize>, pattern: &[u8]) -> Vec<usize> {
    let found = find(source, range.clone(), pattern, MAX_COPIES + 1);
    if found.len() > MAX_COPIES { Vec::new() } else { found }
}
