//! Builds of one configuration along a history, and what is proved from them.

use crate::digest::Digest;
use crate::error::StoreError;
use crate::input::InputKey;
use crate::query::FamilyBuild;

use super::Store;

impl Store {
    /// Builds of one family (requests that differ by their trees alone) that have a closure,
    /// newest first, at most so many.
    pub async fn builds_of_family(
        &self,
        family: &InputKey,
        most: u32,
    ) -> Result<Vec<FamilyBuild>, StoreError> {
        self.inner.index.family(family, most).await
    }

    /// Remembers that a request gives what a stored build gave, as its closure (a blob) proves.
    /// Look-ups by request then answer with that build, whose input is another one.
    pub async fn add_proved_request(
        &self,
        request: &InputKey,
        input: &InputKey,
        closure: &Digest,
    ) -> Result<(), StoreError> {
        self.must_know(input).await?;
        self.inner.index.add_proved_request(request, input, closure).await
    }

    /// Remembers that a commit (hexadecimal) gives what a stored build gave, as its closure (a blob)
    /// proves. Whoever asked relies on that build from now on. A build of the commit's own stays its own.
    pub async fn add_proved_revision(
        &self,
        commit: &str,
        input: &InputKey,
        closure: &Digest,
    ) -> Result<(), StoreError> {
        self.name(commit, input, Some(closure)).await
    }

    /// The closure by which a request was proved; `None` when it is unknown, or leads to a build
    /// of just its own input.
    pub async fn proof_of_request(&self, request: &InputKey) -> Result<Option<Digest>, StoreError> {
        self.inner.index.proof(request).await
    }
}
