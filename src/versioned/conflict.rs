//! [`Conflict`], [`Exhausted`] and [`WriteError`]: why a write failed.

use std::convert::Infallible;
use std::error::Error;
use std::fmt;

use super::expect::Expect;
use super::snapshot::Snapshot;
use crate::stamp::{Stamp, StampsExhausted};
use crate::verdict::{Classify, RetryKind, Verdict};

/// A write found another version than it expected, and changed nothing.
///
/// Neither its text nor its `Debug` shows values, so it can be logged.
///
/// # Examples
///
/// ```
/// let card = latchwork::Versioned::new("Ada");
/// let read = card.stamp();
/// card.modify(|_| "Augusta")?;
/// let conflict = card.compare_and_set(read, "Grace").unwrap_err().into_conflict().expect("it is stale");
/// assert_eq!(conflict.to_string(), "conflict: expected stamp 1, found stamp 2");
/// assert_eq!((conflict.current.as_deref(), conflict.rejected), (Some(&"Augusta"), Some("Grace")));
/// # Ok::<(), latchwork::stamp::StampsExhausted>(())
/// ```
#[non_exhaustive]
pub struct Conflict<T> {
    /// What the write expected.
    pub expected: Expect,
    /// The current version, read in the same step that refused the write; `None` if there is no value.
    pub current: Option<Snapshot<T>>,
    /// The value that was not stored; `None` if it was not computed.
    pub rejected: Option<T>,
}

impl<T> Conflict<T> {
    pub(super) fn new(expected: Expect, current: Option<Snapshot<T>>, rejected: Option<T>) -> Self {
        Self { expected, current, rejected }
    }

    fn found(&self) -> Option<Stamp> {
        self.current.as_ref().map(Snapshot::stamp)
    }
}

impl<T> fmt::Debug for Conflict<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Conflict")
            .field("expected", &self.expected)
            .field("found", &self.found())
            .finish_non_exhaustive()
    }
}

impl<T> fmt::Display for Conflict<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "conflict: expected {}, found ", self.expected)?;
        match self.found() {
            Some(stamp) => write!(f, "stamp {stamp}"),
            None => f.write_str("no value"),
        }
    }
}

impl<T> Error for Conflict<T> {}

/// No stamp is left for a value, so it was not stored. It comes back with the error.
///
/// Neither its text nor its `Debug` shows the value, so it can be logged.
///
/// # Examples
///
/// ```
/// let card = latchwork::Versioned::starting_at("Ada", latchwork::Stamp::MAX);
/// let error = card.modify(|_| "Augusta").unwrap_err();
/// assert_eq!((error.rejected, error.to_string()), ("Augusta", "no stamps are left".to_owned()));
/// assert_eq!(*card.snapshot(), "Ada");
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Exhausted<T> {
    /// The value that was not stored.
    pub rejected: T,
}

impl<T> Exhausted<T> {
    pub(super) fn new(rejected: T) -> Self {
        Self { rejected }
    }
}

impl<T> fmt::Debug for Exhausted<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exhausted").finish_non_exhaustive()
    }
}

impl<T> fmt::Display for Exhausted<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        StampsExhausted.fmt(f)
    }
}

impl<T> Error for Exhausted<T> {}

/// Drops the value.
impl<T> From<Exhausted<T>> for StampsExhausted {
    fn from(_: Exhausted<T>) -> Self {
        Self
    }
}

/// No stamps are left: another attempt fails, too.
impl<T> Classify for Exhausted<T> {
    fn classify(&self) -> Verdict {
        StampsExhausted.classify()
    }
}

/// A write failed. `E` is the error of the closure that computes the value.
///
/// # Examples
///
/// ```
/// use latchwork::{Versioned, versioned::{Change, Expect, WriteError}};
///
/// let stock = Versioned::new(0_u32);
/// let sold = stock.try_update(Expect::Any, |left| left.checked_sub(1).map(Change::Set).ok_or("sold out"));
/// assert!(matches!(sold, Err(WriteError::Refused("sold out"))));
/// ```
#[non_exhaustive]
pub enum WriteError<T, E = Infallible> {
    /// The current version is not the expected one.
    Conflict(Conflict<T>),
    /// Other callers wrote during each call of the closure, and the number of calls was bounded. The conflict is that of
    /// the last call. The caller named no stale version.
    Crowded(Conflict<T>),
    /// The closure refused.
    Refused(E),
    /// No stamp is left for the value.
    Exhausted(Exhausted<T>),
}

