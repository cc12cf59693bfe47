//! A [`Problem`] written out as a response.

use ::axum::body::Body;
use ::axum::http::HeaderValue;
use ::axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, RETRY_AFTER};
use ::axum::response::{IntoResponse, Response};
use serde_json::{Map, Value};

use super::Problem;
use crate::stamp::Stamp;
use crate::versioned::Expect;
use crate::web::etag::etag;

/// The problem itself is in the extensions of the response.
impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = Response::new(Body::from(body(&self)));
        *response.status_mut() = self.status();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(seconds) = self.retry_after_seconds() {
            headers.insert(RETRY_AFTER, seconds.into());
        }
        if let Some(current) = self.current() {
            headers.insert(ETAG, etag(current));
        }
        response.extensions_mut().insert(self);
        response
    }
}

fn body(problem: &Problem) -> String {
    let mut body = Map::new();
    let mut put = |name: &str, value: Option<Value>| {
        if let Some(value) = value {
            body.insert(name.to_owned(), value);
        }
    };
    put("type", Some(problem.type_uri().into()));
    put("title", Some(problem.title().into()).filter(|title| *title != ""));
    put("status", Some(problem.status().as_u16().into()));
    put("detail", problem.detail().map(Value::from));
    put("expected", problem.expected().and_then(expectation));
    put("current", problem.found().map(|current| current.map_or(Value::Null, version)));
    put("retryable", Some(problem.is_retryable().into()));
    put("attempts", problem.attempts().map(Value::from));
    Value::Object(body).to_string()
}

/// A string, as the feature `serde` writes it: stamps go up to 2^63, and JavaScript's numbers can't tell those above
/// 2^53 apart. A client sends back what it got, and computes nothing with it.
fn version(stamp: Stamp) -> Value {
    stamp.to_string().into()
}

fn expectation(expect: &Expect) -> Option<Value> {
    match expect {
        Expect::Absent => Some(Value::Null),
        Expect::Present => Some("*".into()),
        Expect::Exact(stamp) => Some(version(*stamp)),
        Expect::OneOf(stamps) => Some(stamps.iter().copied().map(version).collect()),
        // It says what was not wanted, and that is what `current` shows.
        Expect::Any | Expect::NoneOf(_) => None,
    }
}
