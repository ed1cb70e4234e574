//! Answers to look-ups that were given a moment ago.
//!
//! Builds never change, so an answer stays true; what may change is which build a name leads to
//! (a newer twin, a second configuration of a commit), and that is seen a second later. What was
//! not found is never remembered.

use std::time::{Duration, Instant};

use bytes::Bytes;
use kiln_cache::{Digest, Query, Store};
use metrics::counter;
use quick_cache::sync::Cache;

use super::error::ApiError;

/// How long an answer is given again.
const FRESH: Duration = Duration::from_secs(1);

/// Answers that are kept, some kilobytes each.
const KEPT: usize = 4096;

/// A build as it is sent.
#[derive(Clone)]
pub(crate) struct Answer {
    pub(crate) json: Bytes,
    /// The entity tag, quoted.
    pub(crate) etag: String,
    since: Instant,
}

/// The answers of one process.
pub(crate) struct Lookups {
    answers: Cache<String, Answer>,
}

impl Lookups {
    pub(crate) fn new() -> Self {
        Self { answers: Cache::new(KEPT) }
    }

    /// The one build that a selector names.
    pub(crate) async fn build(&self, store: &Store, selector: &str) -> Result<Answer, ApiError> {
        if let Some(answer) = self.answers.get(selector)
            && answer.since.elapsed() < FRESH
        {
            counted("hit", "remembered");
            return Ok(answer);
        }
        let query = match Query::parse(selector) {
            Ok(query) => query,
            Err(error) => {
                counted("error", "not-a-name");
                return Err(ApiError::bad_request(error.to_string()));
            }
        };
        let found = match store.find_build(&query).await {
            Ok(found) => found,
            Err(error) => {
                let error = ApiError::from(error);
                counted("error", if error.is_internal() { "store" } else { "ambiguous" });
                return Err(error);
            }
        };
        let Some(build) = found else {
            counted("miss", "unknown-name");
            return Err(ApiError::not_found(format!("no build is known by '{selector}'")));
        };
        let json = serde_json::to_vec(&build).map_err(|error| ApiError::internal(&error))?;
        let etag = format!("\"{}\"", Digest::of(&json));
        let answer = Answer { json: json.into(), etag, since: Instant::now() };
        self.answers.insert(selector.to_owned(), answer.clone());
        counted("hit", "found");
        Ok(answer)
    }
}

fn counted(result: &'static str, why: &'static str) {
    counter!("kiln_lookups_total", "result" => result, "why" => why).increment(1);
}
