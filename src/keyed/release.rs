//! How permits go back to a key, and how waiters leave it.

use std::pin::Pin;
use std::time::{Duration, Instant};

use super::counters::Counters;
use super::entry::{Entry, EntryPtr};
use super::shard::Locked;
use super::table::Table;
use super::timing::Timing;
use crate::wait::{End, Keeps, Node, Wakes};

impl<K, S> Table<K, S> {
    /// Gives a grant back.
    #[inline(always)]
    pub(super) fn release(&self, entry: EntryPtr<K>, permits: usize, since: Option<Instant>) {
        match since {
            None => self.give_back(entry, permits, None),
            Some(since) => self.release_timed(entry, permits, since),
        }
    }

    /// Not inlined, so that it costs nothing without times.
    #[inline(never)]
    fn release_timed(&self, entry: EntryPtr<K>, permits: usize, since: Instant) {
        let held = since.elapsed();
        self.give_back(entry, permits, Some(held));
        self.options().observe(Timing::Held(held));
    }

    #[inline(always)]
    fn give_back(&self, entry: EntryPtr<K>, permits: usize, held: Option<Duration>) {
        let mut shard = self.lock_of(entry);
        let (state, counters) = shard.open(entry);
        if let Some(held) = held {
            counters.held(held);
        }
        let word = state.word.get().give(permits);
        state.word.set(word);
        if permits == 0 {
            state.unpin();
        }
        let is_idle = word == self.full() && !state.is_pinned();
        if is_idle && !shard.is_watched() {
            // The way of a key that no other caller wants: there is nothing to notify.
            let key = shard.remove(entry);
            // Dropped after the lock is released: it is user code.
            drop(shard);
            drop(key);
        } else if word.must_look() {
            // A waiter is queued. It has a pin, so the entry is not idle.
            self.released(shard, entry);
        } else if is_idle {
            // A request waits for an empty table, and this may have been the last key.
            let mut wakes = Wakes::default();
            self.finish(shard, entry, &mut wakes);
            wakes.finish();
        }
    }

    /// Notifies the waiters that can use what was given back.
    #[cold]
    fn released<'a>(&'a self, mut shard: Locked<'a, K>, entry: EntryPtr<K>) {
        let mut wakes = Wakes::default();
        let (state, _) = shard.open(entry);
        state.with_line(self.total(), &mut wakes, |line, permits, wakes| line.released(permits, wakes));
        self.finish(shard, entry, &mut wakes);
        wakes.finish();
    }

    /// The owner of `node`, enlisted at `entry`, gives up. Its `end` is counted, if it is one.
    #[cold]
    pub(super) fn leave(&self, entry: EntryPtr<K>, node: Pin<&mut Node>, end: Option<End>) {
        self.change(entry, |state, counters, wakes| {
            state.with_line(self.total(), wakes, |line, permits, wakes| line.leave(permits, node, wakes));
            state.unpin();
            counters.left(end);
        });
    }

    /// Gives a grant back that no guard was made of.
    #[cold]
    pub(super) fn put_back(&self, entry: EntryPtr<K>, permits: usize) {
        self.lock_of(entry).counters().put_back += 1;
        self.give_back(entry, permits, None);
    }

    /// Gives such a grant back, and keeps a place in the line for its owner. See
    /// [`Line::stand_aside`](crate::wait::Line::stand_aside).
    #[cold]
    pub(super) fn stand_aside(&self, entry: EntryPtr<K>, node: Pin<&mut Node>, permits: usize, keeps: Keeps) {
        self.change(entry, |state, counters, wakes| {
            counters.put_back += 1;
            counters.waiting += 1;
            // The permits do not keep the entry any more, but the place must.
            state.pin();
            state.with_line(self.total(), wakes, |line, pool, wakes| {
                line.stand_aside(pool, node, permits, keeps, wakes);
            });
        });
    }

    /// The owner of `node`, enlisted at `entry`, is not expected there for now.
    #[cold]
    pub(super) fn stand_back(&self, entry: EntryPtr<K>, node: Pin<&mut Node>) {
        self.change(entry, |state, _, wakes| {
            state.with_line(self.total(), wakes, |line, pool, wakes| line.stand_back(pool, node, wakes));
        });
    }

    /// Takes a pin off.
    pub(super) fn unpin(&self, entry: EntryPtr<K>) {
        self.change(entry, |state, _, _| state.unpin());
    }

    /// Changes an entry that the caller keeps in use, and [ends the change](Self::finish).
    fn change(&self, entry: EntryPtr<K>, act: impl FnOnce(&Entry<K>, &mut Counters, &mut Wakes)) {
        let mut wakes = Wakes::default();
        let mut shard = self.lock_of(entry);
        let (state, counters) = shard.open(entry);
        act(state, counters, &mut wakes);
        self.finish(shard, entry, &mut wakes);
        wakes.finish();
    }

    /// Ends a change to an entry: removes it if it is idle, and releases the lock. Then it wakes the waiters that were
    /// notified, and drops the key.
    pub(super) fn finish<'a>(&'a self, mut shard: Locked<'a, K>, entry: EntryPtr<K>, wakes: &mut Wakes) {
        loop {
            let (state, _) = shard.open(entry);
            let has_more = wakes.is_unfinished();
            if has_more {
                // The batch is full, and the line will be looked at again. Until then this pin keeps the entry: the
                // waiters that are woken now may all be gone before.
                state.pin();
            }
            let is_idle = state.word.get() == self.full() && !state.is_pinned();
            let key = is_idle.then(|| shard.remove(entry));
            if is_idle {
                shard.notify_drained(wakes);
            }
            // Wakers and the key are user code, which may lock this shard again.
            drop(shard);
            wakes.wake();
            drop(key);
            if !has_more {
                return;
            }
            shard = self.lock_of(entry);
            let (state, _) = shard.open(entry);
            state.unpin();
            state.with_line(self.total(), wakes, |line, permits, wakes| line.settle(permits, wakes));
        }
    }
}
