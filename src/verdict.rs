//! What an error means for a retry: [`Classify`], [`Verdict`], [`RetryKind`].

use std::convert::Infallible;
use std::time::Duration;

/// Why a further attempt may succeed.
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
    /// The name is taken. Retried only if the policy is set to: the same name would be taken again.
    UniqueViolation,
    /// The database aborted this transaction to resolve a deadlock.
    Deadlock,
    /// The database could not serialize this transaction with others.
    Serialization,
    /// A lock was not acquired in time.
    LockTimeout,
    /// The other side asks for fewer requests.
    Throttled,
    /// Anything else that may pass: a refused connection, a server that is restarting.
    Transient,
}

impl RetryKind {
    /// Every kind.
    pub const ALL: &'static [Self] = &[
        Self::VersionConflict,
        Self::UniqueViolation,
        Self::Deadlock,
        Self::Serialization,
        Self::LockTimeout,
        Self::Throttled,
        Self::Transient,
    ];

    /// Returns `true` if another writer of the same data was in the way, and made progress: a version conflict, a
    /// deadlock or a serialization failure. These are counted as conflicts.
    #[must_use]
    pub const fn is_conflict(self) -> bool {
        matches!(self, Self::VersionConflict | Self::Deadlock | Self::Serialization)
    }

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::VersionConflict => "VersionConflict",
            Self::UniqueViolation => "UniqueViolation",
            Self::Deadlock => "Deadlock",
            Self::Serialization => "Serialization",
            Self::LockTimeout => "LockTimeout",
            Self::Throttled => "Throttled",
            Self::Transient => "Transient",
        }
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
    /// Try again, but not before this time, for example that of a `Retry-After`.
    ///
    /// The wait is never shorter than this hint, even if the policy's longest wait is. It is spread behind the hint, so that
    /// callers with the same hint return at different times. The policy's own wait comes on top, or a random part of a
    /// tenth of the hint if that is longer. A hint longer than [`max_hint`](crate::RetryPolicy::max_hint) ends the call.
    /// Attempts, deadline and budget apply as always.
    RetryAfter(RetryKind, Duration),
}

/// An error that knows if the attempt may be made again.
///
/// For errors of other crates see [`RetryPolicy::classified_by`](crate::RetryPolicy::classified_by).
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
    /// Returns what to do about this error.
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
