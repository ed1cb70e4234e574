//! What happened so far, as Prometheus reads it.

use std::time::{Duration, Instant};

use axum::extract::{MatchedPath, Request, State};
use axum::http::header;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use metrics::{counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};
use metrics_exporter_prometheus::{BuildError, PrometheusBuilder, PrometheusHandle};

use super::state::Service;

/// Upper bounds of the buckets of durations, in seconds.
const SECONDS: [f64; 9] = [0.000_5, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 10.0];

/// How often single durations are added up: nobody may ever ask for them.
const TIDY: Duration = Duration::from_secs(5);

/// Begins to count. Once a process, in a runtime.
pub(crate) fn begin() -> Result<PrometheusHandle, BuildError> {
    let handle = PrometheusBuilder::new().set_buckets(&SECONDS)?.install_recorder()?;
    let tidied = handle.clone();
    tokio::spawn(async move {
        loop {
            tokio::time::sleep(TIDY).await;
            tidied.run_upkeep();
        }
    });
    describe_counter!("kiln_requests_total", "Requests, by route and status");
    describe_histogram!("kiln_request_seconds", "Seconds until an answer began, by route");
    describe_gauge!("kiln_requests_in_flight", "Requests whose answer has not begun");
    describe_counter!("kiln_lookups_total", "Look-ups of builds, by result and why");
    describe_counter!("kiln_blobs_total", "Requests for blobs, by result and why");
    describe_counter!("kiln_blob_bytes_sent_total", "Plain bytes of blobs that were sent");
    describe_counter!("kiln_pieces_total", "Pieces of blobs: in memory (hit), or read (miss)");
    describe_gauge!("kiln_pulls_in_flight", "Blobs that are being sent");
    describe_counter!("kiln_refused_total", "Requests refused for want of a token, by why");
    Ok(handle)
}

/// `GET /metrics`.
pub(crate) async fn metrics(State(service): State<Service>) -> Response {
    let kind = [(header::CONTENT_TYPE, "text/plain; version=0.0.4")];
    (kind, service.metrics.render()).into_response()
}

/// The layer that counts requests. Routes, not paths: paths are without number.
pub(crate) async fn counting(request: Request, next: Next) -> Response {
    let route = request.extensions().get::<MatchedPath>();
    let route = route.map_or_else(|| "none".to_owned(), |route| route.as_str().to_owned());
    let begun = Instant::now();
    gauge!("kiln_requests_in_flight").increment(1);
    let response = next.run(request).await;
    gauge!("kiln_requests_in_flight").decrement(1);
    let status = response.status().as_u16().to_string();
    histogram!("kiln_request_seconds", "route" => route.clone())
        .record(begun.elapsed().as_secs_f64());
    counter!("kiln_requests_total", "route" => route, "status" => status).increment(1);
    response
}
