//! Finding builds.

use std::collections::{BTreeMap, HashMap};

use crate::digest::Digest;
use crate::error::StoreError;
use crate::index::Found;
use crate::input::InputKey;
use crate::manifest::Manifest;
use crate::query::{BuildSummary, Query, QueryError};

use super::Store;

/// Names that an error lists.
pub(super) const LISTED: usize = 10;

impl Store {
    /// The build that a request is known to lead to. One that was proved leads only to the build whose
    /// closure proved it, and not to another one of the same input that has taken its place.
    pub async fn build_by_request(
        &self,
        request: &InputKey,
    ) -> Result<Option<Manifest>, StoreError> {
        let Some((input, proof)) = self.inner.index.request(request).await? else {
            return Ok(None);
        };
        let found = self.build_by_input(&input).await?;
        Ok(found.filter(|build| proof.is_none_or(|closure| build.has_closure(&closure))))
    }

    /// What is known of many requests at once, by request key; unknown ones are left out. Meant
    /// for whole histories: it asks the index for hundreds of keys at a time.
    pub async fn builds_by_requests(
        &self,
        requests: &[InputKey],
    ) -> Result<HashMap<InputKey, BuildSummary>, StoreError> {
        self.inner.index.summaries(requests).await
    }

    /// The builds that a name leads to, newest first. A whole name may lead to many builds (twins,
    /// several configurations of one commit). A prefix must belong to one name or to one build
    /// ([`QueryError::Ambiguous`] otherwise).
    ///
    /// What rests on a refuted proof is not found, be it the build or only the name; nor by the name of
    /// a commit a build that is not the one which that was proved to give. Of the builds of one commit
    /// and configuration its own is preferred to one that was proved to be the same.
    pub async fn find_builds(&self, query: &Query) -> Result<Vec<Manifest>, StoreError> {
        let refuted = self.refuted().await?;
        let mut found = self.inner.index.find(query).await?;
        found.retain(|name| name.proof.is_none_or(|closure| !refuted.holds(&closure)));
        let mut keys = choose(query, &found)?;
        if keys.is_empty() {
            // A build whose row is missing is still found by its whole key.
            keys.extend(query.input_key());
        }
        let mut builds = Vec::with_capacity(keys.len());
        for key in keys {
            if let Some(build) = self.build_by_input(&key).await?
                && leads_to(&mut found, &build)
                && !refuted.voids(self, &build).await?
            {
                builds.push(build);
            }
        }
        prefer_own(&mut builds, &found);
        builds.sort_by_key(|build| (std::cmp::Reverse(build.created), build.input_key));
        Ok(builds)
    }

    /// The builds that have a file of this content.
    pub async fn builds_with(&self, digest: &Digest) -> Result<Vec<Manifest>, StoreError> {
        let mut builds = Vec::new();
        for key in self.inner.index.builds_with(digest, u32::MAX).await? {
            builds.extend(self.build_by_input(&key).await?);
        }
        Ok(builds)
    }

    /// One of the builds that have a file of this content, the first by its key: of some files there
    /// are thousands.
    pub async fn build_with(&self, digest: &Digest) -> Result<Option<Manifest>, StoreError> {
        match self.inner.index.builds_with(digest, 1).await?.first() {
            Some(key) => self.build_by_input(key).await,
            None => Ok(None),
        }
    }

    /// The one build that a name leads to, `None` when nothing is known by it. Of twins, which are
    /// the same machine, the newest; other builds of one name are [`QueryError::Ambiguous`], with
    /// their input keys.
    pub async fn find_build(&self, query: &Query) -> Result<Option<Manifest>, StoreError> {
        let builds = self.find_builds(query).await?;
        let twins = |a: &Manifest, b: &Manifest| a.image().is_some() && a.image() == b.image();
        if builds.iter().skip(1).any(|build| !twins(&builds[0], build)) {
            let key = |build: &Manifest| format!("input:{}", build.input_key);
            let matches = builds.iter().take(LISTED).map(key).collect();
            return Err(QueryError::Ambiguous { prefix: query.to_string(), matches }.into());
        }
        Ok(builds.into_iter().next())
    }
}

/// Whether names lead to a build, which is what lies under its key now. Those that were proved by the
/// closure of another one are left out: the index may not have heard of it yet.
fn leads_to(found: &mut Vec<Found>, build: &Manifest) -> bool {
    let names = |found: &[Found]| found.iter().filter(|it| it.input_key == build.input_key).count();
    let before = names(found);
    found.retain(|name| {
        name.input_key != build.input_key || name.proof.is_none_or(|it| build.has_closure(&it))
    });
    before == 0 || names(found) > 0
}

/// Leaves out builds that were proved to be what a name leads to, where that has a build of its own of
/// the same family. (After an audit that refuted the proof they differ.)
fn prefer_own(builds: &mut Vec<Manifest>, found: &[Found]) {
    let is_proved = |build: &Manifest| {
        let mut names = found.iter().filter(|name| name.input_key == build.input_key).peekable();
        names.peek().is_some() && names.all(|name| name.proof.is_some())
    };
    let (proved, own): (Vec<_>, Vec<_>) = builds.drain(..).partition(is_proved);
    let has_own = |family| own.iter().any(|build| build.family_key == family);
    builds.extend(proved.into_iter().filter(|build| !has_own(build.family_key)));
    builds.extend(own);
}

/// The builds that the matches agree on.
fn choose(query: &Query, found: &[Found]) -> Result<Vec<InputKey>, QueryError> {
    let exact: Vec<&Found> = found.iter().filter(|found| found.value == query.digits()).collect();
    let chosen = if exact.is_empty() { found.iter().collect() } else { exact };
    let mut names = BTreeMap::new();
    let mut keys = Vec::new();
    for found in chosen {
        names.insert(&found.value, found.field);
        keys.push(found.input_key);
    }
    keys.sort_unstable();
    keys.dedup();
    if names.len() > 1 && keys.len() > 1 {
        let matches = names.iter().take(LISTED).map(|(name, field)| format!("{field}:{name}"));
        let prefix = query.to_string();
        return Err(QueryError::Ambiguous { prefix, matches: matches.collect() });
    }
    Ok(keys)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::Digest;
    use crate::query::Field;

    fn found(value: &str, build: &str) -> Found {
        let input_key = InputKey(Digest::of(build.as_bytes()));
        Found { field: Field::Revision, value: value.into(), input_key, proof: None }
    }

    fn names(found: &[Found]) -> Result<usize, QueryError> {
        choose(&Query::parse("12345678").unwrap(), found).map(|keys| keys.len())
    }

    #[test]
    fn one_name_may_lead_to_many_builds() {
        assert_eq!(names(&[found("1234567890", "a"), found("1234567890", "b")]), Ok(2));
    }

    #[test]
    fn many_names_of_one_build_agree() {
        assert_eq!(names(&[found("1234567890", "a"), found("1234567891", "a")]), Ok(1));
    }

    #[test]
    fn a_whole_name_wins_over_longer_ones() {
        assert_eq!(names(&[found("12345678", "a"), found("1234567891", "b")]), Ok(1));
    }

    #[test]
    fn otherwise_a_prefix_is_ambiguous() {
        let error = names(&[found("1234567890", "a"), found("1234567891", "b")]).unwrap_err();
        let text = error.to_string();
        assert!(text.contains("revision:1234567890, revision:1234567891"), "{text}");
    }
}
