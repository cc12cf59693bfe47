//! [`PgKeyedLock`]: locks by key over several processes.

use std::fmt;
use std::future::Future;
use std::hash::Hash;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use sqlx::PgPool;
use tokio::time::timeout;

use super::acquire::PgAcquire;
use super::builder::{PgKeyedBuilder, PgLockError};
use super::guard::{PgGuard, PgManyGuard};
use super::key::{self, StableKey};
use super::lease::{Lease, Leases};
use super::statement::Statements;
use super::stats::LeaseStats;
use crate::error::TimedOut;
use crate::keyed::{KeyedLock, OwnedKeyedGuard};
use crate::provider::{Ask, Begun, LockError, LockProvider, ShowKey};
use crate::remote::KeyBytes;

/// Locks by key that exclude each other in all processes that share a PostgreSQL database.
///
/// A key is a *lease*: a row in a table that names the holder and an end. It is renewed while the guard lives, so a process
/// that dies keeps its keys for the length of a lease and no longer.
///
/// # What it promises
///
/// 1. **You write to the same database**: [verify](PgGuard::verify) the guard inside the transaction. No write of an earlier
///    holder commits after a later one was granted the key, whatever clocks and pauses do.
/// 2. **You write to another store**: let it refuse smaller [fences](PgGuard::fence) than it has seen.
/// 3. **Neither**: the lock saves work that would be done twice. It can't exclude: a process may pause between its last look
///    and its write (M. Kleppmann, "How to do distributed locking" (2016)).
///
/// The guide [more than one process](crate::docs::processes) has both lists, what it costs, and how to run it.
///
/// # Inside a process
///
/// A local [`KeyedLock`] stands in front. So requests of one process queue as they do there, and only the first of them asks
/// the database. A released key goes to the next local request under a new fence, in one statement. All requests of a
/// process share one connection, and what is asked at the same time goes in one message.
///
/// # Fairness
///
/// In the process as with [`KeyedLock`]. There is no order between processes. If another one waits for the key, it is passed
/// on inside a process at most 8 times in a row.
///
/// # Examples
///
/// ```no_run
/// use latchwork::{pg::PgKeyedLock, sql::Scope};
/// use sqlx::{PgPool, query};
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let pool = PgPool::connect("postgres://localhost/shop").await?;
/// let items: PgKeyedLock<i64> = PgKeyedLock::connect(&pool).await?;
///
/// let item = items.lock_owned(7).await?; // in all processes
/// let mut tx = Scope::new(pool.clone()).begin().await?;
/// item.verify(&mut tx).await?;
/// query("update items set stock = stock - 1 where id = $1").bind(item.key()).execute(&mut *tx).await?;
/// tx.commit().await?;
/// # Ok(())
/// # }
/// ```
pub struct PgKeyedLock<K: Eq + Hash>(Arc<Shared<K>>);

pub(super) struct Shared<K: Eq + Hash> {
    pub(super) local: Arc<KeyedLock<K>>,
    pub(super) leases: Leases,
    pub(super) statements: Arc<Statements>,
    pub(super) namespace: Box<str>,
    pub(super) pool: PgPool,
    pub(super) stats: LeaseStats,
}

/// A request that waits for the database. `G` is its guard.
pub type PgWait<G> = Pin<Box<dyn Future<Output = Result<G, LockError>> + Send>>;

