//! [`RetryError`]: the last error, and why there was no further attempt.

use std::fmt;
use std::time::Duration;

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
}

impl StopReason {
    pub(super) const COUNT: usize = 4;

    pub(super) const fn index(self) -> usize {
        match self {
            Self::NotRetryable => 0,
            Self::AttemptsExhausted => 1,
            Self::DeadlineExceeded { .. } => 2,
            Self::BudgetExhausted => 3,
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
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{name}: gave up at attempt {attempts}: {reason}")]
#[non_exhaustive]
pub struct RetryError<E> {
    /// The error of the last attempt.
    #[source]
    pub error: E,
    /// Why there was no further attempt.
    pub reason: StopReason,
    /// How many attempts were made, the first call included.
    pub attempts: u32,
    /// How many of them ended in a [conflict](crate::verdict::RetryKind::is_conflict).
    pub conflicts: u32,
    /// How long the call waited between attempts, in total.
    pub slept: Duration,
    /// The policy's name.
    pub name: &'static str,
}

impl<E> RetryError<E> {
    /// Returns the error of the last attempt.
    #[must_use]
    pub fn into_inner(self) -> E {
        self.error
    }
}

/// A policy has given up already: an outer policy does not begin again.
impl<E> Classify for RetryError<E> {
    fn classify(&self) -> Verdict {
        Verdict::Stop
    }
}
