//! Around handlers: a lock for each request's key, preconditions, errors as responses. Needs the feature `axum`.
//!
//! ```text
//! problem        a refusal; kind: one type for each; errors: which error is which; answer: how it is written
//! precondition   `If-Match` and `If-None-Match`; etags: how they are read
//! tagged         an answer with the stamp of what it shows
//! layer          a lock around a service: what is set up; service and call: what it does
//! coalesce       one call of a service for all who ask for the same
//! ```

mod answer;
mod errors;
mod etags;
mod kind;
mod precondition;
mod problem;
mod tagged;

pub use self::kind::ProblemKind;
pub use self::precondition::{IfMatch, IfNoneMatch};
pub use self::problem::Problem;
pub use self::tagged::Tagged;
