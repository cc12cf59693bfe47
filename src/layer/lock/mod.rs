//! A lock around a service, by each request's key.
//!
//! ```text
//! layer           what a user sets up
//! service         a request comes in
//! call            a request on its way: the future
//! wait            its wait for the key; refusal: why it is refused
//! setup           what the layer and its services know
//! hold, body      how long the key is kept; lost: what happens if it is lost before
//! outcome, stats  what is counted; span: the same for tracing
//! ```
//!
//! # A call
//!
//! ```text
//! off · no key ─────────────────────────────────────────▶ running, without the key
//! free ─────────────────────────────▶ running ──────────▶ answered: the key goes now, or with the body
//! held ── waiting ── granted ──────────▲    └─ detached ─▶ answered, or finished though the client is gone
//!   │        └────── timed out, lost ──┐
//!   └─────── no wait, queue is full ───┴─────────────────▶ refused: the service was not called
//! running, detached ── lost, and the layer aborts ───────▶ refused: the service was dropped
//! ```
//!
//! With a bound on running requests, a request that has its key needs a place as well. It is refused if there is none.
//!
//! `call` requests the key at once. A local provider grants a free key there, so such a request needs neither a clone
//! of the service nor a box. A request that waits keeps the service that was polled ready for it.
//!
//! Wherever a call is dropped, the values of the handler are dropped before the key is released. The place goes between
//! the two. With a minimum hold, a task keeps the key alone, and releases it later.
//!
//! An observed request runs at once. Its wait goes on beside it, to see how it would have ended.

mod body;
mod call;
mod hold;
mod layer;
mod lost;
mod outcome;
mod refusal;
mod service;
mod setup;
mod span;
mod stats;
mod wait;

pub use self::body::HeldBody;
pub use self::call::KeyedCall;
pub use self::hold::HeldKey;
pub use self::layer::KeyedLockLayer;
pub use self::lost::OnLost;
pub use self::outcome::Outcome;
pub use self::service::KeyedLockService;
pub use self::stats::{LayerCounts, LayerStats};
