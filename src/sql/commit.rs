//! [`CommitError`]: a transaction that did not commit, or may have.

use std::fmt;
use std::io;

use crate::verdict::{Classify, Verdict};

use super::classify::transaction_verdict;
use super::code::Code;

/// The error of a commit.
///
/// It becomes an [`sqlx::Error`] by `?`. That of an unknown outcome is an [`sqlx::Error::Io`] then, which this crate still
/// knows: it does not classify it as worth a retry.
///
/// # Examples
///
/// ```
/// use latchwork::{sql::CommitError, verdict::{Classify, Verdict}};
///
/// fn save(outcome: Result<(), CommitError>) -> Result<(), sqlx::Error> {
///     outcome?;
///     Ok(())
/// }
/// let error = save(Err(CommitError::Unknown(sqlx::Error::WorkerCrashed))).unwrap_err();
/// assert_eq!(error.classify(), Verdict::Stop);
/// assert!(CommitError::is_unknown(&error));
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum CommitError {
    /// The database refused, and stored nothing. A serialization failure is one: the whole transaction may be made again.
    Refused(sqlx::Error),
    /// The connection was lost, or the server went, before the answer, or the answer leaves it open. The change may be
    /// stored or not. Do not make the transaction again without looking.
    Unknown(sqlx::Error),
}

impl CommitError {
    pub(super) fn of(error: sqlx::Error) -> Self {
        let is_refusal = match &error {
            sqlx::Error::Database(database) => Code::of(&**database).refuses_commit(),
            _ => false,
        };
        if is_refusal { Self::Refused(error) } else { Self::Unknown(error) }
    }

    /// Returns what an error means that came before COMMIT was sent: nothing is stored. Only if there was no transaction, each
    /// statement was stored by itself.
    pub(super) fn before_commit(error: sqlx::Error) -> Self {
        match &error {
            sqlx::Error::Database(database) if Code::of(&**database).has_no_transaction() => {
                Self::Unknown(error)
            }
            _ => Self::Refused(error),
        }
    }

    /// Returns `true` if the error, or one of its sources, is a commit whose outcome is unknown.
    #[must_use]
    pub fn is_unknown(error: &(dyn std::error::Error + 'static)) -> bool {
        let mut next = Some(error);
        while let Some(error) = next {
            if matches!(error.downcast_ref(), Some(Self::Unknown(_))) {
                return true;
            }
            // An `io::Error` names its inner error's source as its source, and not the inner error.
            next = match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
                Some(inner) => Some(inner),
                None => error.source(),
            };
        }
        false
    }
}

impl fmt::Display for CommitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Refused(_) => "the commit was refused",
            Self::Unknown(_) => "the outcome of the commit is unknown",
        })
    }
}

impl std::error::Error for CommitError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        let (Self::Refused(error) | Self::Unknown(error)) = self;
        Some(error)
    }
}

/// Becomes the error of a refusal itself, and an [`sqlx::Error::Io`] for an unknown outcome.
impl From<CommitError> for sqlx::Error {
    fn from(error: CommitError) -> Self {
        match error {
            CommitError::Refused(error) => error,
            unknown => Self::Io(io::Error::other(unknown)),
        }
    }
}

/// A refusal is worth a retry if its error is. An unknown outcome is not.
impl Classify for CommitError {
    fn classify(&self) -> Verdict {
        match self {
            Self::Refused(error) => transaction_verdict(error),
            Self::Unknown(_) => Verdict::Stop,
        }
    }
}
