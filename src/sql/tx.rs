//! [`Tx`]: an open transaction.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use sqlx::Database;

use super::commit::CommitError;
use super::engine::Settings;
use super::session::Session;
use super::stats::{Ending, Watch};
use super::uninterrupted::Uninterrupted;
use crate::mode::Mode;

/// An open transaction of a [`Scope`](super::Scope). It dereferences to the connection, for statements.
///
/// A transaction that is dropped before [`commit`](Self::commit) is rolled back: on `?`, on panic, and when the future
/// that holds it is dropped. The drop does not wait. The connection is rolled back before it is used again. It may be
/// dropped on any thread, inside a runtime or not.
///
/// In the modes [`Off`](crate::mode::Mode::Off) and [`Observe`](crate::mode::Mode::Observe) of its scope there is no
/// transaction: each statement commits by itself, and nothing is rolled back.
///
/// A statement that was dropped half way runs to its end on the server, and holds its row locks until then: set a
/// [`statement_timeout`](super::Scope::statement_timeout).
///
/// # Examples
///
/// ```
/// use latchwork::sql::Scope;
/// use sqlx::sqlite::SqlitePoolOptions;
///
/// # latchwork::__example!(in real time, async {
/// let pool = SqlitePoolOptions::new().max_connections(1).connect("sqlite::memory:").await?;
/// sqlx::query("create table sweets (id integer primary key, stock integer not null)").execute(&pool).await?;
///
/// let mut tx = Scope::new(pool.clone()).begin().await?;
/// sqlx::query("insert into sweets values (1, 5)").execute(&mut *tx).await?;
/// drop(tx);
/// let rows: i64 = sqlx::query_scalar("select count(*) from sweets").fetch_one(&pool).await?;
/// assert_eq!(rows, 0);
/// # });
/// ```
#[must_use = "a transaction that is dropped is rolled back"]
pub struct Tx<DB: Database> {
    /// `None` once it has ended.
    open: Option<Open<DB>>,
    /// Where it goes when it is dropped, if it is lent to a closure.
    home: Option<Arc<Slot<DB>>>,
}

/// A place to which a closure gives its transaction back by dropping it.
pub(super) struct Home<DB: Database>(Arc<Slot<DB>>);

struct Slot<DB: Database> {
    open: Mutex<Option<Open<DB>>>,
    /// The closure has begun to commit.
    is_closing: AtomicBool,
}

/// What a closure has done with its transaction.
pub(super) enum Returned<DB: Database> {
    /// Given it back.
    Open(Open<DB>),
    /// Rolled it back.
    RolledBack,
    /// Committed it, or tried to.
    Closed,
}

impl<DB: Database> Home<DB> {
    /// Returns what the closure has done.
    ///
    /// # Panics
    ///
    /// Panics if the closure has kept the transaction: it can't be committed.
    pub(super) fn returned(self) -> Returned<DB> {
        // Only if the transaction has been dropped is this the last handle of the slot.
        let slot = Arc::into_inner(self.0).expect("the closure has kept its transaction");
        match slot.open.into_inner() {
            Some(open) => Returned::Open(open),
            None if slot.is_closing.into_inner() => Returned::Closed,
            None => Returned::RolledBack,
        }
    }
}

pub(super) struct Open<DB: Database> {
    // Declared first: it is counted when it ends, and rolled back after that.
    watch: Watch,
    session: Session<DB>,
    settings: Settings,
}

impl<DB: Database> Open<DB> {
    pub(super) fn new(session: Session<DB>, watch: Watch, settings: Settings) -> Self {
        Self { watch, session, settings }
    }

    /// Commits, also if it is dropped once it was polled.
    pub(super) async fn commit(self) -> Result<(), CommitError> {
        let Self { mut watch, mut session, settings } = self;
        if watch.mode() != Mode::Enforce {
            watch.set(Ending::Committed);
            return Ok(());
        }
        // If the runtime shuts down before the answer.
        watch.set(Ending::CommitUnknown);
        let runtime = session.runtime().clone();
        let commit = async move {
            let outcome = session.commit(settings.checks_commit).await;
            watch.set(match outcome {
                Ok(()) => Ending::Committed,
                Err(CommitError::Refused(_)) => Ending::CommitRefused,
                Err(CommitError::Unknown(_)) => Ending::CommitUnknown,
            });
            drop(watch);
            drop(session);
            outcome
        };
        Uninterrupted::new(runtime, commit).await
    }

