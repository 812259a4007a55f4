//! Errors as problem documents (RFC 9457), with the `error` field that clients of the earlier program read.

use axum::Json;
use axum::http::StatusCode;
use axum::http::header::{CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER};
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};

use crate::domain::ControlError;

/// One failed request: what happened and what to do, as the body `{type, title, status, detail, error}` with content type
/// `application/problem+json`.
#[derive(Clone, Debug)]
pub struct Problem {
    status: StatusCode,
    detail: String,
    header: Option<(HeaderName, HeaderValue)>,
    /// Fields besides the common ones (RFC 9457, extension members).
    more: Option<Box<Map<String, Value>>>,
}

impl Problem {
    /// A problem with this status; `detail` is a sentence for the person who sent the request.
    #[must_use]
    pub fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self {
            status,
            detail: detail.into(),
            header: None,
            more: None,
        }
    }

    /// 503, with the seconds after which to ask again.
    #[must_use]
    pub fn unavailable(detail: impl Into<String>, retry_after: u32) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, detail)
            .with_header(RETRY_AFTER, HeaderValue::from(retry_after))
    }

    /// The same with a header of its own.
    #[must_use]
    pub fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.header = Some((name, value));
        self
    }

    /// The same with a field of its own.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<Value>) -> Self {
        let more = self.more.get_or_insert_default();
        more.insert(name.into(), value.into());
        self
    }
}

impl From<ControlError> for Problem {
    fn from(error: ControlError) -> Self {
        match error {
            ControlError::Busy => Self::unavailable(error.to_string(), 1),
            ControlError::Stopped => Self::new(StatusCode::SERVICE_UNAVAILABLE, error.to_string()),
            ControlError::NotFound => Self::new(StatusCode::NOT_FOUND, error.to_string()),
            ControlError::Failed => Self::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut body = json!({
            "type": "about:blank",
            "title": self.status.canonical_reason().unwrap_or("Error"),
            "status": self.status.as_u16(),
            "detail": self.detail,
            "error": self.detail,
        });
        if let (Some(more), Some(fields)) = (self.more, body.as_object_mut()) {
            fields.extend(*more);
        }
        let mut response = (self.status, Json(body)).into_response();
        response.headers_mut().extend(self.header);
        response.headers_mut().insert(
            CONTENT_TYPE,
            HeaderValue::from_static("application/problem+json"),
        );
        response
    }
}
