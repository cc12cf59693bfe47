//! [`ProblemKind`]: what can be answered instead of what was asked for, one type for each.

use std::time::Duration;

use ::axum::http::StatusCode;

/// The room of this documentation where every kind has its anchor.
const ROOM: &str = "https://docs.rs/latchwork/latest/latchwork/docs/problems/index.html";

/// What kind of refusal a [`Problem`](super::Problem) of this crate is. [Problems](crate::docs::problems) has them
/// in a table, with what a client should do about each.
///
/// # Examples
///
/// ```
/// use latchwork::web::ProblemKind;
///
/// assert_eq!((ProblemKind::Busy.slug(), ProblemKind::Busy.status().as_u16()), ("busy", 409));
/// assert!(ProblemKind::Busy.type_uri().ends_with("/docs/problems/index.html#busy"));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum ProblemKind {
    /// 409: another request holds the key, and this one does not wait.
    Busy,
    /// 503: the wait for a lock took too long.
    TimedOut,
    /// 503: as many as may wait for the key do so already.
    QueueFull,
    /// 503: the lock went to somebody else before the work was done.
    LockLost,
    /// 503: the service takes no more work.
    ShuttingDown,
    /// 400: the request does not say what its key is.
    BadKey,
    /// 409: the version named in the request is not the one that there is.
    Conflict,
    /// 412: the same, when it was named in `If-Match` or `If-None-Match`.
    PreconditionFailed,
    /// 428: the request must say which version it was made from.
    PreconditionRequired,
    /// 400: `If-Match` or `If-None-Match` can't be understood, or names no single version.
    BadPrecondition,
    /// 409: somebody else has the name.
    Taken,
    /// 409: none of the names that were tried was free.
    NoFreeName,
    /// 500: no stamp is left for another version.
    StampsExhausted,
    /// 400: what should be the number of a stamp or of a fence is none.
    BadNumber,
}

impl ProblemKind {
    /// Every kind.
    pub const ALL: [Self; 14] = [
        Self::Busy,
        Self::TimedOut,
        Self::QueueFull,
        Self::LockLost,
        Self::ShuttingDown,
        Self::BadKey,
        Self::Conflict,
        Self::PreconditionFailed,
        Self::PreconditionRequired,
        Self::BadPrecondition,
        Self::Taken,
        Self::NoFreeName,
        Self::StampsExhausted,
        Self::BadNumber,
    ];

    /// The last part of its type; it never changes.
    ///
    /// # Examples
    ///
    /// ```
    /// assert_eq!(latchwork::web::ProblemKind::TimedOut.slug(), "timed-out");
    /// ```
    #[must_use]
    pub const fn slug(self) -> &'static str {
        self.row().0
    }

    /// Its type (RFC 9457, section 3.1.1), which leads to its row in [problems](crate::docs::problems).
    ///
    /// # Examples
    ///
    /// ```
    /// let uri = latchwork::web::ProblemKind::Taken.type_uri();
    /// assert!(uri.starts_with("https://docs.rs/latchwork/") && uri.ends_with("#taken"));
    /// ```
    #[must_use]
    pub fn type_uri(self) -> String {
        format!("{ROOM}#{}", self.slug())
    }

    /// The status that it is answered with.
    ///
    /// # Examples
    ///
    /// ```
    /// use axum::http::StatusCode;
    /// use latchwork::web::ProblemKind;
    ///
    /// assert_eq!(ProblemKind::QueueFull.status(), StatusCode::SERVICE_UNAVAILABLE);
    /// ```
    #[must_use]
    pub const fn status(self) -> StatusCode {
        self.row().1
    }

    /// What it is, in words that never change.
    ///
    /// # Examples
    ///
    /// ```
    /// assert_eq!(latchwork::web::ProblemKind::Taken.title(), "the name is taken");
    /// ```
    #[must_use]
    pub const fn title(self) -> &'static str {
        self.row().2
    }

    /// Whether the same request may succeed if it is sent again.
    pub(super) const fn is_retryable(self) -> bool {
        matches!(self, Self::Busy | Self::TimedOut | Self::QueueFull | Self::LockLost | Self::ShuttingDown)
    }

    /// When to send it again.
    pub(super) const fn retry_after(self) -> Option<Duration> {
        if self.is_retryable() { Some(Duration::from_secs(1)) } else { None }
    }

    const fn row(self) -> (&'static str, StatusCode, &'static str) {
        use StatusCode as Status;

        match self {
            Self::Busy => ("busy", Status::CONFLICT, "the key is busy"),
            Self::TimedOut => ("timed-out", Status::SERVICE_UNAVAILABLE, "a lock was not had in time"),
            Self::QueueFull => ("queue-full", Status::SERVICE_UNAVAILABLE, "too many wait for the key"),
            Self::LockLost => ("lock-lost", Status::SERVICE_UNAVAILABLE, "the lock was lost"),
            Self::ShuttingDown => {
                ("shutting-down", Status::SERVICE_UNAVAILABLE, "the service is shutting down")
            }
            Self::BadKey => ("bad-key", Status::BAD_REQUEST, "the request has no key"),
            Self::Conflict => ("conflict", Status::CONFLICT, "another version was expected"),
            Self::PreconditionFailed => {
                ("precondition-failed", Status::PRECONDITION_FAILED, "the precondition does not hold")
            }
            Self::PreconditionRequired => {
                ("precondition-required", Status::PRECONDITION_REQUIRED, "a precondition is required")
            }
            Self::BadPrecondition => {
                ("bad-precondition", Status::BAD_REQUEST, "the precondition names no version")
            }
            Self::Taken => ("taken", Status::CONFLICT, "the name is taken"),
            Self::NoFreeName => ("no-free-name", Status::CONFLICT, "no free name was found"),
            Self::StampsExhausted => {
                ("stamps-exhausted", Status::INTERNAL_SERVER_ERROR, "no further version can be stored")
            }
            Self::BadNumber => ("bad-number", Status::BAD_REQUEST, "not the number of a version or a fence"),
        }
    }
}
