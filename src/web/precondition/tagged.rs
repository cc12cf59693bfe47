//! [`Tagged`]: an answer and the stamp of the value that it shows.

use http::header::{CACHE_CONTROL, CONTENT_LOCATION, DATE, ETAG, EXPIRES, VARY};
use http::{HeaderMap, Response, StatusCode};

use super::IfNoneMatch;
use crate::stamp::Stamp;
use crate::web::etag::etag;

/// An answer with the stamp of the value that it shows, in the header `ETag` (RFC 9110, section 8.8.3).
///
/// Only a 2xx is tagged: other responses do not show the value. A successful PUT may be tagged only if the stored value
/// is the one that was sent (section 9.3.4). If the handler changed it, its client has to read it.
///
/// Handlers of axum return it as it is. Elsewhere [`response`](Self::response) tags an `http` response.
///
/// # Examples
///
/// ```
/// use http::{Request, Response};
/// use latchwork::web::{IfNoneMatch, Tagged};
///
/// let card = latchwork::Versioned::new("Ada".to_owned()).snapshot();
/// let answer = |known: Option<&IfNoneMatch>| {
///     Tagged::new(card.stamp(), Response::new(card.to_string())).not_modified_for(known).response()
/// };
/// let response = answer(None);
/// assert_eq!((&response.headers()["etag"], &response.body()[..]), (&r#""1""#.parse()?, "Ada"));
///
/// let (head, ()) = Request::get("/").header("if-none-match", r#""1""#).body(())?.into_parts();
/// let response = answer(IfNoneMatch::read(&head)?.as_ref());
/// assert_eq!((response.status().as_u16(), &response.body()[..]), (304, ""));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[must_use = "an answer must be returned"]
pub struct Tagged<R> {
    stamp: Stamp,
    answer: R,
    is_known: bool,
}

impl<R> Tagged<R> {
    /// Creates an answer that shows the value with this stamp.
    pub fn new(stamp: Stamp, answer: R) -> Self {
        Self { stamp, answer, is_known: false }
    }

    /// Answers 304 without a body if the client already has this version. This affects GET and HEAD only; a write uses
    /// [`IfNoneMatch::expect`].
    ///
    /// The answer is made in any case: its `Cache-Control`, `Content-Location`, `Date`, `Expires` and `Vary` are also in
    /// the 304 (RFC 9110, section 15.4.5). If that costs too much, call [`IfNoneMatch::matches`] first.
    pub fn not_modified_for(mut self, if_none_match: Option<&IfNoneMatch>) -> Self {
        self.is_known = if_none_match.is_some_and(|known| known.is_satisfied_by(self.stamp));
        self
    }

    #[cfg(feature = "axum")]
    pub(crate) fn map<S>(self, change: impl FnOnce(R) -> S) -> Tagged<S> {
        Tagged { stamp: self.stamp, answer: change(self.answer), is_known: self.is_known }
    }
}

impl<B: Default> Tagged<Response<B>> {
    /// Returns the response with its `ETag`, or 304 with the default body.
    #[must_use]
    pub fn response(self) -> Response<B> {
        let mut response = self.answer;
        if !response.status().is_success() {
            return response;
        }
        if self.is_known {
            let headers = for_not_modified(response.headers());
            response = Response::new(B::default());
            *response.status_mut() = StatusCode::NOT_MODIFIED;
            *response.headers_mut() = headers;
        }
        response.headers_mut().insert(ETAG, etag(self.stamp));
        response
    }
}

/// Returns the headers that a 304 has as well. None of them describes the body.
fn for_not_modified(headers: &HeaderMap) -> HeaderMap {
    let mut kept = HeaderMap::new();
    for name in [CACHE_CONTROL, CONTENT_LOCATION, DATE, EXPIRES, VARY] {
        for value in headers.get_all(&name) {
            kept.append(name.clone(), value.clone());
        }
    }
    kept
}
