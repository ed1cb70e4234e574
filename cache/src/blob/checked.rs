//! Stored blobs read through and proven, so that nobody is told that a blob is here when only its
//! table is.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures::FutureExt;
use futures::future::BoxFuture;

use crate::digest::Digest;
use crate::error::StoreError;

use super::reader::BlobReader;
use super::table::Form;

/// How long a proof holds: of one command each blob is read once, and of a server each now and then.
const HOLDS: Duration = Duration::from_secs(60 * 60);

/// Proofs that are remembered.
const LIMIT: usize = 1 << 16;

/// What this process has proven lately: which object of a blob, by its entity tag, and when.
#[derive(Debug, Default)]
pub(crate) struct Checked(Mutex<HashMap<Digest, (Option<String>, Instant)>>);

impl Checked {
    fn is_recent(&self, digest: &Digest, tag: Option<&str>) -> bool {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(digest).is_some_and(|(of, at)| of.as_deref() == tag && at.elapsed() < HOLDS)
    }

    /// Forgets all of it.
    pub(super) fn forget(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    fn note(&self, digest: &Digest, tag: Option<&str>) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= LIMIT {
            known.clear();
        }
        known.insert(*digest, (tag.map(str::to_owned), Instant::now()));
    }
}

impl BlobReader {
    /// Opens all that the blob rests on: an error when it can't be read for want of that. Looks at
    /// tables alone; but an image that could not be put together before is tried again.
    pub fn stands(&self) -> BoxFuture<'_, Result<(), StoreError>> {
        async move {
            self.try_again().await?;
            for below in self.rests_on() {
                self.below(&below).await?.stands().await?;
            }
            Ok(())
        }
        .boxed()
    }

    /// Reads all that is stored of the blob and of what it rests on, and proves it. An image in
    /// parts is not compressed again, unless that has failed before: its recipe was proven when it
    /// was opened.
    pub(crate) fn check(&self) -> BoxFuture<'_, Result<(), StoreError>> {
        async move {
            self.try_again().await?;
            if self.checked().is_recent(self.digest(), self.tag()) {
                return Ok(());
            }
            for below in self.rests_on() {
                self.below(&below).await?.check().await?;
            }
            if self.form() != Form::Parts {
                self.read_through().await?;
            }
            self.checked().note(self.digest(), self.tag());
            Ok(())
        }
        .boxed()
    }

    /// Puts an image together that could not be when somebody last tried: this Kiln may have other
    /// compressors.
    async fn try_again(&self) -> Result<(), StoreError> {
        if self.is_doubtful().await {
            self.read_through().await?;
            self.note_made(true).await;
        }
        Ok(())
    }
}
