//! stub
use std::borrow::Cow;

use ::axum::http::StatusCode;
use ::axum::http::header::RETRY_AFTER;
use ::axum::response::{IntoResponse, Response};

use crate::error::{Busy, TimedOut};

/// stub
#[derive(Clone, Debug)]
pub struct Problem(StatusCode, Cow<'static, str>);

impl Problem {
    /// stub
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.0
    }
    pub(super) fn queue_full() -> Self {
        Self(StatusCode::SERVICE_UNAVAILABLE, "queue full".into())
    }
    pub(super) fn shutting_down() -> Self {
        Self(StatusCode::SERVICE_UNAVAILABLE, "shutting down".into())
    }
    pub(super) fn bad_key(detail: impl Into<Cow<'static, str>>) -> Self {
        Self(StatusCode::BAD_REQUEST, detail.into())
    }
    pub(super) fn no_key_configured(detail: &'static str) -> Self {
        Self(StatusCode::INTERNAL_SERVER_ERROR, detail.into())
    }
}
impl From<Busy> for Problem {
    fn from(_: Busy) -> Self {
        Self(StatusCode::CONFLICT, "busy".into())
    }
}
impl From<TimedOut> for Problem {
    fn from(_: TimedOut) -> Self {
        Self(StatusCode::SERVICE_UNAVAILABLE, "timed out".into())
    }
}
impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        (self.0, [(RETRY_AFTER, "1")], self.1).into_response()
    }
}
