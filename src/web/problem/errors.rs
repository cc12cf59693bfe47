//! Which error of this crate becomes which problem, and the refusals that are no errors.

use std::borrow::Cow;
use std::convert::Infallible;

use http::StatusCode;

use super::Problem;
use super::kind::ProblemKind;
use crate::claim::{ClaimExhausted, Taken};
use crate::digits::BadNumber;
use crate::error::{Busy, NotAcquired, TimedOut};
use crate::fence::{FenceOutOfRange, ParseFenceError, StaleFence};
use crate::mode::ParseModeError;
#[cfg(feature = "postgres")]
use crate::pg::{KeyTooLong, VerifyError};
use crate::provider::LockError;
use crate::retry::{RetryError, StopReason};
use crate::stamp::{BadEtag, ImplausibleStamp, ParseStampError, Stamp, StampOutOfRange, StampsExhausted};
use crate::versioned::{Conflict, Exhausted, Expect, Snapshot, WriteError};

impl Problem {
    /// Returns 503: too many requests are waiting for the key.
    #[must_use]
    pub fn queue_full() -> Self {
        Self::of(ProblemKind::QueueFull)
    }

    /// Returns 503: too many requests are running.
    #[must_use]
    pub fn overloaded() -> Self {
        Self::of(ProblemKind::Overloaded)
    }

    /// Returns 503: another request got the lock before the work was done. A [`StaleFence`](crate::fence::StaleFence)
    /// becomes this.
    #[must_use]
    pub fn lock_lost() -> Self {
        Self::of(ProblemKind::LockLost)
    }

    /// Returns 503: the lock provider can't be reached.
    #[must_use]
    pub fn lock_unavailable() -> Self {
        Self::of(ProblemKind::LockUnavailable)
    }

    /// Returns 503: the service accepts no more work.
    #[must_use]
    pub fn shutting_down() -> Self {
        Self::of(ProblemKind::ShuttingDown)
    }

    /// Returns 500: the work was stopped before its end. It is not retryable, as the work may have been done in part.
    #[must_use]
    pub fn interrupted() -> Self {
        Self::of(ProblemKind::Interrupted)
    }

    /// Returns 400: the request has no valid key. `detail` should say where the key must be, and not repeat what was
    /// found there.
    ///
    /// # Examples
    ///
    /// ```
    /// let problem = latchwork::web::Problem::bad_key("the header x-user is missing");
    /// assert_eq!(problem.to_string(), "400 the request has no valid key: the header x-user is missing");
    /// ```
    #[must_use]
    pub fn bad_key(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::of(ProblemKind::BadKey).with_detail(detail)
    }

    /// Returns 400: a number that the client sent is no version or fence. `detail` should not repeat the number.
    ///
    /// Texts that are parsed, and messages that are read with the feature `serde`, do not need it. It is for numbers that
    /// are converted.
    ///
    /// # Examples
    ///
    /// ```
    /// use latchwork::{Stamp, web::Problem};
    ///
    /// let from_client = 0_u64;
    /// let stamp = Stamp::try_from(from_client).map_err(|_| Problem::bad_number("versions begin at 1"));
    /// assert_eq!(stamp.unwrap_err().status(), 400);
    /// let from_row = 0_i64;
    /// let stamp = Stamp::try_from(from_row).map_err(Problem::from);
    /// assert_eq!(stamp.unwrap_err().status(), 500);
    /// ```
    #[must_use]
    pub fn bad_number(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::of(ProblemKind::BadNumber).with_detail(detail)
    }

    /// Returns 409: another owner has the name, or a stored row has the value that must be unique. A [`Taken`] name becomes
    /// this by itself, and so does a violation of a unique index (feature `sqlx`). Use it for a name or a value that a query
    /// has found.
    #[must_use]
    pub fn taken() -> Self {
        Self::of(ProblemKind::Taken)
    }

    /// Returns 428: the request must name the version that it was made from. `detail` says where, in a header say.
    #[must_use]
    pub fn precondition_required(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::of(ProblemKind::PreconditionRequired).with_detail(detail)
    }

