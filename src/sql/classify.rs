//! What an error of sqlx means: whether to try again, and how a server answers.

use sqlx::Error;
use sqlx::error::{DatabaseError, ErrorKind};

use super::code::Code;
use super::commit::CommitError;
use crate::retry::sqlstate;
use crate::verdict::{Classify, RetryKind, Verdict};

/// Returns what to do about the error of a statement by itself, outside a transaction.
///
/// A lost connection means [`Stop`](Verdict::Stop): the statement may have been done. In a transaction it was not: use
/// [`transaction_verdict`] there.
///
/// | PostgreSQL | SQLite | MySQL, MariaDB | verdict |
/// |---|---|---|---|
/// | 40001 | 517 busy snapshot | 1020, 3101 | [`Serialization`](RetryKind::Serialization) |
/// | 40P01 | | 1213, 1614 | [`Deadlock`](RetryKind::Deadlock) |
/// | 55P03 | 5 busy, 6 locked, and their kin | 1205, 3572 | [`LockTimeout`](RetryKind::LockTimeout) |
/// | 23505 | 1555, 2067, 2579 | 1022, 1062, 1169, 1586, 1859 | [`UniqueViolation`](RetryKind::UniqueViolation), which policies retry only if asked to |
/// | 53300 | | 1040, 1203, 1226 | [`Throttled`](RetryKind::Throttled) |
/// | 08001, 08004, 57P03 | | | [`Transient`](RetryKind::Transient) |
/// | all other codes | all other codes | all other codes | [`Stop`](Verdict::Stop) |
///
/// Errors of the pool mean [`Stop`](Verdict::Stop) too. If no connection became free, the call has already waited for
/// one.
///
/// # Examples
///
/// ```
/// use latchwork::{sql::statement_verdict, verdict::Verdict};
///
/// assert_eq!(statement_verdict(&sqlx::Error::RowNotFound), Verdict::Stop);
/// ```
#[must_use]
pub fn statement_verdict(error: &Error) -> Verdict {
    match error {
        Error::Database(error) => of_database(&**error),
        _ => Verdict::Stop,
    }
}

/// Returns what to do about the error of a transaction that did not reach its commit, or whose commit was refused.
///
/// It is the verdict of [`statement_verdict`], except for a lost connection. That is [`Transient`](RetryKind::Transient): the
/// database has rolled the transaction back, so it may be made again. A commit whose outcome is unknown means
/// [`Stop`](Verdict::Stop).
///
/// If the transaction writes versioned rows, use
/// [`RowError::transaction_verdict`](crate::sql::RowError::transaction_verdict).
///
/// # Examples
///
/// ```
/// use std::io;
/// use latchwork::{RetryPolicy, sql::{CommitError, transaction_verdict}, verdict::{RetryKind, Verdict}};
///
/// let cut = || io::Error::from(io::ErrorKind::ConnectionReset).into();
/// assert_eq!(transaction_verdict(&cut()), Verdict::Retry(RetryKind::Transient));
/// assert_eq!(transaction_verdict(&CommitError::Unknown(cut()).into()), Verdict::Stop);
///
/// let policy = RetryPolicy::new().classify_with(transaction_verdict); // for whole transactions
/// # assert_eq!(policy.run_blocking(|_| Ok::<_, sqlx::Error>(7)).ok(), Some(7));
/// ```
#[must_use]
pub fn transaction_verdict(error: &Error) -> Verdict {
    match error {
        Error::Io(_) if CommitError::is_unknown(error) => Verdict::Stop,
        Error::Io(_) => Verdict::Retry(RetryKind::Transient),
        Error::Database(database) if Code::of(&**database).ends_session() => {
            Verdict::Retry(RetryKind::Transient)
        }
        _ => statement_verdict(error),
    }
}

/// Returns `true` if the database has ended a statement that took too long.
#[cfg(feature = "tower")]
pub(crate) fn is_cancelled_statement(error: &dyn DatabaseError) -> bool {
    matches!(Code::of(error), Code::SqlState(state) if &state == b"57014")
        // MySQL's `max_execution_time`, MariaDB's `max_statement_time`.
        || matches!(Code::of(error), Code::MySql(1317 | 1969 | 3024))
}

fn of_database(error: &dyn DatabaseError) -> Verdict {
    let retry = Verdict::Retry;
    if let ErrorKind::UniqueViolation = error.kind() {
        return retry(RetryKind::UniqueViolation);
    }
    match Code::of(error) {
        Code::SqlState(state) => std::str::from_utf8(&state).map_or(Verdict::Stop, sqlstate::verdict),
        Code::Sqlite(code) => match code {
            // The snapshot is older than another's write. Waiting does not help, a new transaction does.
            517 => retry(RetryKind::Serialization),
            2579 => retry(RetryKind::UniqueViolation),
            // The low byte is the kind. Busy is another connection's lock, locked is one of the same process.
            _ if matches!(code & 0xff, 5 | 6) => retry(RetryKind::LockTimeout),
            _ => Verdict::Stop,
        },
        Code::MySql(number) => match number {
            1020 | 3101 => retry(RetryKind::Serialization),
            1213 | 1614 => retry(RetryKind::Deadlock),
            1205 | 3572 => retry(RetryKind::LockTimeout),
            1040 | 1203 | 1226 => retry(RetryKind::Throttled),
            _ => Verdict::Stop,
        },
        Code::Unknown => Verdict::Stop,
    }
}

/// Classifies as [`statement_verdict`] does. For whole transactions, give [`transaction_verdict`] to
/// [`classify_with`](crate::RetryPolicy::classify_with).
impl Classify for Error {
    fn classify(&self) -> Verdict {
        statement_verdict(self)
    }
}
