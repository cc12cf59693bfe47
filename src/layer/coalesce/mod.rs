//! One call of a service for equal requests.
//!
//! ```text
//! layer            what a user sets up
//! service          a request comes in; ready: its service, until it is called
//! request          which requests are equal
//! lead             the work of the request that leads
//! answer           which answers are shared
//! cache_control    what a header says of it; date: the same of dates
//! stored           an answer that is read to its end
//! body             the bodies of all answers
//! ```
//!
//! # A request
//!
//! ```text
//! not a GET, credentials, no key ... ───────────────▶ calls the service itself
//! no flight ── leads ── work ── shared ─────────────▶ answered, and so are all who joined
//!                │        ├──── not for others ─────▶ answered; all who joined call the service themselves
//!                │        ├──── failed ─────────────▶ answered; the next one leads
//!                │        └──── dropped half done ──▶ the next one leads, and goes on with the work
//! a flight ──── joined, without a ready service ────▶ answered, or leads, or calls the service itself
//! ```
//!
//! The work is a future that does not know its leader: so it can be handed over to the next one, or run in a task of its
//! own. Work that has panicked is gone, and the next leader begins anew.

mod answer;
mod body;
mod cache_control;
mod date;
mod layer;
mod lead;
mod ready;
mod request;
mod service;
mod stored;

pub use self::body::SharedBody;
pub use self::layer::CoalesceLayer;
pub use self::service::CoalesceService;
