//! Errors as answers, and preconditions: problem details, `If-Match`, `If-None-Match`, `ETag`. Needs the feature `axum`.
//!
//! ```text
//! precondition   `If-Match` and `If-None-Match`; etags: how they are read; tagged: an answer with its stamp
//! problem        a refusal; kind: one type for each; errors: which error is which; answer: how it is written
//! etag           a stamp in a header
//! ```

mod etag;
mod precondition;
mod problem;

pub use self::precondition::{IfMatch, IfNoneMatch, Tagged};
pub use self::problem::{Problem, ProblemKind};
