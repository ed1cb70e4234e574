//! How many blobs rest on one another. A reader goes so deep and no deeper, so packing never builds
//! higher: a blob that came back after others had come to rest on it must not rest on much itself.

use std::collections::HashMap;

use futures::TryStreamExt;

use crate::blob::reader::DEPTH;
use crate::digest::Digest;
use crate::error::StoreError;
use crate::store::Store;

/// What rests on what in a store.
#[derive(Debug, Default)]
pub(super) struct Towers {
    bases: HashMap<Digest, Vec<Digest>>,
    dependents: HashMap<Digest, Vec<Digest>>,
}

impl Towers {
    /// Looks at all blobs. Those that can't be opened rest on nothing.
    pub(super) async fn of(store: &Store) -> Result<Self, StoreError> {
        let mut towers = Self::default();
        let mut opened = store.opened_blobs();
        while let Some((digest, _, reader)) = opened.try_next().await? {
            match reader {
                Ok(reader) => towers.set(digest, reader.rests_on()),
                Err(error @ (StoreError::Object { .. } | StoreError::Full { .. })) => {
                    return Err(error);
                }
                Err(_) => {}
            }
        }
        Ok(towers)
    }

    /// A blob rests on these from now on.
    pub(super) fn set(&mut self, digest: Digest, bases: Vec<Digest>) {
        for base in self.bases.remove(&digest).unwrap_or_default() {
            self.dependents.entry(base).or_default().retain(|it| *it != digest);
        }
        for base in &bases {
            self.dependents.entry(*base).or_default().push(digest);
        }
        self.bases.insert(digest, bases);
    }

    /// Whether the blob may rest on the base.
    pub(super) fn may_rest(&self, digest: &Digest, base: &Digest) -> bool {
        let limit = usize::from(DEPTH);
        let (above, below) = (reach(&self.dependents, digest), reach(&self.bases, base));
        above + below <= limit && digest != base
    }
}

/// Blobs on the longest way from one, itself included; more than a reader goes for whatever is
/// longer, and for a circle.
fn reach(ways: &HashMap<Digest, Vec<Digest>>, from: &Digest) -> usize {
    let mut level = vec![*from];
    let mut count = 0;
    while !level.is_empty() && count <= usize::from(DEPTH) {
        count += 1;
        level = level.iter().flat_map(|it| ways.get(it).into_iter().flatten()).copied().collect();
        level.sort_unstable();
        level.dedup();
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_tower_is_higher_than_a_reader_goes() {
        let id = |name: &str| Digest::of(name.as_bytes());
        let mut towers = Towers::default();
        // Kernels of two builds: image, its payload, vmlinux, and the keyframe of all.
        towers.set(id("keyframe"), vec![]);
        towers.set(id("other"), vec![]);
        assert!(towers.may_rest(&id("vmlinux"), &id("keyframe")));
        towers.set(id("vmlinux"), vec![id("keyframe")]);
        towers.set(id("image"), vec![id("payload"), id("rest")]);
        assert!(towers.may_rest(&id("payload"), &id("vmlinux")));
        towers.set(id("payload"), vec![id("vmlinux")]);
        assert!(!towers.may_rest(&id("keyframe"), &id("other")), "five on one another");
        assert!(!towers.may_rest(&id("vmlinux"), &id("vmlinux")));
        // When nothing rests on it any more it may.
        towers.set(id("vmlinux"), vec![id("other")]);
        assert!(towers.may_rest(&id("keyframe"), &id("other")));
        // Circles are as high as can be.
        towers.set(id("a"), vec![id("b")]);
        towers.set(id("b"), vec![id("a")]);
        assert!(!towers.may_rest(&id("c"), &id("a")));
    }
}
