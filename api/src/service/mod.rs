//! The HTTP service over a store.
//!
//! | route | answer |
//! |---|---|
//! | `GET /healthz` | 200 when the store answers |
//! | `GET /v1/token` | 200 when the request's token may add builds |
//! | `GET /metrics` | what happened so far, for Prometheus |
//! | `GET /v1/stats` | what the store holds |
//! | `GET /v1/builds/{selector}` | the manifest of the one build that an input key, commit, signature or build id names |
//! | `GET /v1/builds/{selector}/artifacts/{*name}` | a file of that build |
//! | `PUT /v1/blobs/{digest}` | takes a file, if that is its digest |
//! | `POST /v1/builds` | makes a build of files that were sent before |
//! | `GET /v1/requests/{key}` | the build that a request is known to lead to, for another Kiln |
//! | `GET /v1/blobs/{digest}` | any blob; with `?form=stored` a redirect to its packed bytes in the bucket |
//! | `GET /v1/bisections` | the bisections, newest first |
//! | `GET /v1/bisections/{id}` | the record of one |
//! | `GET /v1/bisections/{id}/log?format=syzkaller\|git\|json` | its log |
//! | `GET /`, `GET /bisections/{id}` | the pages |
//!
//! Files come with `ETag` (the digest) and answer `Range`, `If-Range` and `If-None-Match`.
//! Reading is open to all unless the service is private; what adds takes [`access::Uploader`].

pub(crate) mod access;
pub(crate) mod bisections;
mod blobs;
mod builds;
pub(crate) mod error;
mod health;
pub(crate) mod listen;
mod lookups;
pub(crate) mod metrics;
mod pieces;
mod push;
mod requests;
pub(crate) mod state;

use std::sync::Arc;

use axum::Router;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::{get, post, put};
use kiln_cache::{Store, Turns};
use metrics_exporter_prometheus::PrometheusHandle;
use tower_http::trace::TraceLayer;

use crate::pages;
use state::Service;

/// What the service is told when it begins.
pub(crate) struct Options {
    /// Whether reading needs a token, too.
    pub(crate) private: bool,
    /// Whether whoever can connect may send files; else that takes a token.
    pub(crate) uploads: bool,
    /// Whether clients may be sent to the bucket itself.
    pub(crate) redirects: bool,
}

/// The routes.
pub(crate) fn router(store: Store, options: &Options, metrics: PrometheusHandle) -> Router {
    let service = Service {
        store,
        pieces: Arc::new(pieces::Pieces::new()),
        lookups: Arc::new(lookups::Lookups::new()),
        access: Arc::new(access::Access::new(options.private, options.uploads)),
        uploads: Turns::default(),
        metrics,
        redirects: options.redirects,
    };
    let reading = Router::new()
        .route("/metrics", get(metrics::metrics))
        .route("/v1/stats", get(health::stats))
        .route("/v1/builds/{selector}", get(builds::build))
        .route("/v1/builds/{selector}/artifacts/{*name}", get(builds::artifact))
        .route("/v1/requests/{key}", get(requests::build))
        .route("/v1/blobs/{digest}", get(blobs::blob))
        .route("/v1/bisections", get(bisections::list))
        .route("/v1/bisections/{id}", get(bisections::record))
        .route("/v1/bisections/{id}/log", get(bisections::log))
        .route("/", get(pages::home))
        .route("/bisections/{id}", get(pages::bisection))
        .layer(from_fn_with_state(service.clone(), access::reading));
    Router::new()
        .route("/healthz", get(health::health))
        .route("/v1/token", get(access::token))
        .route("/v1/blobs/{digest}", put(push::blob))
        .route("/v1/builds", post(push::build))
        .merge(reading)
        .fallback(error::no_route)
        .layer(from_fn(metrics::counting))
        .layer(TraceLayer::new_for_http())
        .with_state(service)
}
