//! Finding text in bytes.

/// Where `needle` begins in `hay`; none when it does not occur, or is empty.
pub(crate) fn find(hay: &[u8], needle: &[u8]) -> Option<usize> {
    if needle.is_empty() { None } else { memchr::memmem::find(hay, needle) }
}
