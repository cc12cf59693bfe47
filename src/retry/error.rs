//! [`RetryError`]: the last error, and why there was no further attempt.

use std::error::Error;
use std::fmt;
use std::time::Duration;

use super::boxed::BoxedError;
use crate::verdict::{Classify, Verdict};

/// Why no further attempt was made.
///
/// # Examples
///
/// ```
/// assert_eq!(latchwork::retry::StopReason::AttemptsExhausted.to_string(), "attempts exhausted");
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum StopReason {
    /// Another attempt would fail as well, or the policy does not retry this kind of error.
    NotRetryable,
    /// It was the last attempt allowed.
    AttemptsExhausted,
    /// The next wait would end after the deadline, so it does not begin.
    DeadlineExceeded {
        /// The length of that wait.
        wait: Duration,
        /// The time left before the deadline.
        left: Duration,
    },
    /// The shared budget has not enough tokens for another attempt.
    BudgetExhausted,
    /// The error asks for a longer wait than the policy's [`max_hint`](crate::RetryPolicy::max_hint).
    HintTooLong {
        /// The wait that the error asks for.
        hint: Duration,
    },
}

impl StopReason {
    pub(super) const COUNT: usize = 5;

    pub(super) const fn index(self) -> usize {
        match self {
            Self::NotRetryable => 0,
            Self::AttemptsExhausted => 1,
            Self::DeadlineExceeded { .. } => 2,
            Self::BudgetExhausted => 3,
            Self::HintTooLong { .. } => 4,
        }
    }
}

impl fmt::Display for StopReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotRetryable => f.write_str("not retryable"),
            Self::AttemptsExhausted => f.write_str("attempts exhausted"),
            Self::DeadlineExceeded { wait, left } => {
                write!(f, "deadline exceeded, {left:?} left for a wait of {wait:?}")
            }
            Self::BudgetExhausted => f.write_str("retry budget exhausted"),
            Self::HintTooLong { hint } => write!(f, "the hint to wait for {hint:?} is too long"),
        }
    }
}

/// The error of a call that gave up; [`error`](Self::error) is the last attempt's.
///
/// # Examples
///
/// ```
/// use latchwork::{RetryPolicy, retry::StopReason, verdict::{RetryKind, Verdict}};
///
/// let policy = RetryPolicy::new().max_attempts(1).name("save card");
/// let policy = policy.classify_with(|_: &&str| Verdict::Retry(RetryKind::Transient));
/// let error = policy.run_blocking(|_| Err::<(), _>("disk full")).unwrap_err();
/// assert_eq!((error.error, error.reason, error.attempts), ("disk full", StopReason::AttemptsExhausted, 1));
/// assert_eq!(error.to_string(), "save card: gave up at attempt 1: attempts exhausted");
/// assert_eq!(error.into_inner(), "disk full");
/// ```
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct RetryError<E> {
    /// The error of the last attempt.
    pub error: E,
    /// Why there was no further attempt.
    pub reason: StopReason,
    /// How many attempts were made, the first call included.
    pub attempts: u32,
    /// How many of them ended in a [conflict](crate::verdict::RetryKind::is_conflict).
    pub conflicts: u32,
    /// How long the call waited between attempts, in total.
    pub slept: Duration,
    /// The wait that the last attempt's error asked for: see [`Verdict::RetryAfter`].
    pub hint: Option<Duration>,
    /// The policy's name.
    pub name: &'static str,
}

impl<E> RetryError<E> {
    /// Returns the error of the last attempt. Why the policy gave up is lost: see [`map`](Self::map).
    #[must_use]
    pub fn into_inner(self) -> E {
        self.error
    }

    /// Turns the error of the last attempt into another one. The reason and the counts stay.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::io;
    /// use latchwork::{Busy, KeyedLock, RetryPolicy, retry::RetryError};
    ///
    /// let (locks, policy) = (KeyedLock::<u32>::new(), RetryPolicy::new().max_attempts(1));
    /// let _held = locks.try_lock(7)?;
    /// let busy = policy.run_blocking(|_| locks.try_lock(7).map(drop)).unwrap_err();
    /// let error: RetryError<io::Error> = busy.map(io::Error::other);
    /// assert!(error.is_exhausted()); // a handler answers 503
    /// # Ok::<(), Busy>(())
    /// ```
    #[must_use]
    pub fn map<F>(self, f: impl FnOnce(E) -> F) -> RetryError<F> {
        let Self { error, reason, attempts, conflicts, slept, hint, name } = self;
        RetryError { error: f(error), reason, attempts, conflicts, slept, hint, name }
    }

    /// Returns `true` if a later call may succeed: the error may pass, and the policy gave up for another reason.
    ///
    /// The attempts, the time or the budget were used up, or the hint was too long.
    ///
    /// After [`BudgetExhausted`](StopReason::BudgetExhausted) too many calls are retrying already. So do not ask the client to
    /// retry: answer without `Retry-After`. A problem of the feature `tower` does so.
    #[must_use]
    pub const fn is_exhausted(&self) -> bool {
        !matches!(self.reason, StopReason::NotRetryable)
    }
}

impl<E> fmt::Display for RetryError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { reason, attempts, name, .. } = self;
        write!(f, "{name}: gave up at attempt {attempts}: {reason}")
    }
}

impl<E: Error + 'static> Error for RetryError<E> {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        let error: &(dyn Error + 'static) = &self.error;
        // The box is no link of its own: it would repeat the text, and hide the type of the error inside.
        match error.downcast_ref::<BoxedError>() {
            Some(boxed) => Some(&**boxed),
            None => Some(error),
        }
    }
}

/// An outer policy does not begin again: the inner one has given up, and attempts would multiply.
impl<E> Classify for RetryError<E> {
    fn classify(&self) -> Verdict {
        Verdict::Stop
    }
}
