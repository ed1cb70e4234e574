//! Blobs: verified bytes, whole or in part.

use std::ops::Range;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use http_range_header::parse_range_header;
use kiln_cache::{Digest, StoreError};
use metrics::counter;

use super::error::ApiError;
use super::push::awaited;
use super::state::Service;

/// How long the address of a blob in the bucket can be used.
const SIGNED: Duration = Duration::from_secs(15 * 60);

/// How a blob is wanted.
#[derive(Debug, serde::Deserialize)]
pub(crate) struct Form {
    /// `stored`: packed as it is stored, from the bucket itself where that can be.
    form: Option<String>,
}

/// One blob.
pub(crate) async fn blob(
    State(service): State<Service>,
    Path(digest): Path<String>,
    Query(form): Query<Form>,
    method: Method,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let digest: Digest = digest
        .parse()
        .map_err(|error: kiln_cache::ParseDigestError| ApiError::bad_request(error.to_string()))?;
    // Whoever only asks may be about to send it.
    if method == Method::HEAD && awaited(&service.uploads, &digest).await {
        return Ok(on_its_way());
    }
    match form.form.as_deref() {
        // What a client need not send must be in the store, not only in this process.
        None | Some("plain") if method == Method::HEAD => {
            service.pieces.open_anew(&service.store, &digest).await.map_err(wanting)?;
            serve(&service, &digest, &headers).await
        }
        None | Some("plain") => serve(&service, &digest, &headers).await,
        Some("stored") => stored(&service, &digest).await,
        Some(other) => {
            Err(ApiError::bad_request(format!("'{other}' is no form of a blob: plain, stored")))
        }
    }
}

/// Says that somebody else is sending the blob: no need to, ask again.
fn on_its_way() -> Response {
    counted("miss", "on-its-way");
    (StatusCode::NOT_FOUND, [(header::RETRY_AFTER, "0")]).into_response()
}

/// Sends the client to the bucket for the packed bytes, which it proves by itself.
async fn stored(service: &Service, digest: &Digest) -> Result<Response, ApiError> {
    let url = match service.redirects && service.store.contains(digest).await? {
        true => service.store.signed_url(digest, SIGNED).await?,
        false => None,
    };
    let url = url.and_then(|url| HeaderValue::from_str(&url).ok());
    let Some(url) = url else {
        let why = "that blob has no address of its own here: ask for its plain form";
        return Err(ApiError::not_found(why));
    };
    counted("hit", "redirected");
    used(service, digest);
    let mut response = StatusCode::TEMPORARY_REDIRECT.into_response();
    response.headers_mut().insert(header::LOCATION, url);
    // The address is for a quarter of an hour.
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

/// Remembers that somebody asked for a blob, while they get it.
fn used(service: &Service, digest: &Digest) {
    let (store, digest) = (service.store.clone(), *digest);
    tokio::spawn(async move { store.used_file(&digest).await });
}

fn counted(result: &'static str, why: &'static str) {
    counter!("kiln_blobs_total", "result" => result, "why" => why).increment(1);
}

/// Counts a blob that can't be opened.
fn refused(error: StoreError) -> ApiError {
    match &error {
        StoreError::Missing(_) => counted("miss", "unknown-blob"),
        StoreError::LetGo(_) => counted("miss", "let-go"),
        StoreError::Corrupt { .. } => counted("miss", "corrupt"),
        _ => counted("error", "store"),
    }
    error.into()
}

/// The same for whoever may have its bytes: what only they can mend is not here.
fn wanting(error: StoreError) -> ApiError {
    match &error {
        StoreError::Corrupt { .. } | StoreError::NotRepeated(_) => {
            counted("miss", "corrupt");
            ApiError::not_found(error.to_string())
        }
        _ => refused(error),
    }
}

/// Answers with a blob: whole, one range of it, or "you have it".
///
/// The bytes are checked frame by frame while they stream. A frame that is found to be wrong ends
/// the body early, so that a client sees a cut transfer and never a wrong byte.
pub(super) async fn serve(
    service: &Service,
    digest: &Digest,
    headers: &HeaderMap,
) -> Result<Response, ApiError> {
    let etag = format!("\"{digest}\"");
    if holds(headers, &header::IF_NONE_MATCH, &etag) {
        counted("hit", "not-modified");
        return Ok((StatusCode::NOT_MODIFIED, [(header::ETAG, etag)]).into_response());
    }
    let reader = service.pieces.open(&service.store, digest).await.map_err(refused)?;
    used(service, digest);
    let size = reader.size();
    let range = match wanted(headers, &etag, size) {
        Wanted::Whole => None,
        Wanted::Part(range) => Some(range),
        Wanted::Nowhere => {
            let whole = format!("bytes */{size}");
            return Ok((StatusCode::RANGE_NOT_SATISFIABLE, [(header::CONTENT_RANGE, whole)])
                .into_response());
        }
    };
    let bytes = range.clone().unwrap_or(0..size);
    let length = bytes.end - bytes.start;
    counted("hit", if range.is_some() { "range" } else { "whole" });
    let body = Body::from_stream(service.pieces.stream(reader, bytes));
    let mut response = Response::new(body);
    if let Some(range) = &range {
        *response.status_mut() = StatusCode::PARTIAL_CONTENT;
        let part = format!("bytes {}-{}/{size}", range.start, range.end.saturating_sub(1));
        set(&mut response, header::CONTENT_RANGE, &part);
    }
    set(&mut response, header::CONTENT_LENGTH, &length.to_string());
    set(&mut response, header::CONTENT_TYPE, "application/octet-stream");
    set(&mut response, header::ACCEPT_RANGES, "bytes");
    set(&mut response, header::ETAG, &etag);
    // A digest names its content for ever.
    set(&mut response, header::CACHE_CONTROL, "public, max-age=31536000, immutable");
    Ok(response)
}

fn set(response: &mut Response, name: header::HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(name, value);
    }
}

