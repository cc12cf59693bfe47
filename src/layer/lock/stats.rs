//! What a layer counts: [`LayerStats`], live, and [`LayerCounts`], a snapshot.

use std::array;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::outcome::Outcome;

/// The live counters of a [`KeyedLockLayer`](super::KeyedLockLayer). All clones of the layer and all its services share
/// them.
///
/// # Examples
///
/// ```
/// use latchwork::layer::{KeyedLockLayer, Outcome, header};
/// use std::sync::Arc;
///
/// let locks = Arc::new(latchwork::KeyedLock::<String>::new());
/// let stats = KeyedLockLayer::new(locks, header("x-user")).stats();
/// assert_eq!((stats.of(Outcome::Acquired), stats.requests()), (0, 0));
/// ```
#[derive(Clone, Default)]
pub struct LayerStats(Arc<[AtomicU64; Outcome::ALL.len()]>);

impl LayerStats {
    /// Returns the number of requests with this outcome.
    #[must_use]
    pub fn of(&self, outcome: Outcome) -> u64 {
        self.0[outcome as usize].load(Ordering::Relaxed)
    }

    /// Returns the number of requests with an outcome. Requests that are waiting have none yet.
    #[must_use]
    pub fn requests(&self) -> u64 {
        self.counts().requests()
    }

    /// Returns a snapshot. The counters are read one after the other, while requests go on.
    #[must_use]
    pub fn counts(&self) -> LayerCounts {
        LayerCounts(array::from_fn(|at| self.of(Outcome::ALL[at])))
    }

    #[inline]
    pub(super) fn add(&self, outcome: Outcome) {
        self.0[outcome as usize].fetch_add(1, Ordering::Relaxed);
    }
}

impl fmt::Debug for LayerStats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("LayerStats").field(&self.counts()).finish()
    }
}

/// A snapshot of [`LayerStats`].
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct LayerCounts([u64; Outcome::ALL.len()]);

impl LayerCounts {
    /// Returns the number of requests with this outcome.
    #[must_use]
    pub fn of(&self, outcome: Outcome) -> u64 {
        self.0[outcome as usize]
    }

    /// Returns the number of requests with an outcome.
    #[must_use]
    pub fn requests(&self) -> u64 {
        self.0.iter().sum()
    }
}

impl fmt::Debug for LayerCounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(Outcome::ALL.iter().map(|outcome| (outcome.name(), self.of(*outcome)))).finish()
    }
}
