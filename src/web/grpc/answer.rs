//! A [`Problem`] as headers of gRPC, and as an answer that has no body.

use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue, Response};

use super::retry;
use crate::web::Problem;

const STATUS: HeaderName = HeaderName::from_static("grpc-status");
const MESSAGE: HeaderName = HeaderName::from_static("grpc-message");
const PUSHBACK: HeaderName = HeaderName::from_static("grpc-retry-pushback-ms");
const DETAILS: HeaderName = HeaderName::from_static("grpc-status-details-bin");

/// The greatest length of a message. In both encodings together it needs at most 5 KiB. Clients accept 16 KiB of headers, or
/// half of that.
const MAX_MESSAGE: usize = 1024;

impl Problem {
    /// Returns the problem as headers (or trailers) of gRPC: `grpc-status`, `grpc-message`, and when to call again.
    ///
    /// A problem that may be sent again after a while has `grpc-retry-pushback-ms`, and a `google.rpc.RetryInfo` in
    /// `grpc-status-details-bin`. One that is not [retryable](Self::is_retryable) has the pushback -1: clients that
    /// retry by themselves do not retry it.
    ///
    /// A message that is longer than 1 KiB is cut, since clients limit the size of all headers together.
    ///
    /// A handler of tonic makes its status of them: `tonic::Status::from_header_map(&problem.grpc_headers())`.
    ///
    /// # Examples
    ///
    /// ```
    /// use latchwork::web::Problem;
    ///
    /// let headers = Problem::queue_full().grpc_headers();
    /// assert_eq!((&headers["grpc-status"], &headers["grpc-retry-pushback-ms"]), (&"14".parse()?, &"1000".parse()?));
    /// assert_eq!(headers["grpc-message"], "too many requests are waiting for the key");
    /// # Ok::<(), http::header::InvalidHeaderValue>(())
    /// ```
    #[must_use]
    pub fn grpc_headers(&self) -> HeaderMap {
        let message = match self.detail() {
            Some(detail) => format!("{}: {detail}", self.title()),
            None => self.title().to_owned(),
        };
        let message = &message[..message.floor_char_boundary(MAX_MESSAGE)];
        let mut headers = HeaderMap::with_capacity(4);
        headers.insert(STATUS, self.grpc_code().get().into());
        headers.insert(MESSAGE, value(&percent_encoded(message)));
        if !self.is_retryable() {
            headers.insert(PUSHBACK, HeaderValue::from_static("-1"));
        } else if let Some(seconds) = self.retry_after_seconds() {
            headers.insert(PUSHBACK, seconds.saturating_mul(1000).into());
            headers.insert(DETAILS, value(&retry::details(self.grpc_code(), message, seconds)));
        }
        headers
    }

    /// Returns the problem as an answer to a request of gRPC that has this content type: 200, with the
    /// [headers](Self::grpc_headers), and without a body. gRPC calls it *trailers-only*. Caches must not store it
    /// (`Cache-Control: no-store`).
    ///
    /// The problem itself is in the extensions of the response.
    ///
    /// # Examples
    ///
    /// ```
    /// use http::{HeaderValue, Response};
    /// use latchwork::web::Problem;
    ///
    /// let content_type = HeaderValue::from_static("application/grpc");
    /// let response: Response<String> = Problem::lock_lost().grpc_response(content_type);
    /// assert_eq!((response.status().as_u16(), response.headers()["grpc-status"].as_bytes()), (200, &b"14"[..]));
    /// ```
    #[must_use]
    pub fn grpc_response<B: Default>(self, content_type: HeaderValue) -> Response<B> {
        let mut response = Response::new(B::default());
        *response.headers_mut() = self.grpc_headers();
        response.headers_mut().insert(CONTENT_TYPE, content_type);
        response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        response.extensions_mut().insert(self);
        response
    }
}

/// Writes a message as the protocol of gRPC over HTTP/2 does: spaces and visible ASCII as they are, other bytes and `%`
/// as `%XX`.
fn percent_encoded(message: &str) -> String {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    let mut text = String::with_capacity(message.len());
    for byte in message.bytes() {
        if matches!(byte, b' '..=b'~') && byte != b'%' {
            text.push(byte.into());
        } else {
            text.push('%');
            text.extend([byte >> 4, byte & 15].map(|digit| char::from(DIGITS[usize::from(digit)])));
        }
    }
    text
}

fn value(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).expect("it is visible ASCII and spaces")
}
