//! [`RetryError`]: the last error, and what was done about it.

use std::fmt;
use std::time::Duration;

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
    /// The error is not one that passes, or of a kind that this policy does not retry.
    NotRetryable,
    /// It was the last attempt allowed.
    AttemptsExhausted,
    /// The next wait would have ended after the deadline, and so was not begun.
    DeadlineExceeded {
        /// How long it would have been.
        wait: Duration,
        /// How much of the time was left.
        left: Duration,
    },
    /// The shared budget had no tokens left for it.
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

/// All attempts failed; [`error`](Self::error) is the last attempt's.
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
/// ```
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{name}: gave up at attempt {attempts}: {reason}")]
#[non_exhaustive]
pub struct RetryError<E> {
    /// The error of the last attempt.
    #[source]
    pub error: E,
    /// Why there was no further one.
    pub reason: StopReason,
    /// How many attempts were made, with the first call.
    pub attempts: u32,
    /// How many of them ended in a [conflict](crate::verdict::RetryKind::is_conflict).
    pub conflicts: u32,
    /// How long it waited between them, in all.
    pub slept: Duration,
    /// The policy's name.
    pub name: &'static str,
}

impl<E> RetryError<E> {
    /// The error of the last attempt.
    ///
    /// # Examples
    ///
    /// ```
    /// use latchwork::{RetryPolicy, verdict::Verdict};
    ///
    /// let policy = RetryPolicy::new().classify_with(|_: &u8| Verdict::Stop);
    /// assert_eq!(policy.run_blocking(|_| Err::<(), u8>(7)).map_err(|error| error.into_inner()), Err(7));
    /// ```
    #[must_use]
    pub fn into_inner(self) -> E {
        self.error
    }
}
