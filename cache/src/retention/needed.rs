//! Who needs which blob.

use std::collections::{HashMap, HashSet};

use crate::digest::Digest;

/// The blobs of a store: what each takes, and what it rests on.
#[derive(Clone, Debug, Default)]
pub(super) struct Shelf {
    pub(super) blobs: HashMap<Digest, Stored>,
}

/// A blob as it lies there.
#[derive(Clone, Debug, Default)]
pub(super) struct Stored {
    pub(super) bytes: u64,
    pub(super) rests_on: Vec<Digest>,
    /// When it was written, seconds since 1970.
    pub(super) written: i64,
}

impl Shelf {
    /// The blobs that can be reached from some, themselves included.
    pub(super) fn reach(&self, from: impl IntoIterator<Item = Digest>) -> HashSet<Digest> {
        let (mut reached, mut todo) = (HashSet::new(), from.into_iter().collect::<Vec<_>>());
        while let Some(digest) = todo.pop() {
            if let Some(blob) = self.blobs.get(&digest)
                && reached.insert(digest)
            {
                todo.extend(&blob.rests_on);
            }
        }
        reached
    }

    /// For each blob, the ones that rest on it.
    pub(super) fn rested_by(&self) -> HashMap<Digest, Vec<Digest>> {
        let mut rested: HashMap<Digest, Vec<Digest>> = HashMap::new();
        for (digest, blob) in &self.blobs {
            blob.rests_on.iter().for_each(|base| rested.entry(*base).or_default().push(*digest));
        }
        rested
    }

    /// What blobs take.
    pub(super) fn bytes<'a>(&self, digests: impl IntoIterator<Item = &'a Digest>) -> u64 {
        digests.into_iter().filter_map(|it| self.blobs.get(it)).map(|blob| blob.bytes).sum()
    }

    /// Some blobs in an order in which they may go: each before what it rests on.
    pub(super) fn dependents_first(&self, digests: &HashSet<Digest>) -> Vec<Digest> {
        let mut rested: HashMap<Digest, usize> = HashMap::new();
        for digest in digests {
            for base in self.blobs.get(digest).map_or(&[][..], |blob| &blob.rests_on) {
                *rested.entry(*base).or_default() += 1;
            }
        }
        let free = |rested: &HashMap<_, _>, it: &Digest| rested.get(it).is_none_or(|n| *n == 0);
        let mut ready: Vec<_> = digests.iter().copied().filter(|it| free(&rested, it)).collect();
        ready.sort_unstable();
        let mut order = Vec::with_capacity(digests.len());
        while let Some(digest) = ready.pop() {
            order.push(digest);
            for base in self.blobs.get(&digest).map_or(&[][..], |blob| &blob.rests_on) {
                if let Some(count) = rested.get_mut(base) {
                    *count -= 1;
                    if *count == 0 && digests.contains(base) {
                        ready.push(*base);
                    }
                }
            }
        }
        order
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_rested_on_stays_and_goes_last() {
        let id = |n: u8| Digest::of(&[n]);
        let mut shelf = Shelf::default();
        for (n, bases) in [(1, vec![]), (2, vec![1]), (3, vec![1]), (4, vec![2, 5]), (5, vec![])] {
            let rests_on = bases.into_iter().map(id).collect();
            shelf.blobs.insert(id(n), Stored { bytes: 10, rests_on, written: 0 });
        }
        assert_eq!(shelf.reach([id(4)]), HashSet::from([id(4), id(2), id(1), id(5)]));
        assert_eq!(shelf.reach([id(9)]), HashSet::new());
        let all: HashSet<_> = (1..=5).map(id).collect();
        let order = shelf.dependents_first(&all);
        let place = |n| order.iter().position(|it| *it == id(n)).unwrap();
        assert_eq!(order.len(), 5);
        assert!(place(4) < place(2) && place(2) < place(1) && place(3) < place(1));
        assert!(place(4) < place(5));
        assert_eq!(shelf.bytes(&all), 50);
    }
}
