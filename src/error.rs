//! What can come of an acquisition other than a guard.

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
/// assert_eq!(busy.to_string(), "busy: held, 0 waiting");
/// # Ok::<(), latchwork::Busy>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("busy: held, {waiters} waiting")]
#[non_exhaustive]
pub struct Busy {
    /// How many wait for it already.
    pub waiters: usize,
    /// The fence of the latest grant, for keyed locks.
    pub holder: Option<Fence>,
}

impl Busy {
    pub(crate) const fn new(waiters: usize, holder: Option<Fence>) -> Self {
        Self { waiters, holder }
    }
}

/// The time was up before the acquisition succeeded; nothing is held.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
///
/// let permits = latchwork::Semaphore::new(0);
/// let error = permits.acquire().wait_timeout(Duration::ZERO).unwrap_err();
/// assert_eq!(error.to_string(), "timed out before it was acquired");
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("timed out before it was acquired")]
#[non_exhaustive]
pub struct TimedOut;

impl TimedOut {
    pub(crate) const NEW: Self = Self;
}

/// The key was held: its holder may be through soon.
impl Classify for Busy {
    fn classify(&self) -> Verdict {
        Verdict::Retry(RetryKind::LockTimeout)
    }
}

/// The lock was not had in time.
impl Classify for TimedOut {
    fn classify(&self) -> Verdict {
        Verdict::Retry(RetryKind::LockTimeout)
    }
}
