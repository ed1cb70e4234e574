//! Which builds are in use, as seen from their files.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::digest::Digest;
use crate::error::StoreError;

use super::Store;

/// A file that is asked for again and again is noted once in so long.
const PAUSE: Duration = Duration::from_secs(3600);

/// Files that are remembered so; more than are asked for in an hour.
const MOST: usize = 10_000;

/// Files whose use was noted a short time ago.
#[derive(Debug, Default)]
pub(crate) struct Noted(Mutex<HashMap<Digest, Instant>>);

impl Noted {
    /// Whether it is time to note the use of a file; then it is not for a while.
    fn is_due(&self, digest: &Digest, now: Instant) -> bool {
        let mut noted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if noted.get(digest).is_some_and(|at| now.duration_since(*at) < PAUSE) {
            return false;
        }
        if noted.len() >= MOST {
            noted.clear();
        }
        noted.insert(*digest, now);
        true
    }
}

impl Store {
    /// Remembers that somebody asked for a file by its digest, to the hour: that is a use of the
    /// newest build that has it. When it can't be noted, nobody cares.
    pub async fn used_file(&self, digest: &Digest) {
        if !self.inner.noted.is_due(digest, Instant::now()) {
            return;
        }
        let noted = async {
            if let Some(key) = self.inner.index.newest_with(digest).await? {
                self.inner.index.used(&key).await?;
            }
            Ok::<_, StoreError>(())
        };
        if let Err(error) = noted.await {
            tracing::debug!(%digest, %error, "a use was not noted");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_noted_once_an_hour() {
        let (noted, begun) = (Noted::default(), Instant::now());
        let (one, other) = (Digest::of(b"1"), Digest::of(b"2"));
        assert!(noted.is_due(&one, begun) && noted.is_due(&other, begun));
        assert!(!noted.is_due(&one, begun + PAUSE / 2));
        assert!(noted.is_due(&one, begun + PAUSE));
    }
}
