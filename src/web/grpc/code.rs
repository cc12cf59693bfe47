//! [`GrpcCode`]: the status code of a refusal for clients of gRPC.

use crate::web::{Problem, ProblemKind};

/// A status code of gRPC other than `OK`.
///
/// # Examples
///
/// ```
/// use latchwork::web::{GrpcCode, ProblemKind};
///
/// let busy = ProblemKind::Busy.grpc_code();
/// assert_eq!((busy, busy.get(), busy.name()), (GrpcCode::Aborted, 10, "ABORTED"));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[allow(missing_docs, reason = "the names are those of gRPC's guide to status codes")]
#[repr(i32)]
pub enum GrpcCode {
    Cancelled = 1,
    Unknown,
    InvalidArgument,
    DeadlineExceeded,
    NotFound,
    AlreadyExists,
    PermissionDenied,
    ResourceExhausted,
    FailedPrecondition,
    Aborted,
    OutOfRange,
    Unimplemented,
    Internal,
    Unavailable,
    DataLoss,
    Unauthenticated,
}

impl GrpcCode {
    /// Returns the number, as in `grpc-status`. For tonic: `tonic::Code::from(code.get())`.
    #[must_use]
    pub const fn get(self) -> i32 {
        self as i32
    }

    /// Returns the name in gRPC's guide to status codes.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Cancelled => "CANCELLED",
            Self::Unknown => "UNKNOWN",
            Self::InvalidArgument => "INVALID_ARGUMENT",
            Self::DeadlineExceeded => "DEADLINE_EXCEEDED",
            Self::NotFound => "NOT_FOUND",
            Self::AlreadyExists => "ALREADY_EXISTS",
            Self::PermissionDenied => "PERMISSION_DENIED",
            Self::ResourceExhausted => "RESOURCE_EXHAUSTED",
            Self::FailedPrecondition => "FAILED_PRECONDITION",
            Self::Aborted => "ABORTED",
            Self::OutOfRange => "OUT_OF_RANGE",
            Self::Unimplemented => "UNIMPLEMENTED",
            Self::Internal => "INTERNAL",
            Self::Unavailable => "UNAVAILABLE",
            Self::DataLoss => "DATA_LOSS",
            Self::Unauthenticated => "UNAUTHENTICATED",
        }
    }
}

impl ProblemKind {
    /// Returns the code that clients of gRPC get.
    #[must_use]
    pub const fn grpc_code(self) -> GrpcCode {
        match self {
            // A client may run the whole call again, after reading again if it names a version.
            Self::Busy | Self::Conflict | Self::PreconditionFailed => GrpcCode::Aborted,
            Self::TimedOut
            | Self::QueueFull
            | Self::Overloaded
            | Self::LockLost
            | Self::LockUnavailable
            | Self::ShuttingDown
            | Self::TransactionConflict
            | Self::DatabaseUnavailable => GrpcCode::Unavailable,
            // Clients send UNAVAILABLE again by themselves, and the work may have been done.
            Self::Interrupted | Self::CommitUnknown => GrpcCode::Unknown,
            Self::ConstraintViolated => GrpcCode::FailedPrecondition,
            Self::BadKey | Self::PreconditionRequired | Self::BadPrecondition | Self::BadNumber => {
                GrpcCode::InvalidArgument
            }
            Self::Taken | Self::NoFreeName => GrpcCode::AlreadyExists,
            Self::StampsExhausted | Self::BadStoredNumber => GrpcCode::Internal,
        }
    }
}

impl Problem {
    /// Returns the code that clients of gRPC get: that of the [kind](ProblemKind::grpc_code), or for a type of your own
    /// the one that fits the HTTP status.
    #[must_use]
    pub fn grpc_code(&self) -> GrpcCode {
        match (self.kind(), self.status().as_u16()) {
            (Some(kind), _) => kind.grpc_code(),
            (None, 401) => GrpcCode::Unauthenticated,
            (None, 403) => GrpcCode::PermissionDenied,
            (None, 404) => GrpcCode::NotFound,
            (None, 409) => GrpcCode::Aborted,
            (None, 412) => GrpcCode::FailedPrecondition,
            (None, 416) => GrpcCode::OutOfRange,
            (None, 429) => GrpcCode::ResourceExhausted,
            (None, 400..=499) => GrpcCode::InvalidArgument,
            (None, 501) => GrpcCode::Unimplemented,
            (None, 503) => GrpcCode::Unavailable,
            (None, 504) => GrpcCode::DeadlineExceeded,
            (None, 500..=599) => GrpcCode::Internal,
            (None, _) => GrpcCode::Unknown,
        }
    }
}