pub(super) fn holds(headers: &HeaderMap, name: &header::HeaderName, etag: &str) -> bool {
    headers.get_all(name).iter().filter_map(|value| value.to_str().ok()).any(|value| {
        value
            .split(',')
            .map(str::trim)
            .any(|tag| tag == "*" || tag.trim_start_matches("W/") == etag)
    })
}

/// What a request asks for.
#[derive(Debug, PartialEq, Eq)]
enum Wanted {
    Whole,
    Part(Range<u64>),
    Nowhere,
}

/// One range is served as such; several, or anything unreadable, get the whole (RFC 9110, 14.2
/// lets a server ignore `Range`). `If-Range` with another tag gets the whole too.
fn wanted(headers: &HeaderMap, etag: &str, size: u64) -> Wanted {
    let Some(range) = headers.get(header::RANGE).and_then(|value| value.to_str().ok()) else {
        return Wanted::Whole;
    };
    if headers.contains_key(header::IF_RANGE) && !holds(headers, &header::IF_RANGE, etag) {
        return Wanted::Whole;
    }
    let Ok(parsed) = parse_range_header(range) else { return Wanted::Whole };
    match parsed.validate(size) {
        Ok(ranges) => match ranges.as_slice() {
            [one] => Wanted::Part(*one.start()..one.end() + 1),
            _ => Wanted::Whole,
        },
        Err(_) => Wanted::Nowhere,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(pairs: &[(header::HeaderName, &str)]) -> Wanted {
        let headers = pairs
            .iter()
            .map(|(name, value)| (name.clone(), HeaderValue::from_str(value).unwrap()))
            .collect();
        wanted(&headers, "\"tag\"", 100)
    }

    #[test]
    fn ranges() {
        assert_eq!(ask(&[]), Wanted::Whole);
        assert_eq!(ask(&[(header::RANGE, "bytes=0-9")]), Wanted::Part(0..10));
        assert_eq!(ask(&[(header::RANGE, "bytes=90-")]), Wanted::Part(90..100));
        assert_eq!(ask(&[(header::RANGE, "bytes=-5")]), Wanted::Part(95..100));
        assert_eq!(ask(&[(header::RANGE, "bytes=100-")]), Wanted::Nowhere);
        assert_eq!(ask(&[(header::RANGE, "lines=1-2")]), Wanted::Whole);
    }

    #[test]
    fn a_range_of_something_else_gets_the_whole() {
        let range = (header::RANGE, "bytes=5-");
        assert_eq!(ask(&[range.clone(), (header::IF_RANGE, "\"tag\"")]), Wanted::Part(5..100));
        assert_eq!(ask(&[range, (header::IF_RANGE, "\"other\"")]), Wanted::Whole);
    }
}
