//! Which requests are equal, and which answers may be shared.

use http::uri::Authority;
use http::{HeaderMap, HeaderName, HeaderValue, Method, header, request};

/// The headers whose values are part of the key, since answers depend on them.
const VARIES: [HeaderName; 5] =
    [header::ACCEPT, header::ACCEPT_ENCODING, header::ACCEPT_LANGUAGE, header::HOST, header::ORIGIN];

/// A request with one of these headers gets an answer that is valid for this request alone.
const ALONE: [HeaderName; 9] = [
    header::ACCESS_CONTROL_REQUEST_HEADERS,
    header::ACCESS_CONTROL_REQUEST_METHOD,
    header::IF_MATCH,
    header::IF_MODIFIED_SINCE,
    header::IF_NONE_MATCH,
    header::IF_RANGE,
    header::IF_UNMODIFIED_SINCE,
    header::RANGE,
    header::UPGRADE,
];

const CREDENTIALS: [HeaderName; 3] = [header::AUTHORIZATION, header::COOKIE, header::PROXY_AUTHORIZATION];

/// What requests that share an answer have in common, beside their key.
#[derive(PartialEq, Eq, Hash, Debug)]
pub(crate) struct Common {
    /// If it is in the request's target, as in HTTP/2.
    host: Option<Authority>,
    /// The values of `VARIES`, in that order.
    varies: [Option<HeaderValue>; 5],
}

impl Common {
    /// Returns `None` for a request that does not share.
    pub(super) fn of(head: &request::Parts, shares_credentials: bool) -> Option<Self> {
        let has = |names: &[HeaderName]| names.iter().any(|name| head.headers.contains_key(name));
        let is_single = |name: &HeaderName| head.headers.get_all(name).iter().nth(1).is_none();
        let is_alone = head.method != Method::GET
            || has(&ALONE)
            || (has(&CREDENTIALS) && !shares_credentials)
            || !VARIES.iter().all(is_single);
        (!is_alone).then(|| Self {
            host: head.uri.authority().cloned(),
            varies: VARIES.map(|name| head.headers.get(name).cloned()),
        })
    }
}

/// Returns `true` if all requests with the same [`Common`] may get the answer. A shared cache must be able to reuse it
/// (RFC 9111, sections 4.1 and 5.2.2), and it must end.
pub(super) fn is_for_all(headers: &HeaderMap, shares_credentials: bool) -> bool {
    let is_personal = headers.contains_key(header::SET_COOKIE)
        || words(headers, &header::CACHE_CONTROL).map(|directive| up_to(b'=', directive)).any(|name| {
            name.eq_ignore_ascii_case(b"no-store")
                || (name.eq_ignore_ascii_case(b"private") && !shares_credentials)
        });
    let is_endless = words(headers, &header::CONTENT_TYPE)
        .any(|media| up_to(b';', media).eq_ignore_ascii_case(b"text/event-stream"));
    // A request that shares has none of the headers in `ALONE`, so `Vary` may name them.
    let known = VARIES.iter().chain(&ALONE).chain(&CREDENTIALS);
    let is_known =
        |word: &[u8]| known.clone().any(|name| name.as_str().as_bytes().eq_ignore_ascii_case(word));
    !is_personal && !is_endless && words(headers, &header::VARY).all(is_known)
}

/// Returns the words of a list. They need not be text.
fn words<'h>(headers: &'h HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'h [u8]> {
    let lines = headers.get_all(name).into_iter().map(HeaderValue::as_bytes);
    lines
        .flat_map(|line| line.split(|byte| *byte == b','))
        .map(<[u8]>::trim_ascii)
        .filter(|word| !word.is_empty())
}

fn up_to(end: u8, word: &[u8]) -> &[u8] {
    word.split(|byte| *byte == end).next().unwrap_or(word).trim_ascii_end()
}
