//! Who may do what: anybody may read unless the service is private; adding needs a token, unless
//! the service takes uploads from whoever can connect.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Json;
use axum::extract::{FromRef, FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use axum::middleware::Next;
use axum::response::Response;
use kiln_cache::Store;
use kiln_cache::tokens::{Scope, Token};
use metrics::counter;
use quick_cache::sync::Cache;

use super::error::ApiError;
use super::state::Service;

/// How long a token that was found valid is not looked up again: a revoked one may be used so much
/// longer.
const TRUSTED: Duration = Duration::from_secs(2);

/// The rules of one service.
pub(crate) struct Access {
    /// Whether reading needs a token.
    is_private: bool,
    /// Whether whoever can connect may send files.
    takes_uploads: bool,
    seen: Cache<String, (Instant, Token)>,
}

impl Access {
    pub(crate) fn new(is_private: bool, takes_uploads: bool) -> Self {
        Self { is_private, takes_uploads, seen: Cache::new(1024) }
    }

    /// Lets a request pass, or says why not.
    async fn check(
        &self,
        store: &Store,
        headers: &HeaderMap,
        needed: Scope,
    ) -> Result<Option<Token>, ApiError> {
        let Some(secret) = bearer(headers) else {
            if needed == Scope::Read && !self.is_private {
                return Ok(None);
            }
            refused("no-token");
            return Err(ApiError::unauthorized(format!(
                "this needs a token for '{}': `kiln token create` makes one where the store is; kiln \
                 takes it from KILN_TOKEN, other programs send Authorization: Bearer TOKEN",
                needed.name()
            )));
        };
        let seen = self.seen.get(secret).filter(|(since, _)| since.elapsed() < TRUSTED);
        let token = match seen {
            Some((_, token)) => Some(token),
            None => store.token_of(secret).await?,
        };
        let Some(token) = token else {
            refused("unknown-token");
            return Err(ApiError::unauthorized("the token is not valid here, or no longer".into()));
        };
        self.seen.insert(secret.to_owned(), (Instant::now(), token.clone()));
        if token.scope < needed {
            refused("scope");
            return Err(ApiError::forbidden(format!(
                "the token '{}' is for '{}', and this needs '{}'",
                token.name,
                token.scope.name(),
                needed.name()
            )));
        }
        Ok(Some(token))
    }
}

/// `GET /v1/token`: whether one's token may add builds, before anything is sent.
pub(crate) async fn token(Writer(token): Writer) -> Json<Token> {
    Json(token)
}

fn refused(why: &'static str) {
    counter!("kiln_refused_total", "why" => why).increment(1);
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, secret) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| secret.trim())
}

/// The layer of everything that reads.
pub(crate) async fn reading(
    State(service): State<Service>,
    request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    service.access.check(&service.store, request.headers(), Scope::Read).await?;
    Ok(next.run(request).await)
}

/// An argument of everything that adds: the token that allows it.
#[derive(Debug)]
pub(crate) struct Writer(pub(crate) Token);

impl<S> FromRequestParts<S> for Writer
where
    S: Send + Sync,
    Store: FromRef<S>,
    Arc<Access>: FromRef<S>,
{
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Self::Rejection> {
        let (store, access) = (Store::from_ref(state), Arc::<Access>::from_ref(state));
        let token = access.check(&store, &parts.headers, Scope::Write).await?;
        token.map(Self).ok_or_else(|| ApiError::unauthorized("this needs a token".into()))
    }
}

/// An argument of what takes files: whoever can connect where the service was told so, else like
/// [`Writer`].
pub(crate) struct Uploader;

impl<S> FromRequestParts<S> for Uploader
where
    S: Send + Sync,
    Store: FromRef<S>,
    Arc<Access>: FromRef<S>,
{
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Self::Rejection> {
        if !Arc::<Access>::from_ref(state).takes_uploads {
            Writer::from_request_parts(parts, state).await?;
        }
        Ok(Self)
    }
}
