//! A [`Problem`] written as a response.

use http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, RETRY_AFTER};
use http::{HeaderValue, Response};
use serde_json::{Map, Value};

use super::Problem;
use crate::stamp::Stamp;
use crate::versioned::Expect;
use crate::web::etag::etag;

impl Problem {
    /// Returns the problem as a response, with any body that can be made from a string.
    ///
    /// The problem itself is in the extensions of the response. Handlers of axum return the problem as it is.
    ///
    /// # Examples
    ///
    /// ```
    /// use bytes::Bytes;
    /// use http_body_util::Full;
    /// use latchwork::web::Problem;
    ///
    /// let response: http::Response<Full<Bytes>> = Problem::queue_full().response();
    /// assert_eq!((response.status().as_u16(), &response.headers()["retry-after"]), (503, &"1".parse()?));
    /// # Ok::<(), http::header::InvalidHeaderValue>(())
    /// ```
    #[must_use]
    pub fn response<B: From<String>>(self) -> Response<B> {
        let mut response = Response::new(B::from(body(&self)));
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

/// Returns a stamp as a string, as the feature `serde` writes it. Stamps go up to 2^63, and JavaScript can't tell
/// numbers above 2^53 apart. A client sends the version back, and does not compute with it.
fn version(stamp: Stamp) -> Value {
    stamp.to_string().into()
}

fn expectation(expect: &Expect) -> Option<Value> {
    match expect {
        Expect::Absent => Some(Value::Null),
        Expect::Present => Some("*".into()),
        Expect::Exact(stamp) => Some(version(*stamp)),
        Expect::OneOf(stamps) => Some(stamps.iter().copied().map(version).collect()),
        // The version that was excluded is in `current`.
        Expect::Any | Expect::NoneOf(_) => None,
    }
}
