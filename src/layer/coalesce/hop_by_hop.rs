//! Headers that are valid for one connection only.

use http::{HeaderMap, HeaderName, header};

use super::words::words;

/// The headers of an answer that no cache may store, beside those that `Connection` lists (RFC 9111, section 3.1, and
/// RFC 9110, section 7.6.1).
const HOP_BY_HOP: [HeaderName; 9] = [
    header::CONNECTION,
    HeaderName::from_static("keep-alive"),
    header::PROXY_AUTHENTICATE,
    HeaderName::from_static("proxy-authentication-info"),
    HeaderName::from_static("proxy-connection"),
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

/// Removes these headers. A handler that copies the headers of an upstream copies them too. If the length of the body is
/// known then, HTTP/1.1 announces chunks and sends none.
pub(super) fn remove_hop_by_hop(headers: &mut HeaderMap) {
    let listed: Vec<_> =
        words(headers, &header::CONNECTION).filter_map(|word| HeaderName::from_bytes(word).ok()).collect();
    for name in HOP_BY_HOP.iter().chain(&listed) {
        headers.remove(name);
    }
}
