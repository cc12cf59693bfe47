//! Around handlers: a lock for each request's key, preconditions, errors as responses. Needs the feature `axum`.
//!
//! ```text
//! layer          a lock around a service: what is set up; service, call: what it does to a request
//! wait           a request's attempt at its key; hold, body: how long it is kept
//! request_key    which key a request is about
//! mode, counts   off, observed or enforced; and what was seen; span: the same for tracing
//! problem        errors as responses: one type for each
//! ```

mod body;
mod call;
mod counts;
mod hold;
mod layer;
mod mode;
mod problem;
mod request_key;
mod service;
mod span;
mod wait;

pub use self::body::HeldBody;
pub use self::call::KeyedCall;
pub use self::counts::{LayerCounts, Outcome};
pub use self::hold::HeldKey;
pub use self::layer::KeyedLockLayer;
pub use self::mode::{Mode, ModeSwitch};
pub use self::problem::Problem;
pub use self::request_key::{Extension, Header, PathParam, RequestKey, extension, header, path_param};
pub use self::service::KeyedLockService;
