//! Bodies that are JSON objects, and the refusals of others.

use std::borrow::Cow;

use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use axum::http::StatusCode;
use latchwork::web::Problem;
use serde::de::DeserializeOwned;
use serde_json::error::Category;

/// Larger bodies are refused unread.
pub(crate) const MAX_BODY: usize = 16 * 1024;

/// What a body is read as.
pub(crate) trait Content: DeserializeOwned {
    /// An example for clients whose body is not like it.
    const LIKE: &str;

    /// Returns the content, if it is in order.
    fn checked(self) -> Result<Self, Problem>;
}

/// A body that is one JSON object.
pub(crate) struct Body<T>(pub(crate) T);

impl<T: Content, S: Send + Sync> FromRequest<S> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let body = Bytes::from_request(request, state).await;
        let body = body.map_err(|rejection| match rejection.status() {
            status @ StatusCode::PAYLOAD_TOO_LARGE => {
                Problem::new(status).with_detail(format!("the body is longer than {MAX_BODY} bytes"))
            }
            status => Problem::new(status).with_detail(rejection.body_text()),
        })?;
        // Derived code takes an array for a struct, too.
        if !body.trim_ascii_start().starts_with(b"{") {
            return Err(bad_request(format!("the body must be a JSON object like {}", T::LIKE)));
        }
        let content: T = serde_json::from_slice(&body).map_err(|error| {
            let detail = format!("the body must be like {}: {error}", T::LIKE);
            match error.classify() {
                Category::Data => unprocessable(detail),
                _ => bad_request(detail),
            }
        })?;
        Ok(Self(content.checked()?))
    }
}

pub(crate) fn bad_request(detail: impl Into<Cow<'static, str>>) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST).with_detail(detail)
}

pub(crate) fn unprocessable(detail: impl Into<Cow<'static, str>>) -> Problem {
    Problem::new(StatusCode::UNPROCESSABLE_ENTITY).with_detail(detail)
}
