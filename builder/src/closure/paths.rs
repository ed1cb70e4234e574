//! Sets of paths.

use std::fmt;

/// A set of paths from the root of a tree, as git writes them: bytes, parts separated by "/", the
/// root itself being empty. Kept sorted by bytes.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Paths(Vec<Box<[u8]>>);

impl Paths {
    /// A set of these; order and repetitions don't matter.
    pub fn new<P: AsRef<[u8]>>(paths: impl IntoIterator<Item = P>) -> Self {
        let mut paths: Vec<Box<[u8]>> =
            paths.into_iter().map(|path| path.as_ref().into()).collect();
        paths.sort_unstable();
        paths.dedup();
        Self(paths)
    }

    /// Paths that are sorted already, each once.
    pub(super) fn sorted(paths: Vec<Box<[u8]>>) -> Self {
        debug_assert!(paths.is_sorted_by(|one, next| one < next));
        Self(paths)
    }

    /// Whether a path is in it.
    pub fn contains(&self, path: &[u8]) -> bool {
        self.position(path).is_some()
    }

    /// Where a path stands among them, from 0.
    pub(crate) fn position(&self, path: &[u8]) -> Option<usize> {
        self.0.binary_search_by(|one| (**one).cmp(path)).ok()
    }

    /// The path that stands at a position. Panics where there is none.
    pub(crate) fn at(&self, position: usize) -> &[u8] {
        &self.0[position]
    }

    /// The paths in order of their bytes.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        self.0.iter().map(|path| &**path)
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What is in this set, in the other, or in both.
    pub(super) fn union(&self, other: &Self) -> Self {
        Self::new(self.iter().chain(other.iter()))
    }

    /// What is in this set and not in the other.
    pub(super) fn without(&self, other: &Self) -> Self {
        let kept = self.0.iter().filter(|path| !other.contains(path));
        Self(kept.cloned().collect())
    }
}

impl fmt::Debug for Paths {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter().map(String::from_utf8_lossy)).finish()
    }
}

/// The folder that a path lies in; `None` for the root.
pub(super) fn parent(path: &[u8]) -> Option<&[u8]> {
    match path.iter().rposition(|byte| *byte == b'/') {
        Some(slash) => Some(&path[..slash]),
        None if path.is_empty() => None,
        None => Some(b""),
    }
}

/// A path for messages; bytes that are not UTF-8 are replaced.
pub(crate) fn display(path: &[u8]) -> String {
    if path.is_empty() {
        return "the top folder".into();
    }
    String::from_utf8_lossy(path).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets() {
        let some = Paths::new(["b", "a", "a/x", "b"]);
        assert_eq!(some.iter().collect::<Vec<_>>(), [&b"a"[..], b"a/x", b"b"]);
        assert!(some.contains(b"a/x") && !some.contains(b"a/"));
        let other = Paths::new(["", "b"]);
        assert_eq!(some.union(&other), Paths::new(["", "a", "a/x", "b"]));
        assert_eq!(some.without(&other), Paths::new(["a", "a/x"]));
    }

    #[test]
    fn parents() {
        assert_eq!(parent(b"a/b/c"), Some(&b"a/b"[..]));
        assert_eq!(parent(b"a"), Some(&b""[..]));
        assert_eq!(parent(b""), None);
    }
}
