//! Refusals, answered as problem details (RFC 9457).
//!
//! ```text
//! details    a problem and its members
//! kind       the kinds of this crate, with their types, statuses and titles
//! errors     which error becomes which problem
//! response   how a problem is written
//! sql        the problems of databases (feature `sqlx`)
//! ```

mod details;
mod errors;
mod kind;
mod response;
#[cfg(feature = "sqlx")]
mod sql;

pub use self::details::Problem;
pub use self::kind::ProblemKind;
