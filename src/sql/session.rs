//! [`Session`]: a connection of the pool, and the transaction in it.

use std::borrow::Cow;
use std::future::Future;
use std::io;
use std::ops::{Deref, DerefMut};
use std::pin::Pin;
use std::time::Duration;

use sqlx::pool::PoolConnection;
use sqlx::{AssertSqlSafe, Connection, Database, Error, Executor, SqlSafeStr};
use sqlx_core::transaction::TransactionManager;
use tokio::runtime::Handle;
use tokio::time::timeout;

use super::commit::CommitError;
use super::engine::Engine;

/// A connection of the pool, and the transaction in it. It is dropped on a runtime, wherever that happens: sqlx gives a
/// connection back with a task, and panics without a runtime to spawn it on.
pub(super) struct Session<DB: Database> {
    /// `None` while it is dropped.
    connection: Option<PoolConnection<DB>>,
    /// The runtime on which it began.
    runtime: Handle,
    execute: Execute<DB>,
    at_drop: AtDrop,
}

/// Runs a statement without values.
///
/// A pointer, so that only [`Scope::new`](super::Scope::new) needs the bound on the driver, and not all that has a scope.
pub(super) type Execute<DB> = for<'c> fn(&'c mut <DB as Database>::Connection, &'static str) -> Executing<'c>;

type Executing<'c> = Pin<Box<dyn Future<Output = Result<(), Error>> + Send + 'c>>;

pub(super) fn execute<'c, DB>(connection: &'c mut DB::Connection, sql: &'static str) -> Executing<'c>
where
    DB: Database,
    for<'any> &'any mut DB::Connection: Executor<'any, Database = DB>,
{
    Box::pin(async move { connection.execute(sql).await.map(drop) })
}

/// What becomes of the connection when the session is dropped.
#[derive(Clone, Copy, PartialEq, Eq)]
enum AtDrop {
    /// It returns to the pool: there is no transaction in it.
    GiveBack,
    /// A task rolls back, then it returns to the pool.
    RollBack,
    /// It is closed, and the database rolls back.
    Close,
}

/// How long a server may take to answer a ROLLBACK. After that the connection is closed, and the server rolls back when it
/// notices. A connection of sqlx to MySQL never answers if a statement was dropped while it was prepared.
const LIMIT: Duration = Duration::from_secs(5);

async fn limited(work: impl Future<Output = Result<(), Error>>) -> Result<(), Error> {
    timeout(LIMIT, work).await.unwrap_or_else(|_| Err(Error::Io(io::ErrorKind::TimedOut.into())))
}

type Manager<DB> = <DB as Database>::TransactionManager;

impl<DB: Database> Session<DB> {
    /// Each statement commits by itself.
    pub(super) fn plain(connection: PoolConnection<DB>, execute: Execute<DB>, runtime: Handle) -> Self {
        Self { connection: Some(connection), runtime, execute, at_drop: AtDrop::GiveBack }
    }

    /// Sends BEGIN. It must not be dropped before it has ended.
    pub(super) async fn begin(mut self, begin: Cow<'static, str>) -> Result<Self, Error> {
        self.at_drop = AtDrop::RollBack;
        let begin = match begin {
            Cow::Borrowed(sql) => sql.into_sql_str(),
            Cow::Owned(sql) => AssertSqlSafe(sql).into_sql_str(),
        };
        match Manager::<DB>::begin(&mut self, Some(begin)).await {
            Ok(()) => Ok(self),
            Err(error) => {
                // BEGIN may have been done, and the rest of its message not. That is rare, and sqlx does not count it as a
                // transaction. SQLite is often busy here: nothing is open then, and it refuses the rollback.
                self.at_drop = match Engine::of::<DB>() {
                    Engine::Sqlite if self.depth() == 0 => {
                        drop((self.execute)(&mut self, "ROLLBACK").await);
                        AtDrop::GiveBack
                    }
                    Engine::Sqlite => AtDrop::RollBack,
                    _ => AtDrop::Close,
                };
                Err(error)
            }
        }
    }

    /// Sends COMMIT. It must not be dropped before it has ended.
    pub(super) async fn commit(&mut self, checks_first: bool) -> Result<(), CommitError> {
        let engine = Engine::of::<DB>();
        // SQLite's driver queues the rollback of a nested transaction that was dropped, and never says that it has. What is
        // queued can only lower the depth. The connection's thread answers a ping when it has done all that.
        let asks = match engine {
            Engine::Sqlite => self.depth() > 1,
            Engine::Other => true,
            Engine::Postgres | Engine::MySql => false,
        };
        if asks {
            self.ping().await.map_err(CommitError::Refused)?;
        }
        self.look_at_depth()?;
        if checks_first {
            let checked = self.check(engine).await;
            // SQLite's thread has now done what was still queued, which may have ended the transaction.
            self.look_at_depth()?;
            checked.map_err(CommitError::before_commit)?;
        }
        Manager::<DB>::commit(self).await.map_err(CommitError::of)?;
        self.at_drop = AtDrop::GiveBack;
        Ok(())
    }

