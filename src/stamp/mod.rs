//! [`Stamp`]: the version of a value, and where stamps come from.

// number  Stamp
// source  StampSource: the counter that stamps are drawn from
// etag    a stamp as an entity tag of HTTP

mod etag;
mod number;
mod source;

pub use self::etag::BadEtag;
#[cfg(feature = "tower")]
pub(crate) use self::etag::is_suffixed;
pub use self::number::{ParseStampError, Stamp, StampOutOfRange};
pub use self::source::{ImplausibleStamp, StampSource, StampsExhausted};
