//! What locks over a database publish: their leases, and the local locks in front of them.

use std::hash::Hash;

use metrics::counter;

use super::names::*;
use super::publisher::{KEYED, Publisher, nameless};
use super::source;
use crate::pg::{PgKeyedLock, StableKey};

impl Publisher {
    /// Publishes the counters of the leases of this process, and those of the local locks in front of them, as
    /// [`keyed_lock`](Self::keyed_lock) does. All have the label `lock` and the name of the locks. Needs the feature
    /// `postgres`.
    ///
    /// It does not keep the locks alive: they still shut down when the last handle is dropped.
    ///
    /// # Panics
    ///
    /// If the name is published already, also by a local lock.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use latchwork::{pg::PgKeyedLock, publish::Publisher};
    ///
    /// # async fn example(pool: sqlx::PgPool) -> Result<(), latchwork::pg::PgLockError> {
    /// let jobs = PgKeyedLock::<String>::builder(&pool).name("jobs").connect().await?;
    /// let publisher = Publisher::new().pg_keyed_lock(&jobs);
    /// publisher.publish();
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    #[track_caller]
    pub fn pg_keyed_lock<K>(self, locks: &PgKeyedLock<K>) -> Self
    where
        K: StableKey + Eq + Hash + Send + Sync + 'static,
    {
        let (local, stats) = (locks.local().clone(), locks.stats());
        let name = local.name().unwrap_or_else(|| nameless("the lock", KEYED));
        self.named(LOCK, name, "PgKeyedLock::builder(..).name(..)").source(move || {
            source::keyed(name, &local.counts());
            let counts = stats.counts();
            counter!(LEASE_GRANTED, LOCK => name).absolute(counts.granted);
            counter!(LEASE_BUSY, LOCK => name).absolute(counts.busy);
            counter!(LEASE_UNAVAILABLE, LOCK => name).absolute(counts.unavailable);
            counter!(LEASE_LOST, LOCK => name).absolute(counts.lost);
            counter!(LEASE_BATCHES, LOCK => name).absolute(counts.batches);
            counter!(LEASE_CONNECTIONS, LOCK => name).absolute(counts.connections);
        })
    }
}
