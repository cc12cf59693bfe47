//! Layers around services: a lock for each request's key, and one call for equal requests. Needs the feature `axum`.
//!
//! ```text
//! lock           a lock around a service, by each request's key
//! coalesce       one call of a service for equal requests; share: what may be shared; stored: the answer
//! request_key    which key a request is about
//! ```

mod coalesce;
mod lock;
mod request_key;

pub use self::coalesce::{CoalesceLayer, CoalesceService, SharedBody};
pub use self::lock::{
    HeldBody, HeldKey, KeyedCall, KeyedLockLayer, KeyedLockService, LayerCounts, Mode, ModeSwitch, Outcome,
    ParseModeError,
};
pub(crate) use self::request_key::misplaced;
pub use self::request_key::{Extension, Header, RequestKey, extension, header};