    /// Fails unless this transaction is open, and no other one inside it, as far as sqlx knows.
    fn look_at_depth(&self) -> Result<(), CommitError> {
        match self.depth() {
            1 => Ok(()),
            depth => Err(CommitError::Unknown(nested(depth))),
        }
    }

    /// Fails if the transaction has failed, or has ended.
    async fn check(&mut self, engine: Engine) -> Result<(), Error> {
        match engine {
            // Only COMMIT and ROLLBACK succeed in a transaction that has failed. Outside a transaction this fails, too.
            Engine::Postgres | Engine::Other => (self.execute)(self, "SAVEPOINT latchwork").await,
            // A deadlock rolls all back, with the savepoint that was made at the beginning.
            Engine::MySql => limited((self.execute)(self, "RELEASE SAVEPOINT latchwork")).await,
            // It, too, rolls all back by itself. A later savepoint then opens a transaction, which COMMIT would end with success.
            // No limit: it answers when the running statement has ended.
            Engine::Sqlite => (self.execute)(self, "RELEASE SAVEPOINT latchwork").await,
        }
    }

    /// Rolls back all that is open, also nested transactions. It must not be dropped before it has ended.
    pub(super) async fn rollback(&mut self) -> Result<(), Error> {
        // SQLite answers when the running statement has ended, and its connections may be the only ones to their database.
        if Engine::of::<DB>() == Engine::Sqlite {
            return self.roll_all_back().await;
        }
        self.at_drop = AtDrop::Close;
        limited(self.roll_all_back()).await
    }

    async fn roll_all_back(&mut self) -> Result<(), Error> {
        let mut has_failed = false;
        while self.depth() > 0 {
            let Err(error) = Manager::<DB>::rollback(self).await else { continue };
            self.at_drop = AtDrop::Close;
            if has_failed || !matches!(error, Error::Database(_)) {
                return Err(error);
            }
            // It is the error of a statement that was dropped before its answer. Or it is SQLite's, which has rolled back by
            // itself: sqlx notices an end only if there is a transaction.
            has_failed = true;
            if Engine::of::<DB>() == Engine::Sqlite {
                (self.execute)(self, "BEGIN").await?;
            }
        }
        self.at_drop = AtDrop::GiveBack;
        Ok(())
    }

    pub(super) fn runtime(&self) -> &Handle {
        &self.runtime
    }

    /// Returns how many transactions are open, the one inside the other, as far as sqlx knows.
    fn depth(&self) -> usize {
        Manager::<DB>::get_transaction_depth(self)
    }
}

/// A transaction of sqlx's that began inside this one has ended it, or is still open.
fn nested(depth: usize) -> Error {
    Error::Protocol(
        match depth {
            0 => {
                "the transaction had ended before its commit: a nested transaction failed to begin, or was dropped while it did"
            }
            _ => "a nested transaction is still open",
        }
        .to_owned(),
    )
}

const THERE: &str = "the connection is there until the drop";

impl<DB: Database> Deref for Session<DB> {
    type Target = DB::Connection;

    fn deref(&self) -> &DB::Connection {
        self.connection.as_ref().expect(THERE)
    }
}

impl<DB: Database> DerefMut for Session<DB> {
    fn deref_mut(&mut self) -> &mut DB::Connection {
        self.connection.as_mut().expect(THERE)
    }
}

impl<DB: Database> Drop for Session<DB> {
    fn drop(&mut self) {
        let Some(mut connection) = self.connection.take() else { return };
        let runtime = current_or(&self.runtime);
        let _entered = runtime.enter();
        match self.at_drop {
            AtDrop::GiveBack => drop(connection),
            AtDrop::Close => {
                connection.close_on_drop();
                drop(connection);
            }
            AtDrop::RollBack => {
                // If the runtime has been shut down, it drops the task.
                let mut session = Self {
                    connection: Some(connection),
                    runtime: runtime.clone(),
                    execute: self.execute,
                    at_drop: AtDrop::Close,
                };
                runtime.spawn(async move { session.rollback().await });
            }
        }
    }
}

/// Returns the current runtime, as it is driven at this moment. If there is none, returns `other`.
pub(super) fn current_or(other: &Handle) -> Handle {
    Handle::try_current().unwrap_or_else(|_| other.clone())
}
