//! Errors as clients get them: a status and `{"error": "…"}`, with `"matches": […]` for a name that
//! several things have.

use axum::Json;
use axum::http::header::WWW_AUTHENTICATE;
use axum::http::{HeaderValue, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use kiln_cache::StoreError;
use kiln_cache::query::QueryError;

/// An error with the status that tells a client what to do about it.
#[derive(Debug)]
pub(crate) struct ApiError {
    status: StatusCode,
    message: String,
    /// The whole names that an ambiguous one could mean.
    matches: Vec<String>,
}

impl ApiError {
    /// What was asked for isn't here: ask elsewhere, or build it.
    pub(crate) fn not_found(message: impl Into<String>) -> Self {
        Self { status: StatusCode::NOT_FOUND, message: message.into(), matches: Vec::new() }
    }

    /// The question makes no sense: don't ask it again.
    pub(crate) fn bad_request(message: impl Into<String>) -> Self {
        Self { status: StatusCode::BAD_REQUEST, message: message.into(), matches: Vec::new() }
    }

    /// Whoever asks has to say who it is.
    pub(crate) fn unauthorized(message: String) -> Self {
        Self { status: StatusCode::UNAUTHORIZED, message, matches: Vec::new() }
    }

    /// Whoever asks may not.
    pub(crate) fn forbidden(message: String) -> Self {
        Self { status: StatusCode::FORBIDDEN, message, matches: Vec::new() }
    }

    /// Whether the server, not the question, is at fault.
    pub(crate) fn is_internal(&self) -> bool {
        self.status.is_server_error()
    }

    /// The question has several answers: ask more exactly.
    pub(crate) fn ambiguous(message: impl Into<String>, matches: Vec<String>) -> Self {
        Self { status: StatusCode::CONFLICT, message: message.into(), matches }
    }

    /// The server failed: ask again later, or elsewhere.
    pub(crate) fn internal(error: &(dyn std::error::Error + 'static)) -> Self {
        tracing::error!(error, "request failed");
        let (status, message) = (StatusCode::INTERNAL_SERVER_ERROR, error.to_string());
        Self { status, message, matches: Vec::new() }
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        let message = error.to_string();
        match error {
            StoreError::Missing(_) | StoreError::LetGo(_) => Self::not_found(message),
            StoreError::Query(QueryError::Ambiguous { matches, .. }) => {
                Self::ambiguous(message, matches)
            }
            StoreError::Query(_) => Self::bad_request(message),
            error => Self::internal(&error),
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut body = serde_json::json!({ "error": self.message });
        if !self.matches.is_empty() {
            body["matches"] = self.matches.into();
        }
        let mut response = (self.status, Json(body)).into_response();
        if self.status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

/// Any path that is no route.
pub(crate) async fn no_route(uri: Uri) -> ApiError {
    ApiError::not_found(format!("there is nothing at {}", uri.path()))
}
