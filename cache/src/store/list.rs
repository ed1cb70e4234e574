//! What there is: builds, the commits that lead to them, and files by a part of their digest.

use crate::digest::Digest;
use crate::error::StoreError;
use crate::input::InputKey;
use crate::query::{BuildFilter, ListedBuild, Query, QueryError};

use super::Store;
use super::lookup::LISTED;

impl Store {
    /// Gives the builds that a filter takes, one after the other, the last used first; at most `limit`.
    /// From the index alone, and without holding them in memory: there may be a million.
    pub async fn list(
        &self,
        filter: &BuildFilter,
        limit: u64,
        each: &mut (dyn FnMut(ListedBuild) + Send),
    ) -> Result<(), StoreError> {
        let refuted = self.refuted().await?.closures();
        self.inner.index.list(filter, &refuted, limit, each).await
    }

    /// Commits that lead to a build, its first one included, in the order of their digits; at most
    /// `limit`. Like [`Store::find_builds`] it knows nothing of what rests on a refuted proof.
    pub async fn commits_of(&self, key: &InputKey, limit: u32) -> Result<Vec<String>, StoreError> {
        let refuted = self.refuted().await?.closures();
        self.inner.index.commits_of(key, &refuted, limit).await
    }

    /// The file of a build, or the console of a run, whose digest begins with these digits; `None` when
    /// there is none, and for a query with a kind of name, which no file has. [`QueryError::Ambiguous`]
    /// when several files begin like this.
    pub async fn find_digest(&self, query: &Query) -> Result<Option<Digest>, StoreError> {
        if !query.is_of_any_kind() {
            return Ok(None);
        }
        let found = self.inner.index.digests_like(query.digits(), LISTED as u32 + 1).await?;
        if found.len() > 1 {
            let matches = found.iter().take(LISTED).map(Digest::to_hex).collect();
            return Err(QueryError::Ambiguous { prefix: query.to_string(), matches }.into());
        }
        Ok(found.into_iter().next())
    }
}
