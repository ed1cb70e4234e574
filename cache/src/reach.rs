//! What blobs rest on, all the way down.

use std::collections::HashSet;

use crate::digest::Digest;

/// The blobs that can be reached from some, themselves included. `below` says what a blob rests on;
/// one of which it knows nothing counts as not reached.
pub(crate) fn reach<'a>(
    from: impl IntoIterator<Item = Digest>,
    below: impl Fn(&Digest) -> Option<&'a [Digest]>,
) -> HashSet<Digest> {
    let (mut reached, mut todo) = (HashSet::new(), from.into_iter().collect::<Vec<_>>());
    while let Some(digest) = todo.pop() {
        if let Some(bases) = below(&digest)
            && reached.insert(digest)
        {
            todo.extend(bases);
        }
    }
    reached
}
