//! The counters of a table.

use std::time::Duration;

use crate::wait::End;

/// The counters of one shard, guarded by its lock.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counters {
    pub(super) waited: u64,
    /// Grants given back by acquisitions of several keys that found another one busy.
    pub(super) put_back: u64,
    pub(super) busy: u64,
    pub(super) timed_out: u64,
    pub(super) cancelled: u64,
    pub(super) waiting: usize,
    pub(super) longest_queue: usize,
    pub(super) times: Times,
}

impl Counters {
    /// Counts an acquisition that queues. It may have waited in another queue before.
    pub(super) fn queued(&mut self, waiters: usize, has_waited: bool) {
        self.waited += u64::from(!has_waited);
        self.waiting += 1;
        self.longest_queue = self.longest_queue.max(waiters);
    }

    /// Counts off an acquisition that leaves a queue, and its `end` if that is counted here.
    pub(super) fn left(&mut self, end: Option<End>) {
        self.waiting -= 1;
        match end {
            Some(End::Cancelled) => self.cancelled += 1,
            Some(End::TimedOut) => self.timed_out += 1,
            None => {}
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

/// A snapshot of what a keyed lock or semaphore has counted since it was created.
///
/// Shards are read one after the other, so under load the numbers belong to slightly different moments.
///
/// # Examples
///
/// ```
/// let locks = latchwork::KeyedLock::<String>::new();
/// let guard = locks.lock("ada").wait();
/// assert!(locks.try_lock("ada").is_err());
/// let counts = locks.counts();
/// assert_eq!((counts.keys, counts.acquired, counts.busy, counts.waited), (1, 1, 1, 0));
/// # drop(guard);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct KeyedCounts {
    /// Keys held or waited for now.
    pub keys: usize,
    /// Grants. A key that `lock_many` gives back because another one is busy is not counted.
    pub acquired: u64,
    /// Acquisitions that had to queue, whatever their outcome.
    pub waited: u64,
    /// Acquisitions that were refused at once: `try_` calls, and those with `max_waiters` that found the queue full.
    pub busy: u64,
    /// Acquisitions that queued until their time was up.
    pub timed_out: u64,
    /// Acquisitions that queued and were dropped.
    pub cancelled: u64,
    /// Places in the queues of all keys. A waiting `lock_many` may have one for each of its keys.
    pub waiting: usize,
    /// The highest number of waiters that one key ever had.
    pub longest_queue: usize,
    /// How long keys were waited for and held, if the table was built with
    /// [`track_times`](super::KeyedBuilder::track_times).
    pub times: Option<Times>,
}

/// Sums and maxima of waits and holds.
///
/// A wait is counted when it ends with a grant, and a hold when it ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct Times {
    /// Time spent in queues.
    pub waited_total: Duration,
    /// The longest wait for one grant.
    pub waited_max: Duration,
    /// Time for which keys were held.
    pub held_total: Duration,
    /// The longest hold.
    pub held_max: Duration,
}
