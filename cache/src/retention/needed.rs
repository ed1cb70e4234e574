//! Who needs which blob.

use std::collections::{HashMap, HashSet};

use crate::digest::Digest;
use crate::reach::reach;

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
        reach(from, |digest| Some(&self.blobs.get(digest)?.rests_on))
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

/// How many hold each blob: builds, and blobs that rest on it. So what goes with a build is known
/// without a look at all others.
pub(super) struct Holders<'a> {
    shelf: &'a Shelf,
    /// What becomes free of blobs that stay.
    saved: &'a HashMap<Digest, u64>,
    counts: HashMap<Digest, usize>,
    bytes: u64,
}

impl<'a> Holders<'a> {
    pub(super) fn new(shelf: &'a Shelf, saved: &'a HashMap<Digest, u64>) -> Self {
        Self { shelf, saved, counts: HashMap::new(), bytes: 0 }
    }

    /// What all blobs take that somebody holds.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    fn takes(&self, digest: &Digest) -> u64 {
        self.shelf.bytes([digest]).saturating_sub(self.saved.get(digest).copied().unwrap_or(0))
    }

    /// One more holds a blob.
    pub(super) fn add(&mut self, digest: Digest) {
        let mut todo = vec![digest];
        while let Some(digest) = todo.pop() {
            let Some(blob) = self.shelf.blobs.get(&digest) else { continue };
            let count = self.counts.entry(digest).or_default();
            *count += 1;
            if *count == 1 {
                self.bytes += self.takes(&digest);
                todo.extend(&blob.rests_on);
            }
        }
    }

    /// One that held a blob does no more. Gives what becomes free when it goes, in bytes.
    pub(super) fn remove(&mut self, digest: Digest) -> u64 {
        let (mut todo, mut freed) = (vec![digest], 0);
        while let Some(digest) = todo.pop() {
            let Some(count) = self.counts.get_mut(&digest).filter(|count| **count > 0) else {
                continue;
            };
            *count -= 1;
            if *count == 0 {
                self.bytes -= self.takes(&digest);
                freed += self.shelf.bytes([&digest]);
                todo.extend(self.shelf.blobs.get(&digest).into_iter().flat_map(|it| &it.rests_on));
            }
        }
        freed
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
    #[test]
    fn counting_holders_says_what_looking_at_all_says() {
        let id = |n: u64| Digest::of(&n.to_le_bytes());
        let mut state = 1_u64;
        let mut random = |limit: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 33) % limit
        };
        let mut shelf = Shelf::default();
        for n in 0..200 {
            let rests_on = (0..random(3)).filter(|_| n > 0).map(|_| id(random(n))).collect();
            let bytes = 1 + random(1000);
            shelf.blobs.insert(id(n), Stored { bytes, rests_on, written: 0 });
        }
        // Some name what is not here.
        let builds: Vec<Vec<Digest>> =
            (0..60).map(|_| (0..1 + random(6)).map(|_| id(random(220))).collect()).collect();
        let none = HashMap::new();
        let mut holders = Holders::new(&shelf, &none);
        builds.iter().flatten().for_each(|digest| holders.add(*digest));
        for gone in 0..builds.len() {
            let staying = shelf.reach(builds[gone..].iter().flatten().copied());
            assert_eq!(holders.bytes(), shelf.bytes(&staying), "{gone} gone");
            builds[gone].iter().for_each(|digest| _ = holders.remove(*digest));
        }
        assert_eq!(holders.bytes(), 0);
    }
}
