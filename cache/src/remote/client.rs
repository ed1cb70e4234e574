//! Questions to another Kiln.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use reqwest::redirect::Policy;
use reqwest::{Client, ClientBuilder, Response, StatusCode, Url};
use serde::Deserialize;

use crate::input::InputKey;
use crate::manifest::{FORMAT, Manifest};

use super::error::RemoteError;

/// Characters of an error page that are passed on.
const QUOTED: usize = 500;

/// How long to wait for a remote Kiln.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// For a connection.
    pub connect: Duration,
    /// For the next bytes of an answer.
    pub idle: Duration,
}

impl Default for Timeouts {
    /// 3 seconds to connect: a build must not wait long for a cache that is down. 30 seconds
    /// between bytes.
    fn default() -> Self {
        Self { connect: Duration::from_secs(3), idle: Duration::from_secs(30) }
    }
}

/// Another Kiln, by its address.
#[derive(Clone, Debug)]
pub struct Remote {
    pub(super) client: Client,
    pub(super) timeouts: Timeouts,
    headers: HeaderMap,
    rare: Arc<Rare>,
    base: Url,
}

/// Clients for single purposes, made when they are first needed.
#[derive(Debug, Default)]
struct Rare {
    sending: OnceLock<Client>,
    asking: OnceLock<Client>,
    elsewhere: OnceLock<Client>,
}

fn builder(timeouts: Timeouts) -> ClientBuilder {
    Client::builder()
        .connect_timeout(timeouts.connect)
        .user_agent(concat!("kiln/", env!("CARGO_PKG_VERSION")))
}

/// The body of an error, as `kiln serve` writes it.
#[derive(Deserialize)]
struct ErrorBody {
    error: String,
    #[serde(default)]
    matches: Vec<String>,
}

impl Remote {
    /// A client for the Kiln at `url` (`http` or `https`, perhaps with a path).
    pub fn new(url: &str, timeouts: Timeouts) -> Result<Self, RemoteError> {
        Self::with_token(url, timeouts, None)
    }

    /// The same, with a token of that Kiln (`kiln token create`), which is sent with every request.
    pub fn with_token(
        url: &str,
        timeouts: Timeouts,
        token: Option<&str>,
    ) -> Result<Self, RemoteError> {
        let fail = |why: String| RemoteError::Url { url: url.to_owned(), why };
        let base = Url::parse(url).map_err(|error| fail(error.to_string()))?;
        if !matches!(base.scheme(), "http" | "https") || base.cannot_be_a_base() {
            return Err(fail(format!("'{}' is no scheme for it", base.scheme())));
        }
        let mut headers = HeaderMap::new();
        if let Some(token) = token {
            let mut value = HeaderValue::from_str(&format!("Bearer {token}"))
                .map_err(|_| fail("the token has characters that no token has".into()))?;
            value.set_sensitive(true);
            headers.insert(AUTHORIZATION, value);
        }
        let client = builder(timeouts).default_headers(headers.clone());
        let client = client.read_timeout(timeouts.idle).build();
        let client = client.map_err(|error| fail(error.to_string()))?;
        Ok(Self { client, timeouts, headers, rare: Arc::default(), base })
    }

    /// A client without a limit on the time until an answer begins: that comes after all was sent,
    /// or read. Who uses it sets one. A server whose machine is gone is noticed all the same.
    pub(super) fn sending(&self) -> Result<&Client, RemoteError> {
        let own = || builder(self.timeouts).default_headers(self.headers.clone());
        let make = || own().tcp_keepalive(self.timeouts.idle);
        self.made(&self.rare.sending, make)
    }

    /// A client that does not go where an answer leads.
    pub(super) fn asking(&self) -> Result<&Client, RemoteError> {
        let own = || builder(self.timeouts).default_headers(self.headers.clone());
        let make = || own().read_timeout(self.timeouts.idle).redirect(Policy::none());
        self.made(&self.rare.asking, make)
    }

