//! [`PgGuard`]: a key that is held, until dropped.

use std::fmt;
use std::future::Future;
use std::hash::Hash;
use std::pin::Pin;
use std::sync::Arc;

use sqlx::{Connection, PgConnection};
use tokio::sync::oneshot;

use super::lease::{Ended, Lease};
use super::statement::Statements;
use super::verify::VerifyError;
use crate::fence::Fence;
use crate::keyed::OwnedKeyedGuard;
use crate::provider::{HeldLock, LockError};

/// A key that this process holds, until it is dropped, or until its lease is lost.
///
/// The lease is renewed as long as the guard lives. If the database can't be reached for the length of a lease, it is lost,
/// and another process may get the key. So a write must prove that it comes in time:
///
/// - in the same database, [`verify`](Self::verify) the guard inside the transaction;
/// - in another store, send the [`fence`](Self::fence) along, and let the store refuse smaller ones than the greatest it has
///   seen: a [`FenceGate`](crate::fence::FenceGate), or `where fence <= $1`.
///
/// The drop does not wait, and needs no runtime. A task sends the release.
///
/// # Examples
///
/// ```no_run
/// # async fn example(items: latchwork::pg::PgKeyedLock<i64>, pool: sqlx::PgPool) -> Result<(), Box<dyn std::error::Error>> {
/// let item = items.lock_owned(7).await?;
/// assert_eq!(*item.key(), 7);
///
/// let mut tx = pool.begin().await?;
/// item.verify(&mut tx).await?; // fails if another process has got the key meanwhile
/// sqlx::query("update items set stock = stock - 1 where id = 7").execute(&mut *tx).await?;
/// tx.commit().await?;
///
/// assert!(!item.is_lost());
/// item.release().await?; // or drop it: the release is sent, and nobody waits for its answer
/// # Ok(())
/// # }
/// ```
#[must_use = "the key is released at once if its guard is not kept"]
pub struct PgGuard<K: Eq + Hash> {
    // Declared before the local lock: the next local request must ask after this one was released.
    lease: Lease,
    fence: Fence,
    local: OwnedKeyedGuard<K>,
    statements: Arc<Statements>,
}

impl<K: Eq + Hash> PgGuard<K> {
    pub(super) fn new(lease: Lease, local: OwnedKeyedGuard<K>, statements: Arc<Statements>) -> Self {
        let fence = Fence::new(lease.held().fence).expect("the statements refuse a row without a number");
        Self { lease, fence, local, statements }
    }

    /// Returns the key.
    #[must_use]
    pub fn key(&self) -> &K {
        self.local.key()
    }

    /// Returns the number of this grant. It is greater than that of each earlier grant of the key, in all processes.
    #[must_use]
    pub fn fence(&self) -> Fence {
        self.fence
    }

    /// Returns `true` if the lease is known to be lost: another process may hold the key now. `false` is no proof: the
    /// process may stand still before its next statement.
    ///
    /// It compares the clock of this process with the end of the lease, and does not block.
    #[must_use]
    pub fn is_lost(&self) -> bool {
        self.lease.is_lost()
    }

    /// Waits until the lease is lost. The task of the connection reports it. If its runtime stands still, that may be later
    /// than [`is_lost`](Self::is_lost).
    ///
    /// # Cancel safety
    ///
    /// It can be dropped and called again.
    pub async fn lost(&self) {
        self.lease.lost().await;
    }

    /// Makes sure that no other process gets the key before the transaction on this connection ends. Call it in each
    /// transaction that writes what the key guards, best as its first statement.
    ///
    /// It is one round trip, and compares no clock. Renewals and the release go on meanwhile. Another process that wants the
    /// key waits until the transaction ends, also if the lease ends before. So if the transaction commits, its writes are
    /// stored before any later holder reads.
    ///
    /// The table of the leases must be in the database of the transaction. A [`Scope`](crate::sql::Scope) must be in the mode
    /// [`Enforce`](crate::mode::Mode::Enforce): otherwise there is no transaction.
    ///
    /// # Errors
    ///
    /// Returns [`VerifyError::Lost`] if another process has got the key since, or the lease was released. Roll the
    /// transaction back then. Returns [`VerifyError::Database`] if the statement fails: with 40001 under REPEATABLE READ or
    /// stricter, if there was a later grant after the transaction began to read; in transactions that only read; and with
    /// [`sqlx::Error::InvalidArgument`] outside a transaction that sqlx knows of.
    ///
    /// # Cancel safety
    ///
    /// As with each statement, a drop leaves the transaction open. Roll it back.
    pub async fn verify(&self, connection: &mut PgConnection) -> Result<(), VerifyError> {
        if !connection.is_in_transaction() {
            let why = "a lock is verified inside a transaction that sqlx has begun";
            return Err(sqlx::Error::InvalidArgument(why.to_owned()).into());
        }
        let holds = self.statements.verify(connection, self.lease.held()).await?;
        if holds { Ok(()) } else { Err(VerifyError::Lost) }
    }

