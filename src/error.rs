//! The errors of acquisitions: [`Busy`], [`TimedOut`], and [`NotAcquired`] for either.

pub use crate::digits::BadNumber;
use crate::fence::Fence;
use crate::verdict::{Classify, RetryKind, Verdict};

/// The lock is held, or reserved for a waiter, and the call was not allowed to wait.
///
/// # Examples
///
/// ```
/// let locks = latchwork::KeyedLock::<String>::new();
/// let guard = locks.try_lock("ada")?;
/// let busy = locks.try_lock("ada").unwrap_err();
/// assert_eq!((busy.waiters, busy.holder), (0, Some(guard.fence())));
/// assert_eq!(busy.to_string(), "the lock is busy, 0 waiting");
/// # Ok::<(), latchwork::Busy>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the lock is busy, {waiters} waiting")]
#[non_exhaustive]
pub struct Busy {
    /// The number of acquisitions that wait for it already.
    pub waiters: usize,
    /// The fence of the latest grant, for keyed locks.
    pub holder: Option<Fence>,
}

impl Busy {
    /// Creates the error, for a [lock provider](crate::provider::LockProvider) of your own.
    #[must_use]
    pub const fn new(waiters: usize, holder: Option<Fence>) -> Self {
        Self { waiters, holder }
    }
}

/// The time limit ran out before the lock was acquired. Nothing is held.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
///
/// let permits = latchwork::Semaphore::new(0);
/// let error = permits.acquire().wait_timeout(Duration::ZERO).unwrap_err();
/// assert_eq!(error.to_string(), "timed out waiting for the lock");
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, thiserror::Error)]
#[error("timed out waiting for the lock")]
#[non_exhaustive]
pub struct TimedOut;

impl TimedOut {
    pub(crate) const NEW: Self = Self;

    /// Creates the error, for a [lock provider](crate::provider::LockProvider) of your own.
    #[must_use]
    pub const fn new() -> Self {
        Self
    }
}

/// The lock was not acquired: it is busy, or the time limit ran out. Nothing is held.
///
/// The error of an acquisition with a [bound on the queue](crate::Acquire::max_waiters) and a time limit.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use latchwork::error::NotAcquired;
///
/// let seats = latchwork::Semaphore::new(1);
/// let acquire = |max_waiters| {
///     let limit = Duration::from_micros(50);
///     seats.acquire().max_waiters(max_waiters).wait_timeout(limit)
/// };
/// let permit = acquire(0)?;
/// assert!(matches!(acquire(0), Err(NotAcquired::Busy(_))));
/// assert!(matches!(acquire(1), Err(NotAcquired::TimedOut(_))));
/// # drop(permit);
/// # Ok::<(), NotAcquired>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error(transparent)]
#[non_exhaustive]
pub enum NotAcquired {
    /// The lock is held, and too many others wait for it.
    Busy(#[from] Busy),
    /// The time limit ran out.
    TimedOut(#[from] TimedOut),
}

/// The lock may be free soon.
impl Classify for Busy {
    fn classify(&self) -> Verdict {
        Verdict::Retry(RetryKind::LockTimeout)
    }
}

/// The lock may be acquired in time by another attempt.
impl Classify for TimedOut {
    fn classify(&self) -> Verdict {
        Verdict::Retry(RetryKind::LockTimeout)
    }
}

impl Classify for NotAcquired {
    fn classify(&self) -> Verdict {
        match self {
            Self::Busy(busy) => busy.classify(),
            Self::TimedOut(timed_out) => timed_out.classify(),
        }
    }
}
