//! [`ProblemKind`]: the kinds of refusals, with one type for each.

use std::time::Duration;

use http::StatusCode;

/// The page of this documentation that has an anchor for each kind.
const GUIDE: &str = "https://docs.rs/latchwork/latest/latchwork/docs/problems/index.html";

/// The kind of a [`Problem`](super::Problem) of this crate. [Problems](crate::docs::problems) has a table of them, with
/// what a client should do about each.
///
/// Slugs, types, statuses and titles do not change.
///
/// # Examples
///
/// ```
/// use latchwork::web::ProblemKind;
///
/// let taken = ProblemKind::Taken;
/// assert_eq!((taken.slug(), taken.status().as_u16(), taken.title()), ("taken", 409, "the name or value is taken"));
/// assert!(taken.type_uri().ends_with("/docs/problems/index.html#taken"));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum ProblemKind {
    /// 409: another request holds the key, and this one does not wait.
    Busy,
    /// 503: the wait for a lock took too long.
    TimedOut,
    /// 503: too many requests were waiting for the key.
    QueueFull,
    /// 503: too many requests are running.
    Overloaded,
    /// 503: another request got the lock before the work was done.
    LockLost,
    /// 503: the lock provider could not be reached.
    LockUnavailable,
    /// 503: the service accepts no more work.
    ShuttingDown,
    /// 500: the work was stopped before its end, and may have been done in part.
    Interrupted,
    /// 400: the request has no valid key.
    BadKey,
    /// 409: the version that the request names is not the current one.
    Conflict,
    /// 412: as `Conflict`, for a version in `If-Match` or `If-None-Match`.
    PreconditionFailed,
    /// 428: the request must name the version that it was made from.
    PreconditionRequired,
    /// 400: `If-Match` or `If-None-Match` is malformed, or has a tag that can't be used: a weak one, say.
    BadPrecondition,
    /// 409: another owner has the name, or a stored row has the value that must be unique.
    Taken,
    /// 409: all names that were tried are taken.
    NoFreeName,
    /// 409: a constraint of the database does not allow the change.
    ConstraintViolated,
    /// 503: transactions of other requests were in the way.
    TransactionConflict,
    /// 503: the database could not be reached, or has no connection left.
    DatabaseUnavailable,
    /// 500: the connection was lost before the database had answered the commit.
    CommitUnknown,
    /// 500: no stamp is left for another version.
    StampsExhausted,
    /// 400: the text is not the number of a stamp or a fence.
    BadNumber,
    /// 500: a number from a database is not that of a stamp or a fence.
    BadStoredNumber,
}

impl ProblemKind {
    /// Every kind.
    pub const ALL: &'static [Self] = &[
        Self::Busy,
        Self::TimedOut,
        Self::QueueFull,
        Self::Overloaded,
        Self::LockLost,
        Self::LockUnavailable,
        Self::ShuttingDown,
        Self::Interrupted,
        Self::BadKey,
        Self::Conflict,
        Self::PreconditionFailed,
        Self::PreconditionRequired,
        Self::BadPrecondition,
        Self::Taken,
        Self::NoFreeName,
        Self::ConstraintViolated,
        Self::TransactionConflict,
        Self::DatabaseUnavailable,
        Self::CommitUnknown,
        Self::StampsExhausted,
        Self::BadNumber,
        Self::BadStoredNumber,
    ];

    /// Returns the last part of the type.
    #[must_use]
    pub const fn slug(self) -> &'static str {
        self.row().0
    }

    /// Returns the type (RFC 9457, section 3.1.1). It leads to the row in [problems](crate::docs::problems).
    #[must_use]
    pub fn type_uri(self) -> String {
        format!("{GUIDE}#{}", self.slug())
    }

    /// Returns the status.
    #[must_use]
    pub const fn status(self) -> StatusCode {
        self.row().1
    }

    /// Returns the title: the kind in words.
    #[must_use]
    pub const fn title(self) -> &'static str {
        self.row().2
    }

    /// Returns `true` if the same request may succeed later.
    pub(super) const fn is_retryable(self) -> bool {
        matches!(
            self,
            Self::Busy
                | Self::TimedOut
                | Self::QueueFull
                | Self::Overloaded
                | Self::LockLost
                | Self::LockUnavailable
                | Self::ShuttingDown
                | Self::TransactionConflict
                | Self::DatabaseUnavailable
        )
    }

    /// Returns the wait before the same request should be sent again.
    pub(super) const fn retry_after(self) -> Option<Duration> {
        if self.is_retryable() { Some(Duration::from_secs(1)) } else { None }
    }

    const fn row(self) -> (&'static str, StatusCode, &'static str) {
        const UNAVAILABLE: StatusCode = StatusCode::SERVICE_UNAVAILABLE;
        const INTERNAL: StatusCode = StatusCode::INTERNAL_SERVER_ERROR;

        match self {
            Self::Busy => ("busy", StatusCode::CONFLICT, "the key is busy"),
            Self::TimedOut => ("timed-out", UNAVAILABLE, "timed out waiting for the lock"),
            Self::QueueFull => ("queue-full", UNAVAILABLE, "too many requests are waiting for the key"),
            Self::Overloaded => ("overloaded", UNAVAILABLE, "too many requests are running"),
            Self::LockLost => ("lock-lost", UNAVAILABLE, "the lock was lost"),
            Self::LockUnavailable => ("lock-unavailable", UNAVAILABLE, "the lock service is unavailable"),
            Self::ShuttingDown => ("shutting-down", UNAVAILABLE, "the service is shutting down"),
            Self::Interrupted => ("interrupted", INTERNAL, "the work was stopped before its end"),
            Self::BadKey => ("bad-key", StatusCode::BAD_REQUEST, "the request has no valid key"),
            Self::Conflict => ("conflict", StatusCode::CONFLICT, "the version does not match"),
            Self::PreconditionFailed => {
                ("precondition-failed", StatusCode::PRECONDITION_FAILED, "the precondition failed")
            }
            Self::PreconditionRequired => {
                ("precondition-required", StatusCode::PRECONDITION_REQUIRED, "a precondition is required")
            }
            Self::BadPrecondition => {
                ("bad-precondition", StatusCode::BAD_REQUEST, "the precondition is not valid")
            }
            Self::Taken => ("taken", StatusCode::CONFLICT, "the name or value is taken"),
            Self::NoFreeName => ("no-free-name", StatusCode::CONFLICT, "no free name was found"),
            Self::ConstraintViolated => {
                ("constraint-violated", StatusCode::CONFLICT, "the stored data does not allow the change")
            }
            Self::TransactionConflict => {
                ("transaction-conflict", UNAVAILABLE, "other transactions were in the way")
            }
            Self::DatabaseUnavailable => ("database-unavailable", UNAVAILABLE, "the database is unavailable"),
            Self::CommitUnknown => ("commit-unknown", INTERNAL, "the outcome of the write is unknown"),
            Self::StampsExhausted => ("stamps-exhausted", INTERNAL, "no more versions can be stored"),
            Self::BadNumber => ("bad-number", StatusCode::BAD_REQUEST, "not a valid version or fence number"),
            Self::BadStoredNumber => {
                ("bad-stored-number", INTERNAL, "a stored version or fence number is not valid")
            }
        }
    }
}
