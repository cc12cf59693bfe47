//! Every refusal of the services: a status and an `application/problem+json` body (RFC 9457).

use std::borrow::Cow;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use latchwork::{RetryError, RetryKind, Stamp, Verdict};
use serde_json::json;

use crate::answer;
use crate::input::IfMatch;
use crate::policies::{StoreError, verdict};

#[derive(Debug)]
pub(crate) struct Problem {
    status: StatusCode,
    detail: Cow<'static, str>,
    /// The version that should have been sent.
    current: Option<Stamp>,
}

impl Problem {
    pub(crate) fn new(status: StatusCode, detail: impl Into<Cow<'static, str>>) -> Self {
        Self { status, detail: detail.into(), current: None }
    }

    pub(crate) fn bad_request(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, detail)
    }

    pub(crate) fn unprocessable(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, detail)
    }

    pub(crate) fn no_card() -> Self {
        Self::new(StatusCode::NOT_FOUND, "there is no such card")
    }

    /// An edit that was not saved; a stale one is told which version there is now.
    pub(crate) fn from_edit(error: RetryError<StoreError>, if_match: IfMatch) -> Self {
        let StoreError::Stale { current } = error.error else { return error.into() };
        let status = match if_match {
            IfMatch::Version(_) => StatusCode::PRECONDITION_FAILED,
            IfMatch::Absent => StatusCode::CONFLICT,
        };
        let detail = format!("the card has been changed meanwhile: version {current} is the current one");
        Self { current: Some(current), ..Self::new(status, detail) }
    }

    fn store_failed() -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "the store failed")
    }

    pub(crate) fn try_later(detail: &'static str) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, detail)
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        match (&error, verdict(&error)) {
            (StoreError::NoCard, _) => Self::no_card(),
            (StoreError::Sql(sqlx::Error::PoolTimedOut), _) => Self::try_later("too many are writing"),
            // Taken names are not a matter of time, unless the handler knows better.
            (_, Verdict::Retry(kind)) if kind != RetryKind::UniqueViolation => {
                Self::try_later("others were in the way every time")
            }
            (StoreError::Stale { .. } | StoreError::Sql(_), _) => {
                eprintln!("the store failed: {error}");
                Self::store_failed()
            }
        }
    }
}

impl From<RetryError<StoreError>> for Problem {
    fn from(error: RetryError<StoreError>) -> Self {
        error.into_inner().into()
    }
}

impl From<sqlx::Error> for Problem {
    fn from(error: sqlx::Error) -> Self {
        match error {
            // The naive handlers' lost races: there are many, and they are counted.
            sqlx::Error::Database(error) if error.is_unique_violation() => Self::store_failed(),
            error => StoreError::from(error).into(),
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let Self { status, detail, current } = self;
        let title = status.canonical_reason();
        let mut body =
            json!({ "type": "about:blank", "title": title, "status": status.as_u16(), "detail": detail });
        if let Some(current) = current {
            body["current_version"] = current.get().into();
        }
        let mut response =
            (status, [(header::CONTENT_TYPE, "application/problem+json")], body.to_string()).into_response();
        let headers = response.headers_mut();
        if let Some(current) = current {
            headers.insert(header::ETAG, answer::etag(current));
        }
        if status == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}
