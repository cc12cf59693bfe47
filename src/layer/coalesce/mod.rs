//! One call of a service for equal requests.
//!
//! ```text
//! layer, setup          what a user sets up; what the layer and its services know
//! service, ready        a request comes in; its service, until it is called
//! request, route        which requests are equal; where routers have sent them
//! lead                  the work of the request that leads
//! answer                which answers are shared
//! cache_control, words  the headers that are parsed for it
//! stored, hop_by_hop    an answer that is read to its end, without the headers of its connection
//! body                  the bodies of all answers
//! ```
//!
//! # A request
//!
//! ```text
//! not a GET, or with credentials … ────────────▶ calls the service itself
//! no flight: leads ─ work ─ shared ────────────▶ answered, as all that joined
//!                     ├──── not for others ────▶ answered; all that joined call the service themselves
//!                     ├──── failed ────────────▶ answered; one that joined leads
//!                     └──── dropped ───────────▶ one that joined leads, and calls anew
//! a flight: joins, without a ready service ────▶ answered, leads, or calls the service itself
//! ```
//!
//! The work is dropped with its leader. Detached work runs in a task instead, until it is done or its limit is over.
//!
//! What a request or an answer says in its headers counts only if it can be read. Otherwise the answer is not shared.

mod answer;
mod body;
mod cache_control;
mod hop_by_hop;
mod layer;
mod lead;
mod ready;
mod request;
mod route;
mod service;
mod setup;
mod stored;
mod words;

pub use self::body::SharedBody;
pub use self::layer::CoalesceLayer;
pub use self::service::CoalesceService;
