//! Around handlers: a lock for each request's key, preconditions, errors as responses. Needs the feature `axum`.
//!
//! ```text
//! lock           a lock around a service, by each request's key
//! coalesce       one call of a service for all who ask for the same; share: what may be shared; stored: the answer
//! request_key    which key a request is about
//! precondition   `If-Match` and `If-None-Match`; etags: how they are read; tagged: an answer with its stamp
//! problem        a refusal; kind: one type for each; errors: which error is which; answer: how it is written
//! etag           a stamp in a header
//! ```

mod coalesce;
mod etag;
mod lock;
mod precondition;
mod problem;
mod request_key;

pub use self::coalesce::{CoalesceLayer, CoalesceService, SharedBody};
pub use self::lock::{
    HeldBody, HeldKey, KeyedCall, KeyedLockLayer, KeyedLockService, LayerCounts, Mode, ModeSwitch, Outcome,
    ParseModeError,
};
pub use self::precondition::{IfMatch, IfNoneMatch, Tagged};
pub use self::problem::{Problem, ProblemKind};
pub use self::request_key::{Extension, Header, PathParam, RequestKey, extension, header, path_param};