    /// Releases the key, and waits until the database has done so. A drop does the same without waiting.
    ///
    /// If another request of this process waits for the key, it gets the lease, and the answer comes with its grant.
    ///
    /// # Errors
    ///
    /// Returns [`LockError::Lost`] if the lease had ended before, or if the answer of the database was lost. Returns
    /// [`LockError::Unavailable`] if the locks were shut down.
    ///
    /// # Cancel safety
    ///
    /// If it is dropped once it was polled, the key is released all the same.
    pub async fn release(mut self) -> Result<(), LockError> {
        let (done, is_done) = oneshot::channel();
        self.end(Some(done));
        drop(self);
        match is_done.await {
            Ok(true) => Ok(()),
            Ok(false) => Err(LockError::Lost),
            Err(_) => Err(LockError::Unavailable(Box::new(Ended))),
        }
    }

    fn end(&mut self, done: Option<oneshot::Sender<bool>>) {
        self.lease.release(self.local.has_waiters(), done);
    }
}

impl<K: Eq + Hash> Drop for PgGuard<K> {
    fn drop(&mut self) {
        self.end(None);
    }
}

impl<K: Eq + Hash + Send + Sync> HeldLock for PgGuard<K> {
    type Key = K;

    fn key(&self) -> &K {
        Self::key(self)
    }

    fn fence(&self) -> Fence {
        Self::fence(self)
    }

    fn is_lost(&self) -> bool {
        Self::is_lost(self)
    }

    fn lost(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(self.lease.lost())
    }
}

/// Shows the fence, and not the key: that may not be for logs.
impl<K: Eq + Hash> fmt::Debug for PgGuard<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PgGuard")
            .field("fence", &self.fence())
            .field("is_lost", &self.is_lost())
            .finish_non_exhaustive()
    }
}

/// Several keys that this process holds, until dropped. They are in the order of their bytes.
#[must_use = "the keys are released at once if their guard is not kept"]
pub struct PgManyGuard<K: Eq + Hash>(pub(super) Vec<PgGuard<K>>);

impl<K: Eq + Hash> PgManyGuard<K> {
    /// Returns the guards of the keys.
    pub fn iter(&self) -> impl Iterator<Item = &PgGuard<K>> {
        self.0.iter()
    }

    /// Returns the guards of the keys, to be dropped one by one.
    #[must_use]
    pub fn into_guards(self) -> Vec<PgGuard<K>> {
        self.0
    }

    /// Returns `true` if one of the leases is known to be lost.
    #[must_use]
    pub fn is_lost(&self) -> bool {
        self.0.iter().any(PgGuard::is_lost)
    }

    /// Verifies all keys, as [`PgGuard::verify`] does, each with a statement of its own.
    ///
    /// # Errors
    ///
    /// Returns the first error.
    ///
    /// # Cancel safety
    ///
    /// As with each statement, a drop leaves the transaction open. Roll it back.
    pub async fn verify(&self, connection: &mut PgConnection) -> Result<(), VerifyError> {
        for guard in &self.0 {
            guard.verify(connection).await?;
        }
        Ok(())
    }

    /// Releases all keys, and waits until the database has done so.
    ///
    /// # Errors
    ///
    /// Returns the first error, when all are released.
    ///
    /// # Cancel safety
    ///
    /// If it is dropped, the rest is released without waiting.
    pub async fn release(self) -> Result<(), LockError> {
        let mut ended = Ok(());
        for guard in self.0 {
            let released = guard.release().await;
            ended = ended.and(released);
        }
        ended
    }
}

impl<K: Eq + Hash> fmt::Debug for PgManyGuard<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PgManyGuard").field(&self.0).finish()
    }
}