impl<T, E> WriteError<T, E> {
    /// Returns the conflict, if it is one: with a stale version, or with a crowd of writers.
    ///
    /// # Examples
    ///
    /// ```
    /// let cell = latchwork::Versioned::new(7);
    /// let error = cell.compare_and_set(latchwork::Stamp::MAX, 8).unwrap_err();
    /// assert!(error.conflict().is_some_and(|conflict| conflict.rejected == Some(8)));
    /// ```
    #[must_use]
    pub fn conflict(&self) -> Option<&Conflict<T>> {
        match self {
            Self::Conflict(conflict) | Self::Crowded(conflict) => Some(conflict),
            Self::Refused(_) | Self::Exhausted(_) => None,
        }
    }

    /// Returns the conflict, if it is one, with its values.
    #[must_use]
    pub fn into_conflict(self) -> Option<Conflict<T>> {
        match self {
            Self::Conflict(conflict) | Self::Crowded(conflict) => Some(conflict),
            Self::Refused(_) | Self::Exhausted(_) => None,
        }
    }

    /// Returns the closure's error, or what `f` makes of a failure of the write itself.
    ///
    /// It is for services with an error type of their own: their closures return that type, and `f` makes one.
    ///
    /// # Examples
    ///
    /// ```
    /// use latchwork::{Versioned, versioned::{Change, Expect}};
    ///
    /// let stock = Versioned::new(0_u32);
    /// let sell = |left: &u32| left.checked_sub(1).map(Change::Set).ok_or("sold out".to_owned());
    /// let text = |expect: Expect| {
    ///     stock.try_update(expect, sell).unwrap_err().into_refused_or_else(|failure| failure.to_string())
    /// };
    /// assert_eq!(text(Expect::Any), "sold out");
    /// assert_eq!(text(Expect::Absent), "conflict: expected no value, found stamp 1");
    /// ```
    pub fn into_refused_or_else(self, f: impl FnOnce(WriteError<T>) -> E) -> E {
        f(match self {
            Self::Refused(error) => return error,
            Self::Conflict(conflict) => WriteError::Conflict(conflict),
            Self::Crowded(conflict) => WriteError::Crowded(conflict),
            Self::Exhausted(exhausted) => WriteError::Exhausted(exhausted),
        })
    }
}

impl<T, E> From<Conflict<T>> for WriteError<T, E> {
    fn from(conflict: Conflict<T>) -> Self {
        Self::Conflict(conflict)
    }
}

impl<T, E> From<Exhausted<T>> for WriteError<T, E> {
    fn from(exhausted: Exhausted<T>) -> Self {
        Self::Exhausted(exhausted)
    }
}

impl<T, E: fmt::Debug> fmt::Debug for WriteError<T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Conflict(conflict) => f.debug_tuple("Conflict").field(conflict).finish(),
            Self::Crowded(conflict) => f.debug_tuple("Crowded").field(conflict).finish(),
            Self::Refused(error) => f.debug_tuple("Refused").field(error).finish(),
            Self::Exhausted(exhausted) => f.debug_tuple("Exhausted").field(exhausted).finish(),
        }
    }
}

impl<T, E> fmt::Display for WriteError<T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Conflict(conflict) => conflict.fmt(f),
            Self::Crowded(_) => f.write_str("other callers wrote during each call"),
            Self::Refused(_) => f.write_str("the new value could not be computed"),
            Self::Exhausted(exhausted) => exhausted.fmt(f),
        }
    }
}

/// The source is the closure's error. The other errors have none.
impl<T, E: Error + 'static> Error for WriteError<T, E> {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Refused(error) => Some(error),
            Self::Conflict(_) | Self::Crowded(_) | Self::Exhausted(_) => None,
        }
    }
}

/// The value has changed: read it again.
impl<T> Classify for Conflict<T> {
    fn classify(&self) -> Verdict {
        Verdict::Retry(RetryKind::VersionConflict)
    }
}

/// A conflict is retried; a refusal is classified by the closure's error.
impl<T, E: Classify> Classify for WriteError<T, E> {
    fn classify(&self) -> Verdict {
        match self {
            Self::Conflict(conflict) | Self::Crowded(conflict) => conflict.classify(),
            Self::Refused(error) => error.classify(),
            Self::Exhausted(exhausted) => exhausted.classify(),
        }
    }
}
