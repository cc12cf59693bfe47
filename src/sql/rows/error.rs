//! [`RowError`] and [`RowConflict`]: why a row was not written.

use std::fmt;

use crate::sql::transaction_verdict;
use crate::stamp::Stamp;
use crate::verdict::{Classify, RetryKind, Verdict};
use crate::versioned::Expect;

/// The row has another version than the write expected. Nothing was written.
///
/// # Examples
///
/// ```
/// use latchwork::{Stamp, sql::RowConflict, verdict::{Classify, RetryKind, Verdict}};
///
/// let conflict = RowConflict { expected: Stamp::MIN.into(), current: None };
/// assert_eq!(conflict.to_string(), "conflict: expected stamp 1, found no row");
/// assert_eq!(conflict.classify(), Verdict::Retry(RetryKind::VersionConflict));
/// ```
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RowConflict {
    /// What the write expected.
    pub expected: Expect,
    /// The version that was found after the write was refused; `None` if there is no row.
    pub current: Option<Stamp>,
}

impl fmt::Display for RowConflict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "conflict: expected {}, found ", self.expected)?;
        match self.current {
            Some(stamp) => write!(f, "stamp {stamp}"),
            None => f.write_str("no row"),
        }
    }
}

impl std::error::Error for RowConflict {}

/// Classifies as [`VersionConflict`](RetryKind::VersionConflict): read the row again.
impl Classify for RowConflict {
    fn classify(&self) -> Verdict {
        Verdict::Retry(RetryKind::VersionConflict)
    }
}

/// A row was not written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RowError {
    /// The row has another version.
    #[error(transparent)]
    Conflict(#[from] RowConflict),
    /// The database, or the connection to it, failed. The row may be written, unless a transaction around it is rolled
    /// back.
    #[error("the database failed")]
    Database(#[from] sqlx::Error),
}

impl RowError {
    /// Returns the conflict.
    ///
    /// # Errors
    ///
    /// Returns the database's error if it is not a conflict. So a service can answer both in its own way:
    ///
    /// ```
    /// use latchwork::sql::{RowConflict, RowError};
    ///
    /// enum AppError { Stale(RowConflict), Database(sqlx::Error) }
    ///
    /// fn of(error: RowError) -> AppError {
    ///     error.into_conflict().map_or_else(AppError::Database, AppError::Stale)
    /// }
    /// assert!(matches!(of(sqlx::Error::RowNotFound.into()), AppError::Database(_)));
    /// ```
    pub fn into_conflict(self) -> Result<RowConflict, sqlx::Error> {
        match self {
            Self::Conflict(conflict) => Ok(conflict),
            Self::Database(error) => Err(error),
        }
    }

    /// Returns what to do about the error of a transaction that did not reach its commit, or whose commit was refused. It is
    /// for [`Scope::run`](crate::sql::Scope::run).
    ///
    /// An error of the database means what [`transaction_verdict`] says, so a lost connection is retried. A conflict is
    /// retried too: the whole transaction reads the row again.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::io;
    /// use latchwork::{RetryPolicy, sql::RowError, verdict::{Classify, RetryKind, Verdict}};
    ///
    /// let cut = RowError::Database(io::Error::from(io::ErrorKind::ConnectionReset).into());
    /// assert_eq!(cut.classify(), Verdict::Stop); // by itself, the write may have been done
    /// assert_eq!(cut.transaction_verdict(), Verdict::Retry(RetryKind::Transient));
    ///
    /// let policy = RetryPolicy::new().classify_with(RowError::transaction_verdict); // for whole transactions
    /// # assert_eq!(policy.run_blocking(|_| Ok::<_, RowError>(7)).ok(), Some(7));
    /// ```
    #[must_use]
    pub fn transaction_verdict(&self) -> Verdict {
        match self {
            Self::Conflict(conflict) => conflict.classify(),
            Self::Database(error) => transaction_verdict(error),
        }
    }
}

/// Classifies the error inside, for a write by itself. An error of the database means what
/// [`statement_verdict`](crate::sql::statement_verdict) says. For whole transactions give
/// [`RowError::transaction_verdict`] to [`classify_with`](crate::RetryPolicy::classify_with).
impl Classify for RowError {
    fn classify(&self) -> Verdict {
        match self {
            Self::Conflict(conflict) => conflict.classify(),
            Self::Database(error) => error.classify(),
        }
    }
}