impl<K: StableKey + Eq + Hash + Send + Sync + 'static> PgKeyedLock<K> {
    pub(super) fn new(shared: Shared<K>) -> Self {
        Self(Arc::new(shared))
    }

    /// Connects with the default settings: see [`builder`](Self::builder). Creates the table if there is none.
    ///
    /// # Errors
    ///
    /// Returns the error of the database.
    ///
    /// # Panics
    ///
    /// Panics outside a tokio runtime.
    pub async fn connect(pool: &PgPool) -> Result<Self, PgLockError> {
        let builder = Self::builder(pool);
        builder.create_table().await?;
        builder.connect().await
    }

    /// Creates a builder, for the table, the namespace, the length of the leases and more.
    pub fn builder(pool: &PgPool) -> PgKeyedBuilder<K> {
        PgKeyedBuilder::new(pool)
    }

    /// Requests a key, and waits for it: `.await` it in a task, `.wait()` for it on a thread. How to wait can be set before:
    /// see [`PgAcquire`].
    ///
    /// # Cancel safety
    ///
    /// If it is dropped, the request is withdrawn. If the database grants the key after that, it is released.
    pub fn lock_owned(&self, key: K) -> PgAcquire<PgGuard<K>> {
        let locks = self.clone();
        PgAcquire::new(Ask::wait(), move |ask| locks.begin(key, ask))
    }

    /// Requests a key, and does not wait for another holder. It waits for the answer of the database.
    ///
    /// # Cancel safety
    ///
    /// As [`lock_owned`](Self::lock_owned).
    pub fn try_lock_owned(&self, key: K) -> PgAcquire<PgGuard<K>> {
        let locks = self.clone();
        PgAcquire::new(Ask::now(), move |ask| locks.begin(key, ask))
    }

    /// Requests several keys: all of them or none. A key that is named twice is requested once.
    ///
    /// In the process it holds none while it waits for one. Then it takes the leases one after the other, in the order of
    /// the keys' bytes. So two processes never wait for each other. While it waits for one lease, it holds those before it.
    ///
    /// # Cancel safety
    ///
    /// As [`lock_owned`](Self::lock_owned), for all keys.
    pub fn lock_many_owned(&self, keys: impl IntoIterator<Item = K>) -> PgAcquire<PgManyGuard<K>>
    where
        K: Ord,
    {
        let (locks, keys) = (self.clone(), keys.into_iter().collect::<Vec<_>>());
        PgAcquire::new(Ask::wait(), move |ask| {
            Begun::Waiting(Box::pin(async move { within(ask.time_limit(), locks.take_many(keys)).await }))
        })
    }

    async fn take_many(self, keys: Vec<K>) -> Result<PgManyGuard<K>, LockError>
    where
        K: Ord,
    {
        let locals = self.0.local.lock_many_owned(keys).await.into_guards();
        let mut locals = locals
            .into_iter()
            .map(|local| Ok((self.bytes(local.key())?, local)))
            .collect::<Result<Vec<_>, LockError>>()?;
        locals.sort_by(|(one, _), (other, _)| one.cmp(other));
        let mut guards = Vec::with_capacity(locals.len());
        for (bytes, local) in locals {
            guards.push(self.take(local, bytes, true).await?);
        }
        // The first ones may have been lost while the last one was waited for.
        let all = PgManyGuard(guards);
        if all.is_lost() { Err(LockError::Lost) } else { Ok(all) }
    }

    /// Gets the lease of a key whose local lock is held.
    async fn take(
        &self,
        local: OwnedKeyedGuard<K>,
        bytes: KeyBytes,
        waits: bool,
    ) -> Result<PgGuard<K>, LockError> {
        loop {
            let lease: Lease = self.0.leases.ask(bytes.clone(), waits).await?;
            // The answer may have been left lying for longer than the lease.
            match (lease.is_lost(), waits) {
                (false, _) => return Ok(PgGuard::new(lease, local, self.0.statements.clone())),
                (true, true) => {}
                (true, false) => return Err(LockError::Lost),
            }
        }
    }

    fn bytes(&self, key: &K) -> Result<KeyBytes, LockError> {
        key::encode(&self.0.namespace, key).map_err(|error| LockError::BadKey(Box::new(error)))
    }

    /// Returns the local locks: they know which requests of this process wait, and for how long.
    #[must_use]
    pub fn local(&self) -> &Arc<KeyedLock<K>> {
        &self.0.local
    }

    /// Returns the live counters of this process.
    #[must_use]
    pub fn stats(&self) -> LeaseStats {
        self.0.stats.clone()
    }

    /// Deletes the rows of keys that nobody has held for this time, in small transactions over the pool. Returns their
    /// number. Rows are small, so once a day is enough. Fences go on rising for keys that come back, as long as the server's clock
    /// is never put back by more than `idle`.
    ///
    /// # Errors
    ///
    /// Returns the error of the database.
    ///
    /// # Cancel safety
    ///
    /// If it is dropped, the rest of the rows stays.
    pub async fn purge(&self, idle: Duration) -> Result<u64, sqlx::Error> {
        let mut connection = self.0.pool.acquire().await?;
        self.0.statements.table().purge(&mut connection, idle).await
    }

    /// Shuts the locks of this process down: all clones refuse requests from now on.
    ///
    /// Releases all keys, and returns when the database has answered. Guards that still live are lost. Call it when
    /// the work that needs them has ended. Otherwise use [`leave`](Self::leave).
    ///
    /// # Cancel safety
    ///
    /// If it is dropped once it was polled, the shutdown goes on.
    pub async fn shut_down(&self) {
        self.0.leases.shut_down(false).await;
    }

    /// Shuts the locks of this process down, and leaves the keys to the ends of their leases. Nothing is renewed any more.
    /// Guards stay valid until then, for work that can't be stopped. Returns at once.
    ///
    /// # Cancel safety
    ///
    /// If it is dropped once it was polled, the shutdown goes on.
    pub async fn leave(&self) {
        self.0.leases.shut_down(true).await;
    }
}

async fn within<G>(
    limit: Option<Duration>,
    work: impl Future<Output = Result<G, LockError>>,
) -> Result<G, LockError> {
    match limit {
        Some(limit) => timeout(limit, work).await.unwrap_or(Err(LockError::TimedOut(TimedOut::NEW))),
        None => work.await,
    }
}

impl<K: StableKey + Eq + Hash + Send + Sync + 'static> LockProvider<K> for PgKeyedLock<K> {
    type Guard = PgGuard<K>;
    type Wait = PgWait<PgGuard<K>>;

    fn begin(&self, key: K, ask: Ask) -> Begun<PgGuard<K>, PgWait<PgGuard<K>>> {
        let bytes = match self.bytes(&key) {
            Ok(bytes) => bytes,
            Err(error) => return Begun::Refused(error),
        };
        let locks = self.clone();
        if !ask.waits() {
            return match self.0.local.try_lock_owned(key) {
                Ok(local) => Begun::Waiting(Box::pin(async move { locks.take(local, bytes, false).await })),
                Err(busy) => Begun::Refused(busy.into()),
            };
        }
        // Now, so that a queue that is full is seen at once, and places are in the order of the calls. The limit is for both waits.
        let local = self.0.local.begin(key, Ask::wait().max_waiters(ask.queue_bound()));
        if let Begun::Refused(error) = local {
            return Begun::Refused(error);
        }
        let work = async move { locks.take(local.await?, bytes, true).await };
        Begun::Waiting(Box::pin(within(ask.time_limit(), work)))
    }

    fn name(&self) -> Option<&'static str> {
        self.0.local.name()
    }

    fn show_key(&self) -> Option<ShowKey<K>> {
        self.0.local.show_key()
    }
}

impl<K: Eq + Hash> Clone for PgKeyedLock<K> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<K: Eq + Hash> fmt::Debug for PgKeyedLock<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PgKeyedLock")
            .field("namespace", &self.0.namespace)
            .field("stats", &self.0.stats)
            .finish_non_exhaustive()
    }
}
