//! Which error of a database becomes which problem. Nothing of a statement, a table or a value reaches the client.

use http::StatusCode;
use sqlx::Error;
use sqlx::error::DatabaseError;

use super::Problem;
use super::kind::ProblemKind;
use crate::sql::{
    CommitError, RowConflict, RowError, is_cancelled_statement, is_constraint_violation, transaction_verdict,
};
use crate::verdict::{RetryKind, Verdict};

/// Becomes 503 if the request may succeed later, and 409 if other data is in the way. A missing row becomes 404.
/// Everything else becomes 500.
///
/// | error | problem |
/// |---|---|
/// | unique violation: the change conflicts with a row that exists | 409 [`taken`](ProblemKind::Taken) |
/// | another constraint: a foreign key (also with `RESTRICT`), a check, an exclusion | 409 [`constraint-violated`](ProblemKind::ConstraintViolated) |
/// | serialization failure, deadlock, a timeout of a lock or a statement | 503 [`transaction-conflict`](ProblemKind::TransactionConflict) |
/// | no connection became free, it was lost, the server starts or stops | 503 [`database-unavailable`](ProblemKind::DatabaseUnavailable) |
/// | the pool is closed | 503 [`shutting-down`](ProblemKind::ShuttingDown) |
/// | a commit whose outcome is unknown | 500 [`commit-unknown`](ProblemKind::CommitUnknown) |
/// | no row was found | 404 |
/// | all others, such as a null that is not allowed | 500 |
///
/// A lost connection is 503 although a statement outside a transaction may have been done. Use a
/// [`Scope`](crate::sql::Scope) where that matters.
///
/// To say which value is taken, find the constraint with [`violated_constraint`](crate::sql::violated_constraint) first, and
/// replace the [detail](Problem::with_detail).
impl From<&Error> for Problem {
    fn from(error: &Error) -> Self {
        if CommitError::is_unknown(error) {
            return Self::of(ProblemKind::CommitUnknown);
        }
        match error {
            Error::RowNotFound => Self::new(StatusCode::NOT_FOUND),
            Error::PoolClosed => Self::shutting_down(),
            Error::PoolTimedOut | Error::Io(_) | Error::WorkerCrashed => {
                Self::of(ProblemKind::DatabaseUnavailable)
            }
            Error::Database(database) => of_database(error, &**database),
            _ => Self::new(StatusCode::INTERNAL_SERVER_ERROR),
        }
    }
}

/// Becomes the problem of the borrowed error. The error does not go to the log: log it before, if the problem is a 500.
impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        Self::from(&error)
    }
}

fn of_database(error: &Error, database: &dyn DatabaseError) -> Problem {
    if is_cancelled_statement(database) {
        return Problem::of(ProblemKind::TransactionConflict);
    }
    match transaction_verdict(error) {
        Verdict::Retry(RetryKind::UniqueViolation) => {
            Problem::of(ProblemKind::Taken).with_detail("the change conflicts with a row that exists")
        }
        Verdict::Retry(RetryKind::Transient | RetryKind::Throttled) => {
            Problem::of(ProblemKind::DatabaseUnavailable)
        }
        Verdict::Retry(_) | Verdict::RetryAfter(..) => Problem::of(ProblemKind::TransactionConflict),
        Verdict::Stop if is_constraint_violation(database) => Problem::of(ProblemKind::ConstraintViolated),
        Verdict::Stop => Problem::new(StatusCode::INTERNAL_SERVER_ERROR),
    }
}

/// Becomes the problem of a refusal's error, and 500 [`commit-unknown`](ProblemKind::CommitUnknown) otherwise.
impl From<CommitError> for Problem {
    fn from(error: CommitError) -> Self {
        Error::from(error).into()
    }
}

/// Becomes 409 with the expected and the current version.
impl From<RowConflict> for Problem {
    fn from(conflict: RowConflict) -> Self {
        Self::conflict(conflict.expected, conflict.current)
    }
}

/// Becomes the problem of the error inside.
impl From<RowError> for Problem {
    fn from(error: RowError) -> Self {
        match error {
            RowError::Conflict(conflict) => conflict.into(),
            RowError::Database(error) => error.into(),
        }
    }
}
