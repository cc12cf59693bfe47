//! One call of a service for equal requests.
//!
//! ```text
//! layer     what a user sets up
//! service   a request comes in
//! share     which requests are equal, and which answers may be shared
//! stored    an answer that was read to its end
//! ```

mod layer;
mod service;
mod share;
mod stored;

pub use self::layer::CoalesceLayer;
pub use self::service::CoalesceService;
pub use self::stored::SharedBody;
