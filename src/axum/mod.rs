//! Around handlers: a lock for each request's key, preconditions, errors as responses. Needs the feature `axum`.
//!
//! ```text
//! layer          a lock around a service: what is set up; service, call: what it does to a request
//! wait           a request's attempt at its key; hold, body: how long it is kept
//! request_key    which key a request is about
//! mode, counts   off, observed or enforced, and what was seen; span: the same for tracing
//! coalesce       one call of a service for all who ask for the same; stored: the answer that they share
//! tagged         an answer with the stamp of what it shows
//! precondition   `If-Match` and `If-None-Match`; etags: how they are read
//! problem        a refusal; kind: one type for each; errors: which error is which; answer: how it is written
//! ```

mod answer;
mod body;
mod call;
mod coalesce;
mod counts;
mod errors;
mod etags;
mod hold;
mod kind;
mod layer;
mod mode;
mod precondition;
mod problem;
mod request_key;
mod service;
mod span;
mod stored;
mod tagged;
mod wait;

pub use self::body::HeldBody;
pub use self::call::KeyedCall;
pub use self::coalesce::{CoalesceLayer, CoalesceService};
pub use self::counts::{LayerCounts, Outcome};
pub use self::hold::HeldKey;
pub use self::kind::ProblemKind;
pub use self::layer::KeyedLockLayer;
pub use self::mode::{Mode, ModeSwitch};
pub use self::precondition::{IfMatch, IfNoneMatch};
pub use self::problem::Problem;
pub use self::request_key::{Extension, Header, PathParam, RequestKey, extension, header, path_param};
pub use self::service::KeyedLockService;
pub use self::stored::SharedBody;
pub use self::tagged::Tagged;
