//! Which database it is, and the statement that begins a transaction there.

use std::borrow::Cow;
use std::fmt::Write;
use std::time::Duration;

use sqlx::Database;

/// How far a transaction is kept apart from others that run at the same time.
///
/// SQLite has one level, which is serializable: it ignores the choice.
///
/// # Examples
///
/// ```
/// use latchwork::sql::Isolation;
///
/// assert!(Isolation::ReadCommitted < Isolation::Serializable);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[non_exhaustive]
pub enum Isolation {
    /// Each statement sees what was committed before it began.
    ReadCommitted,
    /// All statements see what was committed before the first one. A write to a row that has changed since fails with a
    /// serialization failure on PostgreSQL.
    RepeatableRead,
    /// As if the transactions had run one after the other. One that does not fit fails with a serialization failure,
    /// also at its commit.
    Serializable,
}

impl Isolation {
    const fn sql(self) -> &'static str {
        match self {
            Self::ReadCommitted => "READ COMMITTED",
            Self::RepeatableRead => "REPEATABLE READ",
            Self::Serializable => "SERIALIZABLE",
        }
    }
}

/// A database that needs its own words. It is known by its driver's name, so that this crate needs no driver.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Engine {
    Postgres,
    Sqlite,
    MySql,
    /// `sqlx::Any`, or a driver that came later: the words of the SQL standard.
    Other,
}

impl Engine {
    pub(super) fn of<DB: Database>() -> Self {
        match DB::NAME {
            "PostgreSQL" => Self::Postgres,
            "SQLite" => Self::Sqlite,
            "MySQL" => Self::MySql,
            _ => Self::Other,
        }
    }
}

/// What a transaction is like.
#[derive(Clone, Copy, Debug)]
pub(super) struct Settings {
    pub(super) isolation: Option<Isolation>,
    pub(super) is_read_only: bool,
    pub(super) is_immediate: bool,
    /// A commit first looks whether the transaction has failed. MySQL and SQLite forget the savepoint of the beginning then.
    pub(super) checks_commit: bool,
    pub(super) statement_timeout: Option<Duration>,
    pub(super) lock_timeout: Option<Duration>,
    pub(super) idle_timeout: Option<Duration>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            isolation: None,
            is_read_only: false,
            is_immediate: false,
            checks_commit: true,
            statement_timeout: None,
            lock_timeout: None,
            idle_timeout: None,
        }
    }
}

impl Settings {
    /// Returns the statement that begins a transaction. It is one message, so that it costs one round trip.
    pub(super) fn begin(&self, engine: Engine) -> Cow<'static, str> {
        match engine {
            Engine::Postgres => self.begin_postgres(),
            Engine::Sqlite => Cow::Borrowed(self.begin_sqlite()),
            Engine::Other => Cow::Borrowed("BEGIN"),
            Engine::MySql => Cow::Owned(self.begin_mysql()),
        }
    }

    fn begin_postgres(&self) -> Cow<'static, str> {
        let mut sql = Cow::Borrowed("BEGIN");
        if let Some(isolation) = self.isolation {
            sql += " ISOLATION LEVEL ";
            sql += isolation.sql();
        }
        if self.is_read_only {
            sql += " READ ONLY";
        }
        let timeouts = [
            ("statement_timeout", self.statement_timeout),
            ("lock_timeout", self.lock_timeout),
            ("idle_in_transaction_session_timeout", self.idle_timeout),
        ];
        for (name, timeout) in timeouts {
            if let Some(timeout) = timeout {
                write!(sql.to_mut(), "; SET LOCAL {name} = {}", millis(timeout))
                    .expect("a string takes what is written");
            }
        }
        sql
    }

    const fn begin_sqlite(&self) -> &'static str {
        match (self.is_immediate, self.checks_commit) {
            (false, false) => "BEGIN",
            (false, true) => "BEGIN; SAVEPOINT latchwork",
            (true, false) => "BEGIN IMMEDIATE",
            (true, true) => "BEGIN IMMEDIATE; SAVEPOINT latchwork",
        }
    }

    fn begin_mysql(&self) -> String {
        let mut sql = String::new();
        if let Some(isolation) = self.isolation {
            // It holds for the next transaction only.
            sql += "SET TRANSACTION ISOLATION LEVEL ";
            sql += isolation.sql();
            sql += "; ";
        }
        sql += "START TRANSACTION";
        if self.is_read_only {
            sql += " READ ONLY";
        }
        if self.checks_commit {
            sql += "; SAVEPOINT latchwork";
        }
        sql
    }
}

/// Returns a time in the milliseconds that PostgreSQL takes: at least 1, as 0 would mean no limit.
fn millis(timeout: Duration) -> u128 {
    timeout.as_millis().clamp(1, i32::MAX as u128)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_beginning_is_one_message_with_all_its_settings() {
        let settings = Settings {
            isolation: Some(Isolation::Serializable),
            is_read_only: true,
            is_immediate: true,
            checks_commit: true,
            statement_timeout: Some(Duration::from_secs(2)),
            lock_timeout: Some(Duration::ZERO),
            idle_timeout: Some(Duration::MAX),
        };
        assert_eq!(
            settings.begin(Engine::Postgres),
            "BEGIN ISOLATION LEVEL SERIALIZABLE READ ONLY; SET LOCAL statement_timeout = 2000; \
             SET LOCAL lock_timeout = 1; SET LOCAL idle_in_transaction_session_timeout = 2147483647"
        );
        assert_eq!(settings.begin(Engine::Sqlite), "BEGIN IMMEDIATE; SAVEPOINT latchwork");
        assert_eq!(
            settings.begin(Engine::MySql),
            "SET TRANSACTION ISOLATION LEVEL SERIALIZABLE; START TRANSACTION READ ONLY; SAVEPOINT latchwork"
        );
        for engine in [Engine::Postgres, Engine::Other] {
            assert_eq!(Settings::default().begin(engine), "BEGIN");
        }
        assert_eq!(Settings::default().begin(Engine::Sqlite), "BEGIN; SAVEPOINT latchwork");
        let unchecked = Settings { checks_commit: false, ..Settings::default() };
        assert_eq!(unchecked.begin(Engine::MySql), "START TRANSACTION");
        assert_eq!(unchecked.begin(Engine::Sqlite), "BEGIN");
        assert_eq!(Settings { is_immediate: true, ..unchecked }.begin(Engine::Sqlite), "BEGIN IMMEDIATE");
    }
}
