//! What comes from outside, checked: the user's id, and the click on "generate".

use std::borrow::Cow;
use std::ops::RangeInclusive;

use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::StatusCode;
use axum::http::request::Parts;
use latchwork::web::Problem;
use serde::Deserialize;
use serde_json::error::Category;

/// Larger bodies are refused unread.
pub(crate) const MAX_BODY: usize = 1024;

const MAX_USER: usize = 64;
const DAYS: RangeInclusive<usize> = 1..=14;

/// A user's id: short, visible characters only.
pub(crate) struct User(pub(crate) String);

impl<S: Send + Sync> FromRequestParts<S> for User {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let user = Path::<String>::from_request_parts(parts, state).await;
        let Path(user) = user.map_err(|rejection| refusal(rejection.status(), rejection.body_text()))?;
        if user.is_empty() || user.contains(|c: char| c.is_whitespace() || c.is_control()) {
            return Err(refusal(
                StatusCode::BAD_REQUEST,
                "the user id must not be empty or contain white space",
            ));
        }
        if user.chars().count() > MAX_USER {
            return Err(refusal(
                StatusCode::BAD_REQUEST,
                format!("the user id is longer than {MAX_USER} characters"),
            ));
        }
        Ok(Self(user))
    }
}

/// A click on "generate".
pub(crate) struct Click {
    pub(crate) user: String,
    pub(crate) days: usize,
    pub(crate) fault: Fault,
}

/// What shall go wrong on the way, to see that the user's key is free afterwards.
#[derive(Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Fault {
    #[serde(default)]
    pub(crate) fail: bool,
    #[serde(default)]
    pub(crate) panic: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    #[serde(default = "a_week")]
    days: usize,
}

impl<S: Send + Sync> FromRequest<S> for Click {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let (mut parts, body) = request.into_parts();
        let User(user) = User::from_request_parts(&mut parts, state).await?;
        let fault = Query::from_request_parts(&mut parts, state).await;
        let Query(fault) = fault.map_err(|rejection| refusal(rejection.status(), rejection.body_text()))?;
        let body = Bytes::from_request(Request::from_parts(parts, body), state).await;
        let body = body.map_err(|rejection| refusal(rejection.status(), rejection.body_text()))?;
        Ok(Self { user, days: days(&body)?, fault })
    }
}

/// No body means a week.
fn days(body: &[u8]) -> Result<usize, Problem> {
    if body.is_empty() {
        return Ok(a_week());
    }
    // Derived code takes an array for a struct, too.
    if !body.trim_ascii_start().starts_with(b"{") {
        return Err(refusal(StatusCode::BAD_REQUEST, "the body must be a JSON object like {\"days\": 7}"));
    }
    let Body { days } = serde_json::from_slice(body).map_err(|error| {
        let status = match error.classify() {
            Category::Data => StatusCode::UNPROCESSABLE_ENTITY,
            _ => StatusCode::BAD_REQUEST,
        };
        refusal(status, format!("the body must be like {{\"days\": 7}}: {error}"))
    })?;
    if !DAYS.contains(&days) {
        let detail = format!("days must be from {} to {}", DAYS.start(), DAYS.end());
        return Err(refusal(StatusCode::UNPROCESSABLE_ENTITY, detail));
    }
    Ok(days)
}

fn refusal(status: StatusCode, detail: impl Into<Cow<'static, str>>) -> Problem {
    Problem::new(status).with_detail(detail)
}

fn a_week() -> usize {
    7
}
