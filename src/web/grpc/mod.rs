//! Refusals for clients of gRPC: a status, a message, and when to call again.
//!
//! ```text
//! code       the code of each problem
//! answer     a problem as headers, and as an answer that has no body
//! media      which requests are gRPC
//! retry      when to call again, as the message `google.rpc.Status`
//! ```

mod answer;
mod code;
mod media;
mod retry;

pub use self::code::GrpcCode;
pub(crate) use self::media::grpc_type;
