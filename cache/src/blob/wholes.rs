//! Blobs in parts that were put together a moment ago, and the turn of whoever puts one together:
//! compressing a kernel takes many times its room.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use crate::digest::Digest;

/// Bytes that are kept; of a larger blob, that one alone.
const LIMIT: usize = 64 << 20;

/// The blobs of one process, the one that was used last at the end.
#[derive(Debug, Default)]
pub(crate) struct Wholes {
    kept: Mutex<VecDeque<(Digest, Bytes)>>,
    turn: tokio::sync::Mutex<()>,
}

impl Wholes {
    /// A blob that is here.
    pub(crate) fn get(&self, digest: &Digest) -> Option<Bytes> {
        let mut kept = self.kept();
        let at = kept.iter().position(|(other, _)| other == digest)?;
        let found = kept.remove(at)?;
        let bytes = found.1.clone();
        kept.push_back(found);
        Some(bytes)
    }

    /// Keeps a blob.
    pub(crate) fn put(&self, digest: &Digest, bytes: Bytes) {
        let mut kept = self.kept();
        kept.retain(|(other, _)| other != digest);
        kept.push_back((*digest, bytes));
        while kept.len() > 1 && kept.iter().map(|(_, bytes)| bytes.len()).sum::<usize>() > LIMIT {
            kept.pop_front();
        }
    }

    /// Waits until nobody puts a blob together.
    pub(crate) async fn turn(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.turn.lock().await
    }

    fn kept(&self) -> MutexGuard<'_, VecDeque<(Digest, Bytes)>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_used_longest_ago_goes_and_one_stays_whatever_its_size() {
        let wholes = Wholes::default();
        let id = |n: u8| Digest::of(&[n]);
        let blob = |len| Bytes::from(vec![0; len]);
        for n in 0..4 {
            wholes.put(&id(n), blob(LIMIT / 4));
        }
        assert!(wholes.get(&id(0)).is_some());
        wholes.put(&id(4), blob(LIMIT / 4));
        assert!(wholes.get(&id(0)).is_some() && wholes.get(&id(1)).is_none());
        wholes.put(&id(5), blob(LIMIT + 1));
        assert!((0..5).all(|n| wholes.get(&id(n)).is_none()));
        assert!(wholes.get(&id(5)).is_some());
        wholes.put(&id(6), blob(1));
        assert!(wholes.get(&id(5)).is_none() && wholes.get(&id(6)).is_some());
    }
}
