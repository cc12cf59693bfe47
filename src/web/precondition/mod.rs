//! Preconditions in headers, as an [`Expect`](crate::versioned::Expect), and responses with a stamp.
//!
//! ```text
//! if_match        which versions a write may replace
//! if_none_match   which versions a reader has, and which a write must not replace
//! etags           lists of entity tags
//! tagged          a response with its stamp
//! ```

mod etags;
mod if_match;
mod if_none_match;
mod tagged;

pub use self::if_match::IfMatch;
pub use self::if_none_match::IfNoneMatch;
pub use self::tagged::Tagged;
