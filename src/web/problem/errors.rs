//! What each error of this crate is answered with, and each refusal that is no error.

use std::borrow::Cow;
use std::convert::Infallible;

use ::axum::response::{IntoResponse, Response};

use super::Problem;
use super::kind::ProblemKind;
use crate::claim::{ClaimExhausted, Taken};
use crate::digits::BadNumber;
use crate::error::{Busy, NotAcquired, TimedOut};
use crate::fence::{ParseFenceError, StaleFence};
use crate::retry::{RetryError, StopReason};
use crate::stamp::{BadEtag, ParseStampError, Stamp, StampOutOfRange, StampsExhausted};
use crate::versioned::{Conflict, Expect, Snapshot, WriteError};

impl Problem {
    /// 503: as many as may wait for a key do so already.
    ///
    /// # Examples
    ///
    /// ```
    /// assert_eq!(latchwork::web::Problem::queue_full().to_string(), "503 too many wait for the key");
    /// ```
    #[must_use]
    pub fn queue_full() -> Self {
        Self::of(ProblemKind::QueueFull)
    }

    /// 503: a lock went to somebody else before the work was done. A [`StaleFence`](crate::fence::StaleFence) becomes this.
    ///
    /// # Examples
    ///
    /// ```
    /// assert_eq!(latchwork::web::Problem::lock_lost().to_string(), "503 the lock was lost");
    /// ```
    #[must_use]
    pub fn lock_lost() -> Self {
        Self::of(ProblemKind::LockLost)
    }

    /// 503: the service takes no more work.
    ///
    /// # Examples
    ///
    /// ```
    /// assert_eq!(latchwork::web::Problem::shutting_down().to_string(), "503 the service is shutting down");
    /// ```
    #[must_use]
    pub fn shutting_down() -> Self {
        Self::of(ProblemKind::ShuttingDown)
    }

    /// 400: the request does not say what its key is. What should be in `detail` is where the key was looked
    /// for, not what was found there.
    ///
    /// # Examples
    ///
    /// ```
    /// let problem = latchwork::web::Problem::bad_key("the header x-user is missing");
    /// assert_eq!(problem.to_string(), "400 the request has no key: the header x-user is missing");
    /// ```
    #[must_use]
    pub fn bad_key(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::of(ProblemKind::BadKey).with_detail(detail)
    }

    /// 428: the request must say which version it was made from, in a header or wherever else the handler looks.
    ///
    /// # Examples
    ///
    /// ```
    /// let problem = latchwork::web::Problem::precondition_required("send If-Match or a version");
    /// assert_eq!(problem.to_string(), "428 a precondition is required: send If-Match or a version");
    /// ```
    #[must_use]
    pub fn precondition_required(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::of(ProblemKind::PreconditionRequired).with_detail(detail)
    }

    /// 409: a write wanted to find another version than there is, or none; `current` is `None` if there is no value. For
    /// versions that are kept in a database; a [`Conflict`](crate::Conflict) becomes this by itself.
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
            (Expect::Absent, _) => "there is a value already",
            (Expect::NoneOf(_), Some(_)) => "it is a version that was excluded",
            (_, Some(_)) => "it has been changed meanwhile: read it again",
            (_, None) => "there is no value",
        };
        Self::of(ProblemKind::Conflict).with_detail(detail).with_versions(expected, current)
    }
}

/// 409, without who holds it and how many wait.
impl From<Busy> for Problem {
    fn from(_: Busy) -> Self {
        Self::of(ProblemKind::Busy)
    }
}

/// 503.
impl From<TimedOut> for Problem {
    fn from(_: TimedOut) -> Self {
        Self::of(ProblemKind::TimedOut)
    }
}

/// 409 or 503, as the error inside.
impl From<NotAcquired> for Problem {
    fn from(error: NotAcquired) -> Self {
        match error {
            NotAcquired::Busy(busy) => busy.into(),
            NotAcquired::TimedOut(timed_out) => timed_out.into(),
        }
    }
}

/// 503: whoever was overtaken starts again with a lock of its own. The fences are not told.
impl From<StaleFence> for Problem {
    fn from(_: StaleFence) -> Self {
        Self::lock_lost()
    }
}

/// 409 with the stamps, expected and current, and without the values.
impl<T> From<Conflict<T>> for Problem {
    fn from(conflict: Conflict<T>) -> Self {
        let current = conflict.current.as_ref().map(Snapshot::stamp);
        Self::conflict(conflict.expected, current)
    }
}

