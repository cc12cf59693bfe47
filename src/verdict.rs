//! What an error means for a retry: [`Classify`], [`Verdict`], [`RetryKind`].

use std::convert::Infallible;
use std::time::Duration;

/// Why an attempt that failed may succeed if it is made again.
///
/// # Examples
///
/// ```
/// use latchwork::verdict::RetryKind;
///
/// assert!(RetryKind::VersionConflict.is_conflict());
/// assert!(!RetryKind::Throttled.is_conflict());
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum RetryKind {
    /// The value has changed since it was read.
    VersionConflict,
    /// The name is taken. Retried only if the policy is told so: with the same name it is taken again.
    UniqueViolation,
    /// The database has chosen this transaction as a deadlock's victim.
    Deadlock,
    /// The database could not put this transaction in an order with others.
    Serialization,
    /// A lock was not had in time.
    LockTimeout,
    /// The other side asks for less.
    Throttled,
    /// Anything else that may pass: a refused connection, a server that is restarting.
    Transient,
}

impl RetryKind {
    /// Every kind.
    pub const ALL: [Self; 7] = [
        Self::VersionConflict,
        Self::UniqueViolation,
        Self::Deadlock,
        Self::Serialization,
        Self::LockTimeout,
        Self::Throttled,
        Self::Transient,
    ];

    /// Whether another writer of the same data was in the way, who has got ahead: a version conflict, a
    /// deadlock or a serialization failure. These are counted as conflicts.
    ///
    /// # Examples
    ///
    /// ```
    /// use latchwork::verdict::RetryKind;
    ///
    /// assert!(RetryKind::Serialization.is_conflict() && !RetryKind::UniqueViolation.is_conflict());
    /// ```
    #[must_use]
    pub const fn is_conflict(self) -> bool {
        matches!(self, Self::VersionConflict | Self::Deadlock | Self::Serialization)
    }

    pub(crate) const fn index(self) -> usize {
        self as usize
    }
}

/// What to do about an error.
///
/// # Examples
///
/// ```
/// use latchwork::{TimedOut, verdict::{Classify, RetryKind, Verdict}};
/// use std::time::Duration;
///
/// let lock = latchwork::Mutex::new(());
/// let _held = lock.lock().wait();
/// let timed_out: TimedOut = lock.lock().wait_timeout(Duration::ZERO).unwrap_err();
/// assert_eq!(timed_out.classify(), Verdict::Retry(RetryKind::LockTimeout));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// Give up: another attempt would fail as well, or could do the work twice.
    Stop,
    /// Try again after the policy's wait.
    Retry(RetryKind),
    /// Try again, but not before so much time: what a `Retry-After` asked for, say. The wait is never
    /// shorter, whatever the policy's longest is; attempts, deadline and budget count all the same.
    RetryAfter(RetryKind, Duration),
}

/// An error that knows whether the attempt may be made again.
///
/// For errors of other crates see [`RetryPolicy::classify_with`](crate::RetryPolicy::classify_with).
///
/// # Examples
///
/// ```
/// use latchwork::{RetryPolicy, verdict::{Classify, RetryKind, Verdict}};
///
/// #[derive(Debug)]
/// enum SaveError { Stale, TooLong }
///
/// impl Classify for SaveError {
///     fn classify(&self) -> Verdict {
///         match self {
///             Self::Stale => Verdict::Retry(RetryKind::VersionConflict),
///             Self::TooLong => Verdict::Stop,
///         }
///     }
/// }
///
/// let error = RetryPolicy::new().run_blocking(|_| Err::<(), _>(SaveError::TooLong)).unwrap_err();
/// assert_eq!(error.attempts, 1);
/// ```
pub trait Classify {
    /// What to do about it.
    fn classify(&self) -> Verdict;
}

/// There is no such error.
impl Classify for Infallible {
    fn classify(&self) -> Verdict {
        match *self {}
    }
}

impl<E: Classify + ?Sized> Classify for Box<E> {
    fn classify(&self) -> Verdict {
        (**self).classify()
    }
}
