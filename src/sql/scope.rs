//! [`Scope`]: transactions of a pool, as a user sets them up.

use std::fmt;
use std::time::Duration;

use sqlx::{Database, Executor, Pool};
use tokio::runtime::Handle;

use super::engine::{Engine, Isolation, Settings};
use super::session::{Execute, Session, execute};
use super::stats::{OpeningWatch, ScopeStats};
use super::tx::{Open, Tx};
use super::uninterrupted::Uninterrupted;
use crate::mode::{Mode, ModeSwitch};

/// Transactions of one kind over a pool of connections. Each commits, or is rolled back: on an error, a panic, and when
/// its future is dropped. Then the connection returns to the pool.
///
/// It is a handle: clones share the pool and the counters. Make one for each kind of work, and keep it.
///
/// | setting | PostgreSQL | SQLite | MySQL, MariaDB |
/// |---|---|---|---|
/// | [`isolation`](Self::isolation) | yes | always serializable | yes |
/// | [`read_only`](Self::read_only) | yes | no effect | yes |
/// | [`immediate`](Self::immediate) | no effect | yes | no effect |
/// | [`check_commit`](Self::check_commit) | yes | yes | yes |
/// | [`statement_timeout`](Self::statement_timeout), [`lock_timeout`](Self::lock_timeout), [`idle_timeout`](Self::idle_timeout) | yes | no effect: see `busy_timeout` of the connection | no effect: set them for the session |
///
/// `sqlx::Any` has only `check_commit`: its transactions are plain.
///
/// So the same scope can serve a test on SQLite and a deployment on PostgreSQL. All settings travel with BEGIN, in one
/// message.
///
/// # Examples
///
/// ```
/// use latchwork::sql::Scope;
/// use sqlx::{Sqlite, query, query_scalar, sqlite::SqlitePoolOptions};
///
/// async fn sell(scope: &Scope<Sqlite>, sweet: i64) -> Result<i64, sqlx::Error> {
///     let mut tx = scope.begin().await?;
///     let sql = "update sweets set stock = stock - 1 where id = $1 returning stock";
///     let left = query_scalar(sql).bind(sweet).fetch_one(&mut *tx).await?; // on an error: rolled back
///     tx.commit().await?;
///     Ok(left)
/// }
///
/// # latchwork::__example!(in real time, async {
/// let pool = SqlitePoolOptions::new().max_connections(1).connect("sqlite::memory:").await?;
/// query("create table sweets (id integer primary key, stock integer not null)").execute(&pool).await?;
/// query("insert into sweets values (7, 3)").execute(&pool).await?;
///
/// let scope = Scope::new(pool).immediate(true).name("sell");
/// assert_eq!(sell(&scope, 7).await?, 2);
/// assert!(sell(&scope, 8).await.is_err());
/// assert_eq!((scope.stats().counts().opened, scope.stats().counts().open()), (2, 0));
/// # });
/// ```
pub struct Scope<DB: Database> {
    pool: Pool<DB>,
    execute: Execute<DB>,
    settings: Settings,
    pub(super) stats: ScopeStats,
    pub(super) mode: ModeSwitch,
    name: &'static str,
}

impl<DB: Database> Scope<DB> {
    /// Creates a scope with the database's own settings.
    #[must_use]
    pub fn new(pool: Pool<DB>) -> Self
    where
        for<'c> &'c mut DB::Connection: Executor<'c, Database = DB>,
    {
        Self {
            pool,
            execute: execute::<DB>,
            settings: Settings::default(),
            stats: ScopeStats::default(),
            mode: ModeSwitch::default(),
            name: "transactions",
        }
    }

    /// Sets how far transactions are kept apart. The default is the database's.
    #[must_use]
    pub fn isolation(mut self, isolation: Isolation) -> Self {
        self.settings.isolation = Some(isolation);
        self
    }

    /// Sets whether transactions may only read. Off by default.
    #[must_use]
    pub fn read_only(mut self, read_only: bool) -> Self {
        self.settings.is_read_only = read_only;
        self
    }

    /// Sets whether a transaction takes SQLite's lock for writers when it begins (BEGIN IMMEDIATE). Off by default.
    ///
    /// Otherwise it takes that lock at its first write. If another connection has written since its first read, that fails
    /// with `SQLITE_BUSY_SNAPSHOT`, however long it waits. Turn it on for each transaction that reads before it writes.
    #[must_use]
    pub fn immediate(mut self, immediate: bool) -> Self {
        self.settings.is_immediate = immediate;
        self
    }

    /// Sets how long a statement may take, in milliseconds, at least 1. The database ends a longer one with 57014. There is
    /// no limit by default.
    ///
    /// It also limits how long a statement goes on whose future was dropped.
    #[must_use]
    pub fn statement_timeout(mut self, timeout: Duration) -> Self {
        self.settings.statement_timeout = Some(timeout);
        self
    }

    /// Sets how long a statement may wait for a lock, in milliseconds, at least 1. The database ends a longer wait with
    /// 55P03. There is no limit by default.
    #[must_use]
    pub fn lock_timeout(mut self, timeout: Duration) -> Self {
        self.settings.lock_timeout = Some(timeout);
        self
    }

    /// Sets how long the transaction may do nothing between two statements, in milliseconds, at least 1. The database ends
    /// the session then. There is no limit by default.
    #[must_use]
    pub fn idle_timeout(mut self, timeout: Duration) -> Self {
        self.settings.idle_timeout = Some(timeout);
        self
    }