    /// Rolls back without waiting.
    pub(super) fn end(mut self, ending: Ending) {
        self.watch.set(ending);
    }

    /// Rolls back, also if it is dropped once it was polled.
    async fn rollback(self) -> Result<(), sqlx::Error> {
        let Self { mut watch, mut session, .. } = self;
        watch.set(Ending::RolledBack);
        if watch.mode() != Mode::Enforce {
            return Ok(());
        }
        drop(watch);
        Uninterrupted::new(session.runtime().clone(), async move { session.rollback().await }).await
    }
}

const OPEN: &str = "it is open until it is taken by value";

impl<DB: Database> Tx<DB> {
    pub(super) fn new(open: Open<DB>) -> Self {
        Self { open: Some(open), home: None }
    }

    /// Returns the mode of the scope in which it began. Except in [`Enforce`](Mode::Enforce) there is no transaction.
    #[must_use]
    pub fn mode(&self) -> Mode {
        self.open().watch.mode()
    }

    pub(super) fn is_immediate(&self) -> bool {
        self.open().settings.is_immediate
    }

    /// Lends a transaction to a closure.
    pub(super) fn lend(open: Open<DB>) -> (Self, Home<DB>) {
        let home = Arc::new(Slot { open: Mutex::new(None), is_closing: AtomicBool::new(false) });
        (Self { open: Some(open), home: Some(home.clone()) }, Home(home))
    }

    fn open(&self) -> &Open<DB> {
        self.open.as_ref().expect(OPEN)
    }

    fn take(mut self) -> Open<DB> {
        self.open.take().expect(OPEN)
    }

    /// Commits the transaction.
    ///
    /// # Errors
    ///
    /// Returns [`CommitError::Refused`] if nothing was stored, and [`CommitError::Unknown`] if nobody knows.
    ///
    /// On PostgreSQL, a transaction in which a statement has failed is refused with 25P02: its error was ignored. See
    /// [`check_commit`](super::Scope::check_commit).
    ///
    /// If a transaction that was begun inside this one is still open, nothing is stored. If that one, or the database, has
    /// ended this one before, the statements after that were stored one by one. Both are [`CommitError::Unknown`].
    ///
    /// # Cancel safety
    ///
    /// It can be dropped at any point. Once it was polled, the commit goes on in a task, and the transaction ends as the
    /// database decides. Before that it is rolled back.
    pub async fn commit(self) -> Result<(), CommitError> {
        if let Some(home) = &self.home {
            home.is_closing.store(true, Ordering::Relaxed);
        }
        self.take().commit().await
    }

    /// Rolls the transaction back, and waits until the database has done so. A drop does the same without waiting.
    ///
    /// # Errors
    ///
    /// Returns the error of the connection. The database rolls a lost connection's transaction back by itself. A server that
    /// does not answer within 5 seconds counts as lost.
    ///
    /// # Cancel safety
    ///
    /// If it is dropped, the transaction is rolled back all the same.
    pub async fn rollback(self) -> Result<(), sqlx::Error> {
        self.take().rollback().await
    }
}

impl<DB: Database> Deref for Tx<DB> {
    type Target = DB::Connection;

    fn deref(&self) -> &DB::Connection {
        &self.open().session
    }
}

impl<DB: Database> DerefMut for Tx<DB> {
    fn deref_mut(&mut self) -> &mut DB::Connection {
        &mut self.open.as_mut().expect(OPEN).session
    }
}

impl<DB: Database> Drop for Tx<DB> {
    fn drop(&mut self) {
        if let (Some(open), Some(home)) = (self.open.take(), &self.home) {
            *home.open.lock() = Some(open);
        }
    }
}

impl<DB: Database> fmt::Debug for Tx<DB> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("Tx");
        if let Some(open) = &self.open {
            out.field("scope", &open.watch.name()).field("open_for", &open.watch.open_for());
        }
        out.finish_non_exhaustive()
    }
}
