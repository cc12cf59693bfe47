//! [`Sharing`]: which answers are shared.

use std::str;
use std::time::SystemTime;

use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};

use super::cache_control::{CacheControl, Unreadable, seconds};
use super::request::{Common, Credentials};
use super::words::words;

/// Statuses of answers that may be reused, even if their headers do not say for how long (RFC 9110, section 15.1). 206 is
/// left out, as it answers a range.
const REUSABLE: [StatusCode; 11] = [
    StatusCode::OK,
    StatusCode::NON_AUTHORITATIVE_INFORMATION,
    StatusCode::NO_CONTENT,
    StatusCode::MULTIPLE_CHOICES,
    StatusCode::MOVED_PERMANENTLY,
    StatusCode::PERMANENT_REDIRECT,
    StatusCode::NOT_FOUND,
    StatusCode::METHOD_NOT_ALLOWED,
    StatusCode::GONE,
    StatusCode::URI_TOO_LONG,
    StatusCode::NOT_IMPLEMENTED,
];

/// Statuses of answers to one request or one client, whatever their headers say: parts of an answer, requests for
/// credentials, and the statuses of RFC 6585, which no cache may store.
const NEVER: [StatusCode; 8] = [
    StatusCode::PARTIAL_CONTENT,
    StatusCode::NOT_MODIFIED,
    StatusCode::UNAUTHORIZED,
    StatusCode::PROXY_AUTHENTICATION_REQUIRED,
    StatusCode::PRECONDITION_REQUIRED,
    StatusCode::TOO_MANY_REQUESTS,
    StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
    StatusCode::NETWORK_AUTHENTICATION_REQUIRED,
];

/// Media types whose bodies come in parts over time.
const STREAMS: [&str; 9] = [
    "application/json-seq",
    "application/jsonl",
    "application/jsonlines",
    "application/ndjson",
    "application/stream+json",
    "application/x-jsonlines",
    "application/x-ndjson",
    "multipart/x-mixed-replace",
    "text/event-stream",
];

/// With "no", an answer asks proxies to send each part at once.
const X_ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// What happens with an answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Sharing {
    /// All requests that joined get it, after it was read to its end.
    Shared,
    /// Only the leader gets it. Each request that joined calls the service itself.
    Alone,
    /// Only the leader gets it. One of the requests that joined leads, and the others stay joined.
    Failed,
}

/// What a layer and its request say about answers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rules {
    policy: Credentials,
    is_of_one_user: bool,
    shares_failures: bool,
}

impl Rules {
    pub(super) fn new(common: &Common, shares_failures: bool) -> Self {
        Self { policy: common.policy(), is_of_one_user: common.is_of_one_user(), shares_failures }
    }

    /// Decides about an answer by its head.
    pub(super) fn judge<B>(self, answer: &Response<B>) -> Sharing {
        let (status, headers) = (answer.status(), answer.headers());
        let said = CacheControl::read(headers).ok().filter(|said| !self.is_for_one(headers, said));
        let is_reusable = said.as_ref().is_some_and(|said| is_reusable(status, headers, said));
        let is_failure = is_failure(status);
        let is_shared = is_reusable || (is_failure && self.shares_failures && said.is_some());
        match (is_shared && !NEVER.contains(&status) && !is_stream(headers), is_failure) {
            (true, _) => Sharing::Shared,
            (false, true) => Sharing::Failed,
            (false, false) => Sharing::Alone,
        }
    }

    /// Returns `true` if the headers say that not all requests with equal [`Common`] may get the answer.
    fn is_for_one(self, headers: &HeaderMap, said: &CacheControl) -> bool {
        let is_compared = |word: &[u8]| {
            self.policy.compared().any(|name| word.eq_ignore_ascii_case(name.as_str().as_bytes()))
        };
        headers.contains_key(header::SET_COOKIE)
            || (said.is_private && !self.is_of_one_user)
            || !words(headers, &header::VARY).all(is_compared)
    }
}

/// Returns `true` if the service is down or overloaded.
pub(super) fn is_failure(status: StatusCode) -> bool {
    status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS
}

/// Returns `true` if a cache may reuse the answer (RFC 9111, sections 3 and 4.2).
fn is_reusable(status: StatusCode, headers: &HeaderMap, said: &CacheControl) -> bool {
    let is_known = REUSABLE.contains(&status);
    if status.is_informational() || said.no_cache || said.no_store || (said.must_understand && !is_known) {
        return false;
    }
    match is_fresh(headers, said) {
        Ok(Some(is_fresh)) => is_fresh,
        Ok(None) => is_known || said.is_public,
        Err(Unreadable) => false,
    }
}

/// Returns `None` if the answer does not say how long it is fresh.
fn is_fresh(headers: &HeaderMap, said: &CacheControl) -> Result<Option<bool>, Unreadable> {
    let lifetime = match said.s_maxage.or(said.max_age) {
        Some(seconds) => seconds,
        None => match date(headers, &header::EXPIRES)? {
            Some(end) => {
                let begin = date(headers, &header::DATE)?.unwrap_or_else(SystemTime::now);
                end.duration_since(begin).map_or(0, |lifetime| lifetime.as_secs())
            }
            None => return Ok(None),
        },
    };
    let age = only(headers, &header::AGE)?.map_or(Ok(0), seconds)?;
    Ok(Some(lifetime > age))
}

fn date(headers: &HeaderMap, name: &HeaderName) -> Result<Option<SystemTime>, Unreadable> {
    let Some(date) = only(headers, name)? else { return Ok(None) };
    let date = str::from_utf8(date).ok().and_then(|date| httpdate::parse_http_date(date).ok());
    date.map(Some).ok_or(Unreadable)
}

/// Returns the value of a header that must not occur twice.
fn only<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Result<Option<&'h [u8]>, Unreadable> {
    let mut values = headers.get_all(name).into_iter().map(HeaderValue::as_bytes);
    match (values.next(), values.next()) {
        (value, None) => Ok(value),
        (_, Some(_)) => Err(Unreadable),
    }
}

/// Returns `true` if the answer comes in parts that the client must get at once.
fn is_stream(headers: &HeaderMap) -> bool {
    let is_stream = |word: &[u8]| {
        let media = word.split(|byte| *byte == b';').next().unwrap_or(word).trim_ascii_end();
        let begins =
            |with: &[u8]| media.get(..with.len()).is_some_and(|part| part.eq_ignore_ascii_case(with));
        let ends = |with: &[u8]| {
            let rest = media.len().checked_sub(with.len()).and_then(|start| media.get(start..));
            rest.is_some_and(|part| part.eq_ignore_ascii_case(with))
        };
        STREAMS.iter().any(|stream| media.eq_ignore_ascii_case(stream.as_bytes()))
            || begins(b"application/grpc")
            || ends(b"+json-seq")
    };
    words(headers, &header::CONTENT_TYPE).any(is_stream)
        || words(headers, &X_ACCEL_BUFFERING).any(|word| word.eq_ignore_ascii_case(b"no"))
}
