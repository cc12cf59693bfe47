//! [`RowError`] and [`RowConflict`]: why a row was not written.

use std::fmt;

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

/// Read the row again.
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
    /// Returns the database's error, if it is none. So a service can answer both in its own way:
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
}

/// Classified as the error inside. An error of the database means what
/// [`statement_verdict`](crate::sql::statement_verdict) says.
impl Classify for RowError {
    fn classify(&self) -> Verdict {
        match self {
            Self::Conflict(conflict) => conflict.classify(),
            Self::Database(error) => error.classify(),
        }
    }
}
