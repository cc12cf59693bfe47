//! What each error of this crate is answered with.

use std::convert::Infallible;

use ::axum::response::{IntoResponse, Response};

use super::kind::ProblemKind;
use super::problem::Problem;
use crate::claim::{ClaimExhausted, Taken};
use crate::digits::BadNumber;
use crate::error::{Busy, TimedOut};
use crate::fence::{ParseFenceError, StaleFence};
use crate::retry::{RetryError, StopReason};
use crate::stamp::{BadEtag, ParseStampError, StampOutOfRange, StampsExhausted};
use crate::versioned::{Conflict, Snapshot, WriteError};

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