/// What it is: a conflict, the closure's error, or no stamps left.
impl<T, E> From<WriteError<T, E>> for Problem
where
    Self: From<E>,
{
    fn from(error: WriteError<T, E>) -> Self {
        match error {
            WriteError::Conflict(conflict) => conflict.into(),
            WriteError::Refused(error) => error.into(),
            WriteError::Exhausted(exhausted) => exhausted.into(),
        }
    }
}

/// 500: no client can do anything about it.
impl From<StampsExhausted> for Problem {
    fn from(_: StampsExhausted) -> Self {
        Self::of(ProblemKind::StampsExhausted)
    }
}

/// 409 without the name. A name that is only claimed may be free again soon.
impl<K> From<Taken<K>> for Problem {
    fn from(taken: Taken<K>) -> Self {
        Self::of(ProblemKind::Taken).with_retryable(!taken.is_kept)
    }
}

/// 409 with the number of names that were tried.
impl From<ClaimExhausted> for Problem {
    fn from(exhausted: ClaimExhausted) -> Self {
        let attempts = u64::try_from(exhausted.attempts).unwrap_or(u64::MAX);
        Self::of(ProblemKind::NoFreeName).with_attempts(attempts)
    }
}

/// The last attempt's error, with the number of attempts.
///
/// - The policy did not call it one that passes: nothing else changes.
/// - Attempts or time were used up: it may be sent again, not before the wait that there was no time for.
/// - The budget was used up: too many retries are under way, and clients are not to add theirs of their own
///   accord. (They would multiply: B. Beyer et al., "Site Reliability Engineering" (2016), chapter 21.)
impl<E> From<RetryError<E>> for Problem
where
    Self: From<E>,
{
    fn from(error: RetryError<E>) -> Self {
        let problem = Self::from(error.error).with_attempts(error.attempts.into());
        match error.reason {
            StopReason::NotRetryable => problem,
            StopReason::AttemptsExhausted => problem.with_retryable(true),
            StopReason::DeadlineExceeded { wait, .. } => {
                let wait = problem.retry_after().map_or(wait, |other| wait.max(other));
                problem.with_retry_after(wait)
            }
            StopReason::BudgetExhausted => problem.with_retryable(false),
        }
    }
}

/// 400.
impl From<BadNumber> for Problem {
    fn from(why: BadNumber) -> Self {
        Self::of(ProblemKind::BadNumber).with_detail(why.to_string())
    }
}

/// 400, without the text.
impl From<ParseStampError> for Problem {
    fn from(error: ParseStampError) -> Self {
        Self::of(ProblemKind::BadNumber).with_detail(error.to_string())
    }
}

/// 400, without the text.
impl From<ParseFenceError> for Problem {
    fn from(error: ParseFenceError) -> Self {
        Self::of(ProblemKind::BadNumber).with_detail(error.to_string())
    }
}

/// 400.
impl From<StampOutOfRange> for Problem {
    fn from(error: StampOutOfRange) -> Self {
        Self::of(ProblemKind::BadNumber).with_detail(error.to_string())
    }
}

/// 400, without the tag.
impl From<BadEtag> for Problem {
    fn from(error: BadEtag) -> Self {
        Self::of(ProblemKind::BadPrecondition).with_detail(error.to_string())
    }
}

/// There is no such error.
impl From<Infallible> for Problem {
    fn from(error: Infallible) -> Self {
        match error {}
    }
}

/// Errors that handlers can return as they are.
macro_rules! answered_as_problems {
    ($($error:ty),* $(,)?) => {$(
        /// As a [`Problem`].
        impl IntoResponse for $error {
            fn into_response(self) -> Response {
                Problem::from(self).into_response()
            }
        }
    )*};
}

answered_as_problems!(
    Busy,
    TimedOut,
    StaleFence,
    StampsExhausted,
    ClaimExhausted,
    BadNumber,
    ParseStampError,
    ParseFenceError,
    StampOutOfRange,
    BadEtag,
);

/// As a [`Problem`].
impl<T> IntoResponse for Conflict<T> {
    fn into_response(self) -> Response {
        Problem::from(self).into_response()
    }
}

/// As a [`Problem`].
impl<T, E> IntoResponse for WriteError<T, E>
where
    Problem: From<E>,
{
    fn into_response(self) -> Response {
        <Problem as From<Self>>::from(self).into_response()
    }
}

/// As a [`Problem`].
impl<K> IntoResponse for Taken<K> {
    fn into_response(self) -> Response {
        Problem::from(self).into_response()
    }
}

/// As a [`Problem`].
impl<E> IntoResponse for RetryError<E>
where
    Problem: From<E>,
{
    fn into_response(self) -> Response {
        <Problem as From<Self>>::from(self).into_response()
    }
}
