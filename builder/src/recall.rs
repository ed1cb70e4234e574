//! What the store knows of requests, as far as it is believed.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::pin::pin;

use futures::{StreamExt as _, stream};
use kiln_cache::manifest::Manifest;
use kiln_cache::{BuildSummary, Digest, InputKey, Mark};

use crate::builder::Builder;
use crate::error::BuildError;
use crate::proving::READ_AHEAD;
use crate::request::Request;

impl Builder {
    /// The build of a request, if the store has it whole. Builds that failed are known too, and so
    /// are requests that [`Builder::build`] answered by a proof. Who audits does not know what is
    /// still to be audited.
    pub async fn known(&self, request: &Request) -> Result<Option<Manifest>, BuildError> {
        match self.recall(&self.request_key(request)?).await? {
            Some(manifest) if self.is_unaudited(&manifest).await? => Ok(None),
            known => Ok(known),
        }
    }

    /// What is known of many requests at once, by [request key](Builder::request_key); unknown ones
    /// are left out, and so are those whose proof or build does not count any more.
    pub async fn known_of(
        &self,
        keys: &[InputKey],
    ) -> Result<HashMap<InputKey, BuildSummary>, BuildError> {
        let mut known = self.store.builds_by_requests(keys).await?;
        self.see_what_replaced(&mut known).await?;
        let proofs: HashSet<Digest> = known.values().filter_map(|build| build.proof).collect();
        let provenances: HashSet<Digest> =
            known.values().filter_map(|build| build.provenance).collect();
        let mut void = HashSet::new();
        let judge = |blob| async move { (blob, self.is_believed(&blob).await) };
        let mut judged = pin!(stream::iter(proofs).map(judge).buffered(READ_AHEAD));
        while let Some((blob, is_believed)) = judged.next().await {
            if !is_believed? {
                void.insert(blob);
            }
        }
        let judge = |blob| async move { (blob, self.rests_on_refuted(&blob).await) };
        let mut judged = pin!(stream::iter(provenances).map(judge).buffered(READ_AHEAD));
        while let Some((blob, is_refuted)) = judged.next().await {
            if is_refuted? {
                void.insert(blob);
            }
        }
        let unaudited = match self.audit_share > 0.0 {
            true => self.store.marks(Mark::Unaudited).await?,
            false => BTreeSet::new(),
        };
        known.retain(|_, build| {
            let rests_on = [build.proof, build.provenance];
            let is_void = rests_on.into_iter().flatten().any(|blob| void.contains(&blob));
            !is_void && !unaudited.contains(&build.input_key.to_string())
        });
        Ok(known)
    }

    /// Looks closer at builds of inputs of which one was withdrawn, of which there are few: that one may
    /// still be here, or in this index, which then has not heard of the one in its place.
    async fn see_what_replaced(
        &self,
        known: &mut HashMap<InputKey, BuildSummary>,
    ) -> Result<(), BuildError> {
        self.load_revoked().await?;
        let is_of = |build: &InputKey| self.closures.has_withdrawn_of(build);
        let of = known.iter().filter(|(_, build)| is_of(&build.input_key));
        for request in of.map(|(request, _)| *request).collect::<Vec<_>>() {
            let Some(BuildSummary { input_key, proof, .. }) = known.remove(&request) else {
                continue;
            };
            if let Some(build) = self.store.peek_input(&input_key).await?
                && proof.is_none_or(|closure| build.has_closure(&closure))
                && !self.is_void(&build).await?
            {
                known.insert(request, BuildSummary::of(&build, proof));
            }
        }
        Ok(())
    }

    /// A stored build by its request. One that lost files is not known: it is built again, which
    /// is what brings them back.
    pub(crate) async fn recall(&self, key: &InputKey) -> Result<Option<Manifest>, BuildError> {
        if let Some(proof) = self.store.proof_of_request(key).await?
            && !self.is_believed(&proof).await?
        {
            // Proved by an older rule, or by something that is lost: to be proved again, or built.
            return Ok(None);
        }
        let found = self.store.build_by_request(key).await?;
        self.whole(found).await
    }

    /// The same by its input.
    pub(crate) async fn recall_input(
        &self,
        key: &InputKey,
    ) -> Result<Option<Manifest>, BuildError> {
        let found = self.store.build_by_input(key).await?;
        self.whole(found).await
    }

    async fn whole(&self, found: Option<Manifest>) -> Result<Option<Manifest>, BuildError> {
        let Some(manifest) = found else { return Ok(None) };
        if !self.store.is_whole(&manifest).await? {
            return Ok(None);
        }
        // However it came here: an import, another index, a process that surveyed before the audit.
        Ok((!self.is_void(&manifest).await?).then_some(manifest))
    }
}