    /// Sets whether a commit first makes sure that the transaction has not failed. On by default.
    ///
    /// PostgreSQL answers the COMMIT of a transaction in which a statement has failed with a rollback, and sqlx reports
    /// success. So the commit asks first, which costs one round trip. A connection that was lost before is then known to have
    /// stored nothing, and the transaction may be made again. Turn it off where the round trip counts, and where each error of
    /// a statement ends the transaction, as `?` does.
    ///
    /// MySQL and MariaDB roll back by themselves after a deadlock, and go on without a transaction. The commit finds that, too.
    /// A statement that commits by itself there, such as `create table`, also makes the commit fail.
    ///
    /// SQLite also rolls back by itself, for example when the disk is full. A nested transaction that begins after that is a
    /// new transaction for SQLite, and its COMMIT succeeds. If a nested transaction fails to begin, sqlx queues a rollback of
    /// the outer one, and answers the COMMIT with success. A commit finds both: it asks the connection's thread first, which
    /// takes microseconds. Turn it off only where there is no savepoint and no nested transaction.
    #[must_use]
    pub fn check_commit(mut self, check: bool) -> Self {
        self.settings.checks_commit = check;
        self
    }

    /// Sets whether the scope begins transactions, only observes, or does nothing: a [`Mode`], or a [`ModeSwitch`] that can
    /// be changed later. A transaction keeps the mode in which it began.
    ///
    /// The modes are for a service that had no transactions before: its handlers change once, and the switch decides. In
    /// the mode [`Off`](Mode::Off), [`begin`](Self::begin) gives out a connection without a transaction, as the old
    /// handler had. Each statement commits by itself, `commit` and `rollback` do nothing, and [`run`](Self::run) calls its
    /// closure once. [`Observe`](Mode::Observe) does the same, and counts what would have been rolled back, and what would
    /// have been made again.
    ///
    /// # Examples
    ///
    /// ```
    /// use latchwork::{mode::{Mode, ModeSwitch}, sql::{Ending, Scope}};
    /// use sqlx::{query, query_scalar, sqlite::SqlitePoolOptions};
    ///
    /// # latchwork::__example!(in real time, async {
    /// let pool = SqlitePoolOptions::new().max_connections(1).connect("sqlite::memory:").await?;
    /// query("create table sweets (stock integer not null)").execute(&pool).await?;
    /// let mode = ModeSwitch::new(Mode::Observe);
    /// let scope = Scope::new(pool.clone()).mode(&mode);
    ///
    /// let mut tx = scope.begin().await?;
    /// query("insert into sweets values (5)").execute(&mut *tx).await?;
    /// drop(tx); // an error, say
    /// let rows: i64 = query_scalar("select count(*) from sweets").fetch_one(&pool).await?;
    /// assert_eq!((rows, scope.stats().counts().would_end(Ending::Abandoned)), (1, 1)); // it stays, as before
    /// mode.set(Mode::Enforce); // no restart
    /// # });
    /// ```
    #[must_use]
    pub fn mode(mut self, mode: impl Into<ModeSwitch>) -> Self {
        self.mode = mode.into();
        self
    }

    /// Sets the name in events and metrics; "transactions" by default.
    #[must_use]
    pub fn name(mut self, name: &'static str) -> Self {
        self.name = name;
        self
    }

    #[cfg(feature = "metrics")]
    pub(crate) fn label(&self) -> &'static str {
        self.name
    }

    /// Returns the live counters.
    #[must_use]
    pub fn stats(&self) -> ScopeStats {
        self.stats.clone()
    }

    /// Returns the pool.
    #[must_use]
    pub fn pool(&self) -> &Pool<DB> {
        &self.pool
    }

    /// Opens a transaction: waits for a connection of the pool, and sends BEGIN.
    ///
    /// # Errors
    ///
    /// Returns the error of the pool or of the database.
    ///
    /// # Panics
    ///
    /// Panics outside a tokio runtime.
    ///
    /// # Cancel safety
    ///
    /// It can be dropped at any point. If BEGIN is on its way, a task waits for the answer and rolls back. The connection
    /// is not lost.
    ///
    /// # Deadlock
    ///
    /// A task that holds one connection and waits for another can wait until the pool gives up: all connections may be
    /// held by tasks that do the same.
    pub async fn begin(&self) -> Result<Tx<DB>, sqlx::Error> {
        self.open(self.mode.get()).await.map(Tx::new)
    }

    pub(super) async fn open(&self, mode: Mode) -> Result<Open<DB>, sqlx::Error> {
        let runtime = Handle::current();
        let watch = OpeningWatch::new(&self.stats, self.name, mode);
        let begun = async {
            let connection = self.pool.acquire().await?;
            let session = Session::plain(connection, self.execute, runtime.clone());
            if mode != Mode::Enforce {
                return Ok(session);
            }
            let begin = self.settings.begin(Engine::of::<DB>());
            Uninterrupted::new(runtime, session.begin(begin)).await
        };
        match begun.await {
            Ok(session) => Ok(Open::new(session, watch.opened(), self.settings)),
            Err(error) => {
                watch.failed(&error);
                Err(error)
            }
        }
    }
}

impl<DB: Database> Clone for Scope<DB> {
    fn clone(&self) -> Self {
        Self { pool: self.pool.clone(), stats: self.stats.clone(), mode: self.mode.clone(), ..*self }
    }
}

impl<DB: Database> fmt::Debug for Scope<DB> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scope")
            .field("name", &self.name)
            .field("mode", &self.mode)
            .field("settings", &self.settings)
            .field("stats", &self.stats)
            .finish_non_exhaustive()
    }
}