    /// Returns 409: a write expected another version than the current one. `current` is `None` if no value exists.
    ///
    /// It is for versions in a database. A [`Conflict`](crate::Conflict) becomes this by itself.
    ///
    /// # Examples
    ///
    /// ```
    /// use latchwork::{Stamp, versioned::Expect, web::Problem};
    ///
    /// let (expected, stored) = (Expect::Exact(Stamp::MAX), Some(Stamp::MIN)); // from the request, from the row
    /// if !expected.admits(stored) {
    ///     let problem = Problem::conflict(expected, stored);
    ///     assert_eq!((problem.status().as_u16(), problem.current()), (409, Some(Stamp::MIN)));
    /// }
    /// ```
    #[must_use]
    pub fn conflict(expected: impl Into<Expect>, current: Option<Stamp>) -> Self {
        let expected = expected.into();
        let detail = match (&expected, current) {
            (Expect::Absent, _) => "a value already exists",
            (Expect::NoneOf(_), Some(_)) => "the request excludes the current version",
            (_, Some(_)) => "the value has changed: read it again",
            (_, None) => "no value exists",
        };
        Self::of(ProblemKind::Conflict).with_detail(detail).with_versions(expected, current)
    }
}

/// Becomes 409, without the holder and the number of waiters.
impl From<Busy> for Problem {
    fn from(_: Busy) -> Self {
        Self::of(ProblemKind::Busy)
    }
}

/// Becomes 503.
impl From<TimedOut> for Problem {
    fn from(_: TimedOut) -> Self {
        Self::of(ProblemKind::TimedOut)
    }
}

/// Becomes 409 if the lock is busy, 400 if the key can't be locked, and 503 otherwise. The causes of an unavailable provider
/// and of a bad key are not in the problem: log the error before, if they matter.
impl From<LockError> for Problem {
    fn from(error: LockError) -> Self {
        match error {
            LockError::Busy(busy) => busy.into(),
            LockError::TimedOut(timed_out) => timed_out.into(),
            LockError::QueueFull => Self::queue_full(),
            LockError::BadKey(_) => Self::bad_key("the key can't be locked"),
            LockError::Lost => Self::lock_lost(),
            LockError::Unavailable(_) => Self::lock_unavailable(),
        }
    }
}

/// Becomes 409 or 503, as the error inside.
impl From<NotAcquired> for Problem {
    fn from(error: NotAcquired) -> Self {
        match error {
            NotAcquired::Busy(busy) => busy.into(),
            NotAcquired::TimedOut(timed_out) => timed_out.into(),
        }
    }
}

/// Becomes 400.
#[cfg(feature = "postgres")]
impl From<KeyTooLong> for Problem {
    fn from(_: KeyTooLong) -> Self {
        Self::bad_key("the key is too long")
    }
}

/// Becomes 503 if the lock was lost. Otherwise it is answered as the error of the database.
#[cfg(feature = "postgres")]
impl From<VerifyError> for Problem {
    fn from(error: VerifyError) -> Self {
        match error {
            VerifyError::Lost => Self::lock_lost(),
            VerifyError::Database(error) => error.into(),
        }
    }
}

/// Becomes 503: the request may be sent again, and gets a new grant. The fences are not in the problem.
impl From<StaleFence> for Problem {
    fn from(_: StaleFence) -> Self {
        Self::lock_lost()
    }
}

/// Becomes 409 with the expected and the current stamps, without the values.
impl<T> From<Conflict<T>> for Problem {
    fn from(conflict: Conflict<T>) -> Self {
        let current = conflict.current.as_ref().map(Snapshot::stamp);
        Self::conflict(conflict.expected, current)
    }
}

/// Becomes the problem of the conflict, of the closure's error, or of the stamps that ran out. A crowd of writers becomes
/// 409 as a busy key does: the client named no stale version, and may send the request again.
impl<T, E> From<WriteError<T, E>> for Problem
where
    Self: From<E>,
{
    fn from(error: WriteError<T, E>) -> Self {
        match error {
            WriteError::Conflict(conflict) => conflict.into(),
            WriteError::Crowded(_) => Self::of(ProblemKind::Busy),
            WriteError::Refused(error) => error.into(),
            WriteError::Exhausted(exhausted) => exhausted.into(),
        }
    }
}

/// Becomes 500: a client can do nothing about it.
impl From<StampsExhausted> for Problem {
    fn from(_: StampsExhausted) -> Self {
        Self::of(ProblemKind::StampsExhausted)
    }
}

