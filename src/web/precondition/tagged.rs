//! [`Tagged`]: an answer and the stamp of what it shows.

use ::axum::http::header::{CACHE_CONTROL, CONTENT_LOCATION, DATE, ETAG, EXPIRES, VARY};
use ::axum::http::{HeaderMap, StatusCode};
use ::axum::response::{IntoResponse, Response};

use super::IfNoneMatch;
use crate::stamp::Stamp;
use crate::web::etag::etag;

/// An answer with the stamp of what it shows, in the header `ETag` (RFC 9110, section 8.8.3).
///
/// Only a 2xx is tagged: what the response says otherwise is not the value. A successful PUT may be tagged only
/// if what was sent is what was stored (section 9.3.4); if the handler changed it, its client has to read it.
///
/// # Examples
///
/// ```
/// use axum::response::IntoResponse;
/// use latchwork::web::Tagged;
///
/// let card = latchwork::Versioned::new("Ada".to_owned()).snapshot();
/// let answer = Tagged::new(card.stamp(), card.to_string()).into_response();
/// assert_eq!(answer.headers()["etag"], r#""1""#);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[must_use = "it is an answer to be given"]
pub struct Tagged<R> {
    stamp: Stamp,
    answer: R,
    is_known: bool,
}

impl<R> Tagged<R> {
    /// Tags an answer.
    ///
    /// # Examples
    ///
    /// ```
    /// use axum::{http::StatusCode, response::IntoResponse};
    /// use latchwork::{Stamp, web::Tagged};
    ///
    /// let created = Tagged::new(Stamp::MIN, (StatusCode::CREATED, "Ada")).into_response();
    /// assert_eq!((created.status().as_u16(), &created.headers()["etag"]), (201, &r#""1""#.parse()?));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn new(stamp: Stamp, answer: R) -> Self {
        Self { stamp, answer, is_known: false }
    }

    /// Answers 304 without a body if the client has this version already. Only a GET or a HEAD is answered so; what
    /// a write is to find goes into the write, by [`IfNoneMatch::expect`].
    ///
    /// The answer is made in any case, since its `Cache-Control`, `Content-Location`, `Date`, `Expires` and `Vary` also
    /// go with the 304 (RFC 9110, section 15.4.5). Where that costs too much, ask [`IfNoneMatch::matches`] first.
    ///
    /// # Examples
    ///
    /// ```
    /// use axum::{RequestPartsExt, http::Request, response::IntoResponse};
    /// use latchwork::{Stamp, web::{IfNoneMatch, Tagged}};
    ///
    /// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
    /// let (mut parts, ()) = Request::get("/").header("if-none-match", r#""1""#).body(())?.into_parts();
    /// let if_none_match: Option<IfNoneMatch> = parts.extract().await?;
    /// let answer = Tagged::new(Stamp::MIN, "Ada").not_modified_for(if_none_match.as_ref());
    /// assert_eq!(answer.into_response().status(), 304);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn not_modified_for(mut self, if_none_match: Option<&IfNoneMatch>) -> Self {
        self.is_known = if_none_match.is_some_and(|known| known.is_satisfied_by(self.stamp));
        self
    }
}

impl<R: IntoResponse> IntoResponse for Tagged<R> {
    fn into_response(self) -> Response {
        let mut response = self.answer.into_response();
        if !response.status().is_success() {
            return response;
        }
        if self.is_known {
            let headers = for_not_modified(response.headers());
            response = (StatusCode::NOT_MODIFIED, headers).into_response();
        }
        response.headers_mut().insert(ETAG, etag(self.stamp));
        response
    }
}

/// What of the headers a 304 has as well. None of them tells what the body would have been.
fn for_not_modified(headers: &HeaderMap) -> HeaderMap {
    let mut kept = HeaderMap::new();
    for name in [CACHE_CONTROL, CONTENT_LOCATION, DATE, EXPIRES, VARY] {
        for value in headers.get_all(&name) {
            kept.append(name.clone(), value.clone());
        }
    }
    kept
}
