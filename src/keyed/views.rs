//! What can be seen of a table from outside: the sum of its counters, and the keys in use.

use std::fmt;
use std::panic::Location;
use std::time::Duration;

use super::counters::{KeyedCounts, Times};
use super::entry::EntryPtr;
use super::table::{AsTable, Table};
use crate::fence::Fence;
use crate::wait::MAX_PERMITS;

/// One key in use, as a [`snapshot`](super::KeyedLock::snapshot) found it.
///
/// The key is borrowed from the table, which keeps its entry for as long as the view lives.
pub struct KeyView<'a, K, S> {
    table: &'a Table<K, S>,
    entry: EntryPtr<K>,
    fence: Option<Fence>,
    held: usize,
    waiters: usize,
    held_for: Option<Duration>,
    caller: Option<&'static Location<'static>>,
}

impl<K, S> KeyView<'_, K, S> {
    /// Returns the key.
    #[must_use]
    #[allow(unsafe_code)]
    pub fn key(&self) -> &K {
        // SAFETY: the view's pin keeps the entry in use.
        unsafe { self.entry.key() }
    }

    /// Returns the fence of the latest grant, or `None` if there was none yet.
    #[must_use]
    pub fn fence(&self) -> Option<Fence> {
        self.fence
    }

    /// Returns how many guards hold the key, or how many of its permits are held.
    #[must_use]
    pub fn holders(&self) -> usize {
        if self.is_exclusive() { 1 } else { self.held }
    }

    /// Returns `true` if the key is held by guards that share it.
    #[must_use]
    pub fn is_shared(&self) -> bool {
        self.held > 0 && !self.is_exclusive()
    }

    /// Returns the number of waiters.
    #[must_use]
    pub fn waiters(&self) -> usize {
        self.waiters
    }

    /// Returns the time since the latest grant, if the key is held and the table tracks times.
    #[must_use]
    pub fn held_for(&self) -> Option<Duration> {
        self.held_for
    }

    /// Returns the place in the code that requested the latest grant, if the key is held and the table tracks callers.
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
        self.table.unpin(self.entry);
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

    pub(super) fn counts(&self) -> KeyedCounts {
        let mut sum = KeyedCounts::default();
        let mut times = Times::default();
        for shard in self.shards().iter() {
            let mut shard = shard.lock();
            sum.keys += shard.len();
            let grants = shard.fence() - self.options().fence_start;
            let counters = shard.counters();
            sum.acquired += grants - counters.put_back;
            sum.waited += counters.waited;
            sum.busy += counters.busy;
            sum.timed_out += counters.timed_out;
            sum.cancelled += counters.cancelled;
            sum.waiting += counters.waiting;
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
        for shard in self.shards().iter() {
            let mut shard = shard.lock();
            let entries: Vec<_> = shard.entries().collect();
            for entry in entries {
                let (state, _) = shard.open(entry);
                state.pin();
                let held = self.total() - state.word.get().permits();
                let holder = state.holder().filter(|_| held > 0);
                views.push(KeyView {
                    table: self,
                    entry,
                    fence: Fence::new(state.fence()),
                    held,
                    waiters: state.waiters(),
                    held_for: holder.and_then(|holder| holder.since).map(|since| since.elapsed()),
                    caller: holder.and_then(|holder| holder.caller),
                });
            }
        }
        views
    }
}

/// Formats a lock or a semaphore for `Debug`.
pub(super) fn debug<T: AsTable>(name: &str, table: &T, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let table = table.table();
    let mut shown = f.debug_struct(name);
    if let Some(name) = table.options().name {
        shown.field("name", &name);
    }
    shown.field("keys", &table.len()).finish_non_exhaustive()
}
