//! Which requests are gRPC.

use http::header::CONTENT_TYPE;
use http::{HeaderValue, Method, Request};

/// Returns the media type of a request of gRPC or gRPC-Web, without parameters, for the answer. `None` for all other
/// requests.
///
/// Requests of gRPC are POSTs. The refusal of a GET must not have the status 200: caches would store it.
pub(crate) fn grpc_type<B>(request: &Request<B>) -> Option<HeaderValue> {
    if request.method() != Method::POST {
        return None;
    }
    let media = request.headers().get(CONTENT_TYPE)?.as_bytes();
    let media = media.split(|&byte| byte == b';').next().unwrap_or(media).trim_ascii();
    let (name, format) = match media.iter().position(|&byte| byte == b'+') {
        Some(at) => media.split_at(at),
        None => (media, &b""[..]),
    };
    let is_grpc = [&b"application/grpc"[..], b"application/grpc-web", b"application/grpc-web-text"]
        .iter()
        .any(|known| name.eq_ignore_ascii_case(known));
    // A suffix with other characters, such as a list of several types, is not a media type of gRPC.
    let is_token = |byte: &u8| byte.is_ascii_alphanumeric() || b"+-._".contains(byte);
    (is_grpc && format.iter().all(is_token)).then(|| HeaderValue::from_bytes(media).ok())?
}
