//! A homemade pool guard: sessions that are opened and closed by number. Services write it if they once had no guards, or
//! if several functions share the connection of a request. Nothing closes a session whose request forgets it.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use sqlx::pool::PoolConnection;
use sqlx::{Executor, Pool};
use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard};

use super::Db;

type Session = Arc<AsyncMutex<PoolConnection<Db>>>;

pub(crate) struct Sessions {
    pool: Pool<Db>,
    open: Mutex<HashMap<u64, Session>>,
    next: AtomicU64,
    rolled_back: AtomicU64,
}

impl Sessions {
    pub(crate) fn new(pool: Pool<Db>) -> Self {
        Self { pool, open: Mutex::default(), next: AtomicU64::new(1), rolled_back: AtomicU64::new(0) }
    }

    /// Takes a connection, and begins a transaction on it.
    pub(crate) async fn open(&self) -> sqlx::Result<u64> {
        let connection = self.pool.acquire().await?;
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let session = Session::new(AsyncMutex::new(connection));
        self.open.lock().unwrap_or_else(PoisonError::into_inner).insert(number, session);
        self.connection(number).await.execute("BEGIN").await?;
        Ok(number)
    }

    /// Returns the session's connection.
    pub(crate) async fn connection(&self, number: u64) -> OwnedMutexGuard<PoolConnection<Db>> {
        let session = {
            let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
            open.get(&number).expect("it is open until its request closes it").clone()
        };
        session.lock_owned().await
    }

    /// Commits, and gives the connection back.
    pub(crate) async fn commit(&self, number: u64) -> sqlx::Result<()> {
        self.connection(number).await.execute("COMMIT").await?;
        self.close(number);
        Ok(())
    }

    /// Rolls back, and gives the connection back.
    pub(crate) async fn roll_back(&self, number: u64) -> sqlx::Result<()> {
        self.connection(number).await.execute("ROLLBACK").await?;
        self.rolled_back.fetch_add(1, Ordering::Relaxed);
        self.close(number);
        Ok(())
    }

    fn close(&self, number: u64) {
        self.open.lock().unwrap_or_else(PoisonError::into_inner).remove(&number);
    }

    pub(crate) fn rolled_back(&self) -> u64 {
        self.rolled_back.load(Ordering::Relaxed)
    }

    /// Gives back all connections that requests have forgotten.
    pub(crate) fn forget(&self) {
        self.open.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}
