//! What the locks of a process count: [`LeaseStats`], live, and [`LeaseCounts`], a snapshot.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

#[derive(Default)]
struct Counters {
    granted: AtomicU64,
    busy: AtomicU64,
    unavailable: AtomicU64,
    lost: AtomicU64,
    batches: AtomicU64,
    connections: AtomicU64,
}

/// The live counters of a [`PgKeyedLock`](super::PgKeyedLock). All its clones share them.
///
/// # Examples
///
/// ```
/// use latchwork::pg::LeaseStats;
///
/// assert_eq!(LeaseStats::default().counts().granted, 0);
/// ```
#[derive(Clone, Default)]
pub struct LeaseStats(Arc<Counters>);

/// A snapshot of [`LeaseStats`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct LeaseCounts {
    /// How many requests got their key.
    pub granted: u64,
    /// How many requests that must not wait found another holder.
    pub busy: u64,
    /// How many requests got no answer from the database.
    pub unavailable: u64,
    /// How many leases ended under their holders.
    pub lost: u64,
    /// How many messages were sent to the database. One can ask for many keys.
    pub batches: u64,
    /// How many connections were made.
    pub connections: u64,
}

impl LeaseStats {
    /// Returns a snapshot. The counters are read one after the other.
    #[must_use]
    pub fn counts(&self) -> LeaseCounts {
        let Counters { granted, busy, unavailable, lost, batches, connections } = &*self.0;
        LeaseCounts {
            granted: granted.load(Relaxed),
            busy: busy.load(Relaxed),
            unavailable: unavailable.load(Relaxed),
            lost: lost.load(Relaxed),
            batches: batches.load(Relaxed),
            connections: connections.load(Relaxed),
        }
    }

    pub(super) fn granted(&self) {
        self.0.granted.fetch_add(1, Relaxed);
    }

    pub(super) fn busy(&self) {
        self.0.busy.fetch_add(1, Relaxed);
    }

    pub(super) fn unavailable(&self) {
        self.0.unavailable.fetch_add(1, Relaxed);
    }

    pub(super) fn lost(&self) {
        self.0.lost.fetch_add(1, Relaxed);
    }

    pub(super) fn asked(&self) {
        self.0.batches.fetch_add(1, Relaxed);
    }

    pub(super) fn connected(&self) {
        self.0.connections.fetch_add(1, Relaxed);
    }
}

impl fmt::Debug for LeaseStats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("LeaseStats").field(&self.counts()).finish()
    }
}
