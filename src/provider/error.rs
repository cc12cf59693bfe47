//! [`LockError`]: why a key could not be locked.

use std::error::Error;

use crate::error::{Busy, NotAcquired, TimedOut};
use crate::verdict::{Classify, RetryKind, Verdict};

/// Why a key could not be locked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LockError {
    /// The key is held, and the request must not wait.
    #[error(transparent)]
    Busy(#[from] Busy),
    /// The time limit ran out.
    #[error(transparent)]
    TimedOut(#[from] TimedOut),
    /// Too many requests wait already.
    #[error("too many requests are waiting for the lock")]
    QueueFull,
    /// The provider can't lock this key, for example because it is too long.
    #[error("the key can't be locked")]
    BadKey(#[source] Box<dyn Error + Send + Sync>),
    /// The lock was lost while the answer was on its way.
    #[error("the lock was lost")]
    Lost,
    /// The provider can't be reached.
    #[error("the lock provider is unavailable")]
    Unavailable(#[source] Box<dyn Error + Send + Sync>),
}

impl From<NotAcquired> for LockError {
    fn from(error: NotAcquired) -> Self {
        match error {
            NotAcquired::Busy(busy) => busy.into(),
            NotAcquired::TimedOut(timed_out) => timed_out.into(),
        }
    }
}

/// Each of them may pass, so an attempt may be repeated. Only a bad key stays bad.
impl Classify for LockError {
    fn classify(&self) -> Verdict {
        match self {
            Self::Busy(_) | Self::TimedOut(_) | Self::QueueFull => Verdict::Retry(RetryKind::LockTimeout),
            Self::BadKey(_) => Verdict::Stop,
            Self::Lost | Self::Unavailable(_) => Verdict::Retry(RetryKind::Transient),
        }
    }
}
