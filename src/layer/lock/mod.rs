//! A lock around a service, by each request's key.
//!
//! ```text
//! layer         what a user sets up
//! service       what is made of a service: a request comes in
//! call          a request on its way: the future
//! wait          its attempt at the key
//! setup         what the layer and its services know
//! hold, body    how long the key is kept
//! mode, counts  off, observed or enforced, and what was seen; span: the same for tracing
//! ```
//!
//! # A call
//!
//! ```text
//! off · no key ─────────────────────────────────────────▶ running, without the key
//! free ─────────────────────────────▶ running ──────────▶ answered: the key goes now, or with the body
//! held ── waiting ── granted ──────────▲    └─ detached ─▶ answered, or finished though nobody listens
//!   │        └────── time is up ──┐
//!   └─────── no wait, no room ────┴──────────────────────▶ refused: the service was not called
//! ```
//!
//! The key is taken in `call` if it is free, so that such a request costs neither a clone of the service nor a box.
//! One that waits takes the service that was polled ready for it along. Whatever is dropped where: what the handler
//! holds goes before the key. Only observed, a request is running at once, and its wait goes on beside it, to see what
//! would have come of it.

mod body;
mod call;
mod counts;
mod hold;
mod layer;
mod mode;
mod service;
mod setup;
mod span;
mod wait;

pub use self::body::HeldBody;
pub use self::call::KeyedCall;
pub use self::counts::{LayerCounts, Outcome};
pub use self::hold::HeldKey;
pub use self::layer::KeyedLockLayer;
pub use self::mode::{Mode, ModeSwitch, ParseModeError};
pub use self::service::KeyedLockService;