    /// A client that has no token, for addresses that a Kiln names.
    pub(super) fn elsewhere(&self) -> Result<&Client, RemoteError> {
        let make = || builder(self.timeouts).read_timeout(self.timeouts.idle);
        self.made(&self.rare.elsewhere, make)
    }

    fn made<'a>(
        &self,
        place: &'a OnceLock<Client>,
        make: impl FnOnce() -> ClientBuilder,
    ) -> Result<&'a Client, RemoteError> {
        if let Some(client) = place.get() {
            return Ok(client);
        }
        let client = make().build().map_err(|error| self.broken(error))?;
        Ok(place.get_or_init(|| client))
    }

    /// The address.
    pub fn url(&self) -> &str {
        self.base.as_str()
    }

    /// The build that a name leads to ([`crate::Query`] says which names there are); `None` when
    /// the remote knows none. A build that does not fit its own key is refused.
    pub async fn build(&self, selector: &str) -> Result<Option<Manifest>, RemoteError> {
        self.manifest(&["v1", "builds", selector]).await
    }

    /// The build that a request is known to lead to; `None` when the remote knows none.
    pub async fn build_of_request(
        &self,
        request: &InputKey,
    ) -> Result<Option<Manifest>, RemoteError> {
        self.manifest(&["v1", "requests", &request.to_string()]).await
    }

    async fn manifest(&self, segments: &[&str]) -> Result<Option<Manifest>, RemoteError> {
        let url = self.address(segments);
        let response = self.client.get(url).send().await.map_err(|error| self.broken(error))?;
        match response.status() {
            StatusCode::NOT_FOUND => return Ok(None),
            StatusCode::OK => {}
            _ => return Err(self.refusal(response).await),
        }
        let body = response.bytes().await.map_err(|error| self.broken(error))?;
        let manifest: Manifest =
            serde_json::from_slice(&body).map_err(|error| self.nonsense(error.to_string()))?;
        if manifest.format > FORMAT {
            let why = format!(
                "a build of format {}, and this Kiln knows formats up to {FORMAT}: update it",
                manifest.format
            );
            return Err(self.nonsense(why));
        }
        if manifest.input.key() != manifest.input_key {
            return Err(self.nonsense("a build whose input has another key".into()));
        }
        Ok(Some(manifest))
    }

    /// An address below the base.
    pub(super) fn address(&self, segments: &[&str]) -> Url {
        let mut url = self.base.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(segments);
        }
        url
    }

    /// The error for an answer that is neither success nor "not found".
    pub(super) async fn refusal(&self, response: Response) -> RemoteError {
        let (url, status) = (self.base.to_string(), response.status());
        let body = response.text().await.unwrap_or_default();
        let parsed: Option<ErrorBody> = serde_json::from_str(&body).ok();
        let message = match &parsed {
            Some(body) => body.error.clone(),
            None if body.trim().is_empty() => "no explanation".to_owned(),
            None => body.trim().chars().take(QUOTED).collect(),
        };
        match status {
            StatusCode::CONFLICT => {
                let missing: Vec<String> = parsed
                    .into_iter()
                    .flat_map(|body| body.matches)
                    .filter(|name| !message.contains(name.as_str()))
                    .collect();
                let list = if missing.is_empty() { String::new() } else { ": ".to_owned() };
                let message = format!("{message}{list}{}", missing.join(", "));
                RemoteError::Ambiguous { message }
            }
            status if status.is_server_error() => {
                RemoteError::Server { url, status: status.as_u16(), message }
            }
            status => RemoteError::Refused { url, status: status.as_u16(), message },
        }
    }

    /// The error for a connection that could not be made or broke.
    pub(super) fn broken(&self, source: reqwest::Error) -> RemoteError {
        RemoteError::Unreachable { url: self.base.to_string(), source: source.without_url() }
    }

    pub(super) fn nonsense(&self, why: String) -> RemoteError {
        RemoteError::Answer { url: self.base.to_string(), why }
    }
}
