//! How often a bucket is asked again, and when asking again makes no sense.

use std::time::{Duration, Instant};

use object_store::Error;
use uuid::Uuid;

use crate::error::StoreError;

/// How long to go on with a bucket that fails. Each pause is twice the one before, less a random
/// part of up to a half: machines that failed together don't come back together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// Attempts in all.
    pub attempts: u32,
    /// The first pause.
    pub pause: Duration,
    /// No pause is longer.
    pub longest_pause: Duration,
    /// No attempt begins later than this after the first.
    pub at_most: Duration,
}

impl Default for Patience {
    /// Six attempts within a minute: a bucket that hiccups is waited for, one that is down is not.
    fn default() -> Self {
        Self {
            attempts: 6,
            pause: Duration::from_millis(100),
            longest_pause: Duration::from_secs(5),
            at_most: Duration::from_secs(60),
        }
    }
}

impl Patience {
    pub(super) fn begin(&self) -> Tries {
        Tries { patience: *self, made: 1, begun: Instant::now() }
    }

    /// The pause after so many attempts; `random` is from 0 to 255.
    fn pause_after(&self, made: u32, random: u8) -> Duration {
        let whole = self.pause.saturating_mul(1 << (made - 1).min(16)).min(self.longest_pause);
        whole - whole.mul_f64(f64::from(random) / 512.0)
    }
}

/// The attempts of one operation.
#[derive(Debug)]
pub(crate) struct Tries {
    patience: Patience,
    made: u32,
    begun: Instant,
}

impl Tries {
    /// A single one: for a disk, whose errors don't pass.
    pub(super) fn once() -> Self {
        Patience { attempts: 1, ..Patience::default() }.begin()
    }

    /// Waits for the next attempt. Gives the error back when it won't pass, or patience is at its
    /// end.
    pub(super) async fn again(&mut self, error: Error) -> Result<(), Error> {
        if may_pass(&error) { self.anyway(error).await } else { Err(error) }
    }

    /// The same for an error of the store, of which only a bucket's pass.
    pub(crate) async fn after(&mut self, error: StoreError) -> Result<(), StoreError> {
        match error {
            StoreError::Object { doing, source } => {
                self.again(source).await.map_err(|source| StoreError::Object { doing, source })
            }
            error => Err(error),
        }
    }

    /// The same for an error that is known to pass.
    pub(super) async fn anyway(&mut self, error: Error) -> Result<(), Error> {
        let pause = self.patience.pause_after(self.made, Uuid::new_v4().as_bytes()[0]);
        if self.made >= self.patience.attempts
            || self.begun.elapsed() + pause > self.patience.at_most
        {
            return Err(error);
        }
        tracing::debug!(%error, attempt = self.made, ?pause, "asking the bucket again");
        self.made += 1;
        tokio::time::sleep(pause).await;
        Ok(())
    }
}

/// Whether an error may be gone at the next attempt: what the bucket or the network did, not what
/// was asked.
pub(super) fn may_pass(error: &Error) -> bool {
    matches!(error, Error::Generic { .. } | Error::JoinError { .. })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_and_end() {
        let patience = Patience::default();
        let pauses: Vec<u128> =
            (1..=8).map(|made| patience.pause_after(made, 0).as_millis()).collect();
        assert_eq!(pauses, [100, 200, 400, 800, 1600, 3200, 5000, 5000]);
        assert!(patience.pause_after(1, 255) >= patience.pause / 2);
        assert_eq!(patience.pause_after(u32::MAX, 0), patience.longest_pause);
    }

    fn failing() -> Error {
        Error::Generic { store: "test", source: "503".into() }
    }

    #[tokio::test]
    async fn attempts_are_counted() {
        let quick = Patience { pause: Duration::ZERO, attempts: 3, ..Patience::default() };
        let mut tries = quick.begin();
        assert!(tries.again(failing()).await.is_ok());
        assert!(tries.again(failing()).await.is_ok());
        assert!(tries.again(failing()).await.is_err());
        let refused = || Error::PermissionDenied { path: "x".into(), source: "403".into() };
        assert!(quick.begin().again(refused()).await.is_err());
        assert!(Tries::once().again(failing()).await.is_err());
    }
}
