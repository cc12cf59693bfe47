//! Errors as responses, and preconditions: problem details, `If-Match`, `If-None-Match`, `ETag`. Needs the feature `tower`.
//!
//! The module uses the types of the crate `http` alone. With the feature `axum` these types are also extractors and
//! responses of axum.
//!
//! ```text
//! precondition   `If-Match` and `If-None-Match`, and responses with a stamp
//! problem        refusals
//! grpc           refusals for clients of gRPC
//! etag           a stamp in a header
//! ```

mod etag;
mod grpc;
mod precondition;
mod problem;

pub use self::grpc::GrpcCode;
pub(crate) use self::grpc::grpc_type;
pub use self::precondition::{IfMatch, IfNoneMatch, Tagged};
pub use self::problem::{Problem, ProblemKind};
