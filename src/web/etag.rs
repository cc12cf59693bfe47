//! A stamp in a header.

use http::HeaderValue;

use crate::stamp::Stamp;

/// Returns the entity tag of a stamp, for the header `ETag`.
pub(super) fn etag(stamp: Stamp) -> HeaderValue {
    HeaderValue::try_from(stamp.etag()).expect("digits in quotes are visible")
}
