//! Layers around services: a lock for each request's key, and one call for equal requests. Needs the feature `tower`.
//!
//! The layers work with every service of `http` requests that is built on tower: axum's, tonic's and hyper's.
//!
//! ```text
//! lock           a lock around a service, by each request's key
//! coalesce       one call of a service for equal requests
//! request_key    the key of a request
//! box_error      the errors of bodies
//! ```

mod box_error;
mod coalesce;
mod lock;
mod request_key;

pub use self::coalesce::{CoalesceLayer, CoalesceService, SharedBody};
pub use self::lock::{
    HeldBody, HeldKey, KeyedCall, KeyedLockLayer, KeyedLockService, LayerCounts, LayerStats, OnLost, Outcome,
};
#[cfg(feature = "axum")]
pub(crate) use self::request_key::misplaced;
pub use self::request_key::{Extension, Header, RequestKey, by, extension, header};
#[doc(no_inline)]
pub use crate::mode::{Mode, ModeSwitch, ParseModeError};
