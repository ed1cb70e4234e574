//! One at a time for each blob: whoever comes second waits, and finds the work done.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard};

use crate::digest::Digest;

/// Turns in one process. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct Turns(Arc<Mutex<Waiting>>);

type Waiting = HashMap<Digest, Arc<AsyncMutex<()>>>;

/// The right to work on a blob, until it is dropped.
#[derive(Debug)]
pub struct Turn {
    turns: Turns,
    digest: Digest,
    // Dropped by hand, before the look at who is left.
    lock: Option<Arc<AsyncMutex<()>>>,
    guard: Option<OwnedMutexGuard<()>>,
    waited: bool,
}

impl Turns {
    /// Waits until nobody else works on the blob.
    pub async fn take(&self, digest: &Digest) -> Turn {
        let lock = Arc::clone(self.waiting().entry(*digest).or_default());
        // Made before the wait: whoever stops waiting leaves nothing behind.
        let mut turn = Turn {
            turns: self.clone(),
            digest: *digest,
            lock: Some(Arc::clone(&lock)),
            guard: None,
            waited: false,
        };
        turn.guard = match Arc::clone(&lock).try_lock_owned() {
            Ok(guard) => Some(guard),
            Err(_) => {
                turn.waited = true;
                Some(lock.lock_owned().await)
            }
        };
        turn
    }

    /// The same, for so long; `None` when somebody else is still at it.
    pub async fn take_within(&self, digest: &Digest, patience: Duration) -> Option<Turn> {
        tokio::time::timeout(patience, self.take(digest)).await.ok()
    }

    /// Whether somebody works on the blob.
    pub fn is_taken(&self, digest: &Digest) -> bool {
        self.waiting().contains_key(digest)
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        // Each change of it is one call: no panic leaves it half done.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Turn {
    /// Whether somebody else had the turn first.
    pub fn waited(&self) -> bool {
        self.waited
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut waiting = self.turns.waiting();
        self.guard = None;
        self.lock = None;
        // The map's own is the last one: nobody waits.
        if waiting.get(&self.digest).is_some_and(|lock| Arc::strong_count(lock) == 1) {
            waiting.remove(&self.digest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_second_waits_and_nothing_is_left() {
        let turns = Turns::default();
        let (a, b) = (Digest::of(b"a"), Digest::of(b"b"));
        let first = turns.take(&a).await;
        assert!(!first.waited() && turns.is_taken(&a) && !turns.is_taken(&b));
        assert!(!turns.take(&b).await.waited());
        let short = Duration::from_millis(10);
        assert!(turns.take_within(&a, short).await.is_none(), "it is taken");
        let second = tokio::spawn({
            let turns = turns.clone();
            async move { turns.take(&a).await.waited() }
        });
        tokio::task::yield_now().await;
        drop(first);
        assert!(second.await.unwrap());
        assert!(!turns.is_taken(&a) && turns.waiting().is_empty());
    }

    #[tokio::test]
    async fn whoever_stops_waiting_leaves_nothing() {
        let turns = Turns::default();
        let digest = Digest::of(b"a");
        let first = turns.take(&digest).await;
        let waiting = tokio::spawn({
            let turns = turns.clone();
            async move { turns.take(&digest).await.waited() }
        });
        tokio::task::yield_now().await;
        drop(first);
        waiting.abort();
        let _aborted_or_done = waiting.await;
        assert!(turns.waiting().is_empty());
    }
}
