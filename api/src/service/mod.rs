//! The HTTP service over a store.
//!
//! | route | answer |
//! |---|---|
//! | `GET /healthz` | 200 when the store answers |
//! | `GET /v1/stats` | what the store holds |
//! | `GET /v1/builds/{selector}` | the manifest of the one build that an input key, commit, signature or build id names |
//! | `GET /v1/builds/{selector}/artifacts/{*name}` | a file of that build |
//! | `GET /v1/blobs/{digest}` | any blob |
//! | `PUT /v1/blobs/{digest}` | takes a file, if that is its digest |
//! | `POST /v1/builds` | makes a build of files that were sent before |
//! | `GET /v1/bisections` | the bisections, newest first |
//! | `GET /v1/bisections/{id}` | the record of one |
//! | `GET /v1/bisections/{id}/log?format=syzkaller\|git\|json` | its log |
//! | `GET /`, `GET /bisections/{id}` | the pages |
//!
//! Files come with `ETag` (the digest) and answer `Range`, `If-Range` and `If-None-Match`.
//! `PUT` and `POST` are there only when the server takes uploads.

pub(crate) mod bisections;
mod blobs;
mod builds;
pub(crate) mod error;
mod health;
mod push;

use axum::Router;
use axum::routing::{get, post, put};
use kiln_cache::Store;
use tower_http::trace::TraceLayer;

use crate::pages;

/// The routes; with those that write when `uploads` are taken.
pub(crate) fn router(store: Store, uploads: bool) -> Router {
    let writing = if uploads {
        Router::new()
            .route("/v1/blobs/{digest}", put(push::blob))
            .route("/v1/builds", post(push::build))
    } else {
        Router::new()
    };
    Router::new()
        .merge(writing)
        .route("/healthz", get(health::health))
        .route("/v1/stats", get(health::stats))
        .route("/v1/builds/{selector}", get(builds::build))
        .route("/v1/builds/{selector}/artifacts/{*name}", get(builds::artifact))
        .route("/v1/blobs/{digest}", get(blobs::blob))
        .route("/v1/bisections", get(bisections::list))
        .route("/v1/bisections/{id}", get(bisections::record))
        .route("/v1/bisections/{id}/log", get(bisections::log))
        .route("/", get(pages::home))
        .route("/bisections/{id}", get(pages::bisection))
        .fallback(error::no_route)
        .layer(TraceLayer::new_for_http())
        .with_state(store)
}