/// Becomes 500, without the value.
impl<T> From<Exhausted<T>> for Problem {
    fn from(exhausted: Exhausted<T>) -> Self {
        StampsExhausted::from(exhausted).into()
    }
}

/// Becomes 409, without the name. It is retryable if the name is only claimed, as it may be free again soon.
impl<K> From<Taken<K>> for Problem {
    fn from(taken: Taken<K>) -> Self {
        Self::of(ProblemKind::Taken).with_retryable(!taken.is_kept)
    }
}

/// Becomes 409, with the number of names that were tried.
impl From<ClaimExhausted> for Problem {
    fn from(exhausted: ClaimExhausted) -> Self {
        let attempts = u64::try_from(exhausted.attempts).unwrap_or(u64::MAX);
        Self::of(ProblemKind::NoFreeName).with_attempts(attempts)
    }
}

/// Becomes the problem of the last attempt's error, with the number of attempts. If the problem is retryable, `Retry-After`
/// is at least the wait that the error asked for ([`RetryError::hint`]).
///
/// - The error was not worth a retry: the problem stays retryable or not.
/// - The attempts or the time were used up, or the hint was too long: the problem is retryable. `Retry-After` is at least the
///   wait for which there was no time.
/// - The budget was used up: the problem is not retryable, and has no `Retry-After`. Too many retries are running, and retries of clients would
///   multiply them (B. Beyer et al., "Site Reliability Engineering" (2016), chapter 21).
impl<E> From<RetryError<E>> for Problem
where
    Self: From<E>,
{
    fn from(error: RetryError<E>) -> Self {
        let problem = Self::from(error.error).with_attempts(error.attempts.into());
        let (problem, wait) = match error.reason {
            StopReason::NotRetryable => (problem, None),
            StopReason::BudgetExhausted => (problem.with_retryable(false), None),
            StopReason::AttemptsExhausted | StopReason::HintTooLong { .. } => {
                (problem.with_retryable(true), None)
            }
            StopReason::DeadlineExceeded { wait, .. } => (problem.with_retryable(true), Some(wait)),
        };
        // `None` is less than any wait.
        match problem.retry_after().max(error.hint).max(wait) {
            Some(wait) if problem.is_retryable() => problem.with_retry_after(wait),
            _ => problem,
        }
    }
}

/// Becomes 400.
impl From<BadNumber> for Problem {
    fn from(why: BadNumber) -> Self {
        Self::of(ProblemKind::BadNumber).with_detail(why.to_string())
    }
}

/// Becomes 400, without the text.
impl From<ParseStampError> for Problem {
    fn from(error: ParseStampError) -> Self {
        Self::of(ProblemKind::BadNumber).with_detail(error.to_string())
    }
}

/// Becomes 400, without the text.
impl From<ParseFenceError> for Problem {
    fn from(error: ParseFenceError) -> Self {
        Self::of(ProblemKind::BadNumber).with_detail(error.to_string())
    }
}

/// Becomes 500: numbers that are converted, and not parsed, come from the service's own database. For a number from a
/// client, return [`Problem::bad_number`].
impl From<StampOutOfRange> for Problem {
    fn from(_: StampOutOfRange) -> Self {
        Self::of(ProblemKind::BadStoredNumber)
    }
}

/// Becomes 500, as [`StampOutOfRange`] does.
impl From<FenceOutOfRange> for Problem {
    fn from(_: FenceOutOfRange) -> Self {
        Self::of(ProblemKind::BadStoredNumber)
    }
}

/// Becomes 500, without the stamp: a row of the service's database is damaged.
impl From<ImplausibleStamp> for Problem {
    fn from(_: ImplausibleStamp) -> Self {
        Self::of(ProblemKind::BadStoredNumber)
    }
}

/// Becomes 400, without the tag.
impl From<BadEtag> for Problem {
    fn from(error: BadEtag) -> Self {
        Self::of(ProblemKind::BadPrecondition).with_detail(error.to_string())
    }
}

/// 400, for services that set their mode by a request.
impl From<ParseModeError> for Problem {
    fn from(error: ParseModeError) -> Self {
        Self::new(StatusCode::BAD_REQUEST).with_detail(error.to_string())
    }
}

/// Never happens.
impl From<Infallible> for Problem {
    fn from(error: Infallible) -> Self {
        match error {}
    }
}
