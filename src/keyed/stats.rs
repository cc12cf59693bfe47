//! What a table counts, and the views of the keys in use.

use std::fmt;
use std::panic::Location;
use std::time::Duration;

use super::entry::EntryPtr;
use super::table::{AsTable, Table};
use crate::fence::Fence;
use crate::wait::{End, MAX_PERMITS};

/// One shard's books, kept under its lock, which is held anyway.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counters {
    pub(super) waited: u64,
    pub(super) busy: u64,
    pub(super) timed_out: u64,
    pub(super) cancelled: u64,
    pub(super) longest_queue: usize,
    pub(super) times: Times,
}

impl Counters {
    pub(super) fn queued(&mut self, waiters: usize) {
        self.waited += 1;
        self.longest_queue = self.longest_queue.max(waiters);
    }

    pub(super) fn left(&mut self, end: End) {
        match end {
            End::Cancelled => self.cancelled += 1,
            End::TimedOut => self.timed_out += 1,
        }
    }

    pub(super) fn held(&mut self, held: Duration) {
        self.times.held_total = self.times.held_total.saturating_add(held);
        self.times.held_max = self.times.held_max.max(held);
    }

    pub(super) fn waited_for(&mut self, waited: Duration) {
        self.times.waited_total = self.times.waited_total.saturating_add(waited);
        self.times.waited_max = self.times.waited_max.max(waited);
    }
}

/// What a table has counted since it was made. Shards are read one after the other, so under load
/// the numbers belong to slightly different moments.
///
/// # Examples
///
/// ```
/// let locks = latchwork::KeyedLock::<String>::new();
/// let guard = locks.lock("ada").wait();
/// assert!(locks.try_lock("ada").is_err());
/// let stats = locks.stats();
/// assert_eq!((stats.keys, stats.acquired, stats.busy, stats.waited), (1, 1, 1, 0));
/// # drop(guard);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct KeyedStats {
    /// Keys held or waited for now.
    pub keys: usize,
    /// Grants.
    pub acquired: u64,
    /// Acquisitions that had to queue, whatever came of them.
    pub waited: u64,
    /// `try_` calls that were refused.
    pub busy: u64,
    /// Acquisitions that queued until their time was up.
    pub timed_out: u64,
    /// Acquisitions that queued and were dropped.
    pub cancelled: u64,
    /// The most waiters that one key ever had.
    pub longest_queue: usize,
    /// How long it took, if the table was built with
    /// [`track_times`](super::KeyedBuilder::track_times).
    pub times: Option<Times>,
}

/// Sums and maxima of waits and holds. A wait is counted when it ends with a grant, a hold when it
/// ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct Times {
    /// Time spent in queues.
    pub waited_total: Duration,
    /// The longest time that one grant was waited for.
    pub waited_max: Duration,
    /// Time for which keys were held.
    pub held_total: Duration,
    /// The longest hold.
    pub held_max: Duration,
}

/// One key in use, as a [`snapshot`](super::KeyedLock::snapshot) found it. The key itself is borrowed
/// from the table, which keeps its entry for as long as the view lives.
pub struct KeyView<'a, K, S> {
    table: &'a Table<K, S>,
    index: u32,
    entry: EntryPtr<K>,
    fence: Option<Fence>,
    held: usize,
    waiters: usize,
    held_for: Option<Duration>,
    caller: Option<&'static Location<'static>>,
}

impl<K, S> KeyView<'_, K, S> {
    /// The key.
    #[must_use]
    #[allow(unsafe_code)]
    pub fn key(&self) -> &K {
        // SAFETY: the view's pin keeps the entry in use.
        unsafe { self.entry.key() }
    }

    /// The fence of the latest grant; `None` if there was none yet.
    #[must_use]
    pub fn fence(&self) -> Option<Fence> {
        self.fence
    }

    /// How many permits are held: of a lock, how many share it, or one that has it alone.
    #[must_use]
    pub fn holders(&self) -> usize {
        if self.is_exclusive() { 1 } else { self.held }
    }

    /// Whether the key is held by guards that share it.
    #[must_use]
    pub fn is_shared(&self) -> bool {
        self.held > 0 && !self.is_exclusive()
    }

    /// How many wait.
    #[must_use]
    pub fn waiters(&self) -> usize {
        self.waiters
    }

    /// How long ago the latest grant was, if the key is held and the table tracks times.
    #[must_use]
    pub fn held_for(&self) -> Option<Duration> {
        self.held_for
    }

    /// Where the latest grant was asked for, if the key is held and the table tracks callers.
    #[must_use]
    pub fn caller(&self) -> Option<&'static Location<'static>> {
        self.caller
    }

    fn is_exclusive(&self) -> bool {
        self.held == MAX_PERMITS
    }
}

impl<K, S> Drop for KeyView<'_, K, S> {
    fn drop(&mut self) {
        self.table.unpin(self.index, self.entry);
    }
}

impl<K: fmt::Debug, S> fmt::Debug for KeyView<'_, K, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyView")
            .field("key", self.key())
            .field("fence", &self.fence)
            .field("holders", &self.holders())
            .field("waiters", &self.waiters)
            .field("held_for", &self.held_for)
            .field("caller", &self.caller)
            .finish()
    }
}

impl<K, S> Table<K, S> {
    pub(super) fn len(&self) -> usize {
        self.shards().iter().map(|shard| shard.lock().len()).sum()
    }

    pub(super) fn stats(&self) -> KeyedStats {
        let mut sum = KeyedStats::default();
        let mut times = Times::default();
        for shard in self.shards() {
            let mut shard = shard.lock();
            sum.keys += shard.len();
            sum.acquired += shard.fence() - self.options().fence_start;
            let counters = shard.counters();
            sum.waited += counters.waited;
            sum.busy += counters.busy;
            sum.timed_out += counters.timed_out;
            sum.cancelled += counters.cancelled;
            sum.longest_queue = sum.longest_queue.max(counters.longest_queue);
            times.waited_total = times.waited_total.saturating_add(counters.times.waited_total);
            times.waited_max = times.waited_max.max(counters.times.waited_max);
            times.held_total = times.held_total.saturating_add(counters.times.held_total);
            times.held_max = times.held_max.max(counters.times.held_max);
        }
        sum.times = self.options().track_times.then_some(times);
        sum
    }

    pub(super) fn snapshot(&self) -> Vec<KeyView<'_, K, S>> {
        let mut views = Vec::new();
        for (index, shard) in self.shards().iter().enumerate() {
            let mut shard = shard.lock();
            let entries: Vec<_> = shard.entries().collect();
            for entry in entries {
                let (state, _) = shard.open(entry);
                state.pins += 1;
                let held = self.full().permits() - state.word.get().permits();
                let holder = state.holder.as_deref().filter(|_| held > 0);
                views.push(KeyView {
                    table: self,
                    index: index as u32,
                    entry,
                    fence: Fence::new(state.fence),
                    held,
                    waiters: state.line.len(),
                    held_for: holder.and_then(|holder| holder.since).map(|since| since.elapsed()),
                    caller: holder.and_then(|holder| holder.caller),
                });
            }
        }
        views
    }
}

/// The table's part of `Debug` of the types around it.
pub(super) fn debug<T: AsTable>(name: &str, table: &T, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    f.debug_struct(name).field("keys", &table.table().len()).finish_non_exhaustive()
}
