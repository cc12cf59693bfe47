//! The table behind [`KeyedLock`](super::KeyedLock) and [`KeyedSemaphore`](super::KeyedSemaphore).
//!
//! **Presence is the lock state**: a key is in the table while somebody holds it or waits for it. Only
//! its shard's lock changes the entry, so there is no count of references that could disagree, and no
//! moment between "nobody uses it" and "it is gone". What waits in an entry is the same line with the
//! same policy as in the other locks; only its word is plain.

use std::fmt;
use std::hash::{BuildHasher, Hash};
use std::panic::{Location, RefUnwindSafe, UnwindSafe};
use std::pin::Pin;
use std::task::Waker;
use std::time::{Duration, Instant};

use super::entry::{EntryPtr, Holder};
use super::options::Options;
use super::shard::{Locked, Shard};
use super::timing::Timing;
use crate::error::Busy;
use crate::fence::Fence;
use crate::key::{Form, IntoKey};
use crate::shards::spread;
use crate::wait::{End, Keeps, Node, Refusal, Step, Wakes, Word};

/// Shards, and what is the same for all of them.
pub struct Table<K, S> {
    shards: Box<[Shard<K>]>,
    hasher: S,
    /// The word of a key that nobody holds.
    full: Word,
    options: Options<K>,
}

/// Has a [`Table`].
pub trait AsTable {
    /// The type of the keys.
    type Key;
    #[doc(hidden)]
    type Hasher;

    #[doc(hidden)]
    fn table(&self) -> &Table<Self::Key, Self::Hasher>;
}

/// A key that was asked for: hashed once, when it is first looked for, and made an owned one when it has
/// to be stored.
pub(super) struct Wanted<K, Q> {
    spot: Option<Spot>,
    form: Form<K, Q>,
}

/// Where a key is to be found.
#[derive(Clone, Copy)]
pub(super) struct Spot {
    /// Its shard.
    pub(super) index: u32,
    /// The part of the hash that entries keep; never zero.
    hash: u32,
}

/// What an acquisition asks of a key.
#[derive(Clone, Copy, Debug)]
pub(super) struct Claim {
    pub(super) permits: usize,
    /// Its wait was counted before, for another key.
    pub(super) has_waited: bool,
    pub(super) caller: &'static Location<'static>,
    /// When the wait began and when the attempt did, where the table tracks times.
    pub(super) queued_at: Option<Instant>,
    pub(super) now: Option<Instant>,
}

/// What an attempt that succeeds comes to, with the permits of its claim. They go back with
/// [`Table::release`], once.
#[derive(Clone, Copy, Debug)]
pub struct Grant<K> {
    pub(super) entry: EntryPtr<K>,
    pub(super) fence: Fence,
}

/// How an attempt treats those who wait.
pub(super) enum Manner<'a> {
    /// As a `try_` call, which does not wait. It wants to know what it met.
    Trying(&'a mut Busy),
    /// As a newcomer that is ready to wait.
    Polite,
}

impl Claim {
    #[inline]
    #[track_caller]
    pub(super) fn new(permits: usize) -> Self {
        Self { permits, has_waited: false, caller: Location::caller(), queued_at: None, now: None }
    }

    /// How long it was waited for, where that is known.
    #[inline]
    pub(super) fn waited(&self) -> Option<Duration> {
        Some(self.now? - self.queued_at?)
    }
}

impl<K, Q: IntoKey<K>> Wanted<K, Q> {
    #[inline]
    pub(super) fn new(key: Q) -> Self {
        Self { spot: None, form: Form::new(key) }
    }

    /// The key itself, if it is not in the table.
    #[cfg(feature = "tracing")]
    pub(super) fn into_key(self) -> Option<K> {
        match self.form {
            Form::Borrowed(key) => Some(key.into_key()),
            Form::Owned(key) => Some(key),
            Form::Stored => None,
        }
    }

    /// Drops the key if it was not stored.
    #[inline]
    pub(super) fn forget_key(&mut self) {
        self.form = Form::Stored;
    }

    /// The key as it was asked for, out of a request that has come to its end.
    pub(super) fn take(&mut self) -> Self {
        Self { spot: self.spot, form: std::mem::replace(&mut self.form, Form::Stored) }
    }
}

impl<K, S> Table<K, S> {
    pub(super) fn new(permits: usize, hasher: S, options: Options<K>) -> Self {
        let shards = (0..options.shards).map(|_| Shard::new(options.fence_start)).collect();
        Self { shards, hasher, full: Word::free(permits), options }
    }

    pub(super) fn options(&self) -> &Options<K> {
        &self.options
    }

    pub(super) fn full(&self) -> Word {
        self.full
    }

    /// How many permits a key has.
    fn total(&self) -> usize {
        self.full.permits()
    }

    pub(super) fn shards(&self) -> &[Shard<K>] {
        &self.shards
    }

    #[inline]
    pub(super) fn shard(&self, index: u32) -> Locked<'_, K> {
        self.shards[index as usize].lock()
    }

    /// Gives a grant back.
    #[inline(always)]
    pub(super) fn release(&self, index: u32, entry: EntryPtr<K>, permits: usize, since: Option<Instant>) {
        match since {
            None => self.give_back(index, entry, permits, None),
            Some(since) => self.release_timed(index, entry, permits, since),
        }
    }

    /// Apart, so that without times nothing of it is paid.
    #[inline(never)]
    fn release_timed(&self, index: u32, entry: EntryPtr<K>, permits: usize, since: Instant) {
        let held = since.elapsed();
        self.give_back(index, entry, permits, Some(held));
        self.options.observe(Timing::Held(held));
    }

    #[inline(always)]
    fn give_back(&self, index: u32, entry: EntryPtr<K>, permits: usize, held: Option<Duration>) {
        let mut shard = self.shard(index);
        let (state, counters) = shard.open(entry);
        if let Some(held) = held {
            counters.held(held);
        }
        let word = state.word.get().give(permits);
        state.word.set(word);
        state.pins -= u32::from(permits == 0);
        let is_idle = word == self.full && state.pins == 0;
        if is_idle && !shard.is_watched() {
            let key = shard.remove(entry);
            // Dropped after the lock is released: it is user code.
            drop(shard);
            drop(key);
        } else if word.must_look() {
            self.released(shard, index, entry);
        } else if is_idle {
            let mut wakes = Wakes::default();
            self.finish(shard, index, entry, &mut wakes);
            wakes.finish();
        }
    }

    /// Notifies those who can use what was given back.
    #[cold]
    fn released<'a>(&'a self, mut shard: Locked<'a, K>, index: u32, entry: EntryPtr<K>) {
        let mut wakes = Wakes::default();
        let (state, _) = shard.open(entry);
        state.with_line(self.total(), &mut wakes, |line, permits, wakes| line.released(permits, wakes));
        self.finish(shard, index, entry, &mut wakes);
        wakes.finish();
    }

    /// The owner of `node`, enlisted with `entry`, gives up.
    #[cold]
    pub(super) fn leave(&self, index: u32, entry: EntryPtr<K>, node: Pin<&mut Node>, end: Option<End>) {
        let mut wakes = Wakes::default();
        let mut shard = self.shard(index);
        let (state, counters) = shard.open(entry);
        state.with_line(self.total(), &mut wakes, |line, permits, wakes| line.leave(permits, node, wakes));
        state.pins -= 1;
        counters.left(end);
        self.finish(shard, index, entry, &mut wakes);
        wakes.finish();
    }

    /// Gives a grant back that nobody has seen.
    #[cold]
    pub(super) fn put_back(&self, index: u32, entry: EntryPtr<K>, permits: usize) {
        self.shard(index).counters().put_back += 1;
        self.give_back(index, entry, permits, None);
    }

    /// The same, but its owner keeps a place in the line; see [`Line::stand_aside`](crate::wait::Line::stand_aside).
    #[cold]
    pub(super) fn stand_aside(
        &self,
        index: u32,
        entry: EntryPtr<K>,
        node: Pin<&mut Node>,
        permits: usize,
        keeps: Keeps,
    ) {
        let mut wakes = Wakes::default();
        let mut shard = self.shard(index);
        let (state, counters) = shard.open(entry);
        counters.put_back += 1;
        counters.waiting += 1;
        state.pin();
        state.with_line(self.total(), &mut wakes, |line, pool, wakes| {
            line.stand_aside(pool, node, permits, keeps, wakes);
        });
        self.finish(shard, index, entry, &mut wakes);
        wakes.finish();
    }

    /// The owner of `node`, enlisted with `entry`, is not expected here for now.
    #[cold]
    pub(super) fn stand_back(&self, index: u32, entry: EntryPtr<K>, node: Pin<&mut Node>) {
        let mut wakes = Wakes::default();
        let mut shard = self.shard(index);
        let (state, _) = shard.open(entry);
        state.with_line(self.total(), &mut wakes, |line, pool, wakes| line.stand_back(pool, node, wakes));
        self.finish(shard, index, entry, &mut wakes);
        wakes.finish();
    }

    /// Lets go of a pin.
    pub(super) fn unpin(&self, index: u32, entry: EntryPtr<K>) {
        let mut wakes = Wakes::default();
        let mut shard = self.shard(index);
        shard.open(entry).0.pins -= 1;
        self.finish(shard, index, entry, &mut wakes);
        wakes.finish();
    }

    /// Ends a change to `entry`: removes it if it is idle, then releases the lock, then wakes those who were
    /// notified and drops the key. A batch that ran full is continued under a pin.
    fn finish<'a>(&'a self, mut shard: Locked<'a, K>, index: u32, entry: EntryPtr<K>, wakes: &mut Wakes) {
        loop {
            let more = wakes.is_unfinished();
            let (state, _) = shard.open(entry);
            if more {
                state.pin();
            }
            let idle = state.word.get() == self.full && state.pins == 0;
            let key = idle.then(|| shard.remove(entry));
            if idle {
                shard.notify_drained(wakes);
            }
            drop(shard);
            wakes.wake();
            drop(key);
            if !more {
                return;
            }
            shard = self.shard(index);
            let (state, _) = shard.open(entry);
            state.pins -= 1;
            state.with_line(self.total(), wakes, |line, permits, wakes| line.settle(permits, wakes));
        }
    }
}

impl<K: Eq + Hash, S: BuildHasher> Table<K, S> {
    /// Where to look for a key: hashed once.
    #[inline(always)]
    pub(super) fn spot<Q: IntoKey<K>>(&self, wanted: &mut Wanted<K, Q>) -> Spot {
        *wanted.spot.get_or_insert_with(|| {
            // The high half chooses the shard (their number is a power of two), the low one the entry.
            let hash = spread(wanted.form.hash(&self.hasher));
            Spot { index: (hash >> 32) as u32 & (self.shards.len() as u32 - 1), hash: (hash as u32).max(1) }
        })
    }

    /// Permits of `key` that can be taken now.
    pub(super) fn available<Q: IntoKey<K>>(&self, key: Q) -> usize {
        let mut wanted = Wanted::new(key);
        let spot = self.spot(&mut wanted);
        let mut shard = self.shard(spot.index);
        let entry = shard.find(spot.hash, |key| wanted.form.is_key(key));
        entry.map_or(self.full, |entry| shard.open(entry).0.word.get()).permits()
    }

    /// One attempt that does not enlist. (Always inlined, as what it uses: a sixth of the time of a free
    /// key goes into passing keys and grants through memory otherwise.)
    #[inline(always)]
    pub(super) fn take<Q: IntoKey<K>>(
        &self,
        wanted: &mut Wanted<K, Q>,
        claim: &Claim,
        mut manner: Manner<'_>,
    ) -> Option<Grant<K>> {
        let Spot { index, hash } = self.spot(wanted);
        loop {
            let mut shard = self.shard(index);
            if let Some(entry) = shard.find(hash, |key| wanted.form.is_key(key)) {
                let (state, counters) = shard.open(entry);
                let refusal = match state.word.get().take(claim.permits) {
                    Ok(next) => {
                        state.word.set(next);
                        return Some(self.grant(&mut shard, entry, claim));
                    }
                    Err(refusal) => refusal,
                };
                let Manner::Trying(busy) = &mut manner else { return None };
                if refusal == Refusal::Reserved {
                    return self.take_reserved(shard, index, entry, claim, busy);
                }
                counters.busy += 1;
                **busy = Busy::new(state.waiters(), Fence::new(state.fence));
                return None;
            }
            let Ok(word) = self.full.take(claim.permits) else {
                shard.counters().busy += u64::from(matches!(manner, Manner::Trying(_)));
                return None;
            };
            if let Some(key) = wanted.form.take_owned() {
                let entry = shard.insert(hash, key, word);
                return Some(self.grant(&mut shard, entry, claim));
            }
            // User code makes the key, outside the lock; then everything is looked at afresh.
            drop(shard);
            wanted.form.make_owned();
        }
    }

    /// A `try_` call found permits that are reserved for others: they may not be, under the line's lock.
    #[cold]
    fn take_reserved<'a>(
        &'a self,
        mut shard: Locked<'a, K>,
        index: u32,
        entry: EntryPtr<K>,
        claim: &Claim,
        busy: &mut Busy,
    ) -> Option<Grant<K>> {
        let mut wakes = Wakes::default();
        let (state, counters) = shard.open(entry);
        let taken = state.with_line(self.total(), &mut wakes, |line, permits, wakes| {
            line.try_take(permits, claim.permits, wakes)
        });
        if !taken {
            counters.busy += 1;
            *busy = Busy::new(state.waiters(), Fence::new(state.fence));
        }
        let grant = taken.then(|| self.grant(&mut shard, entry, claim));
        self.finish(shard, index, entry, &mut wakes);
        wakes.finish_or(|| {
            if let Some(grant) = &grant {
                self.release(index, grant.entry, claim.permits, claim.now);
            }
        });
        grant
    }

    /// Makes one attempt for the waiter that owns `node`; `entry` is where it is enlisted. A newcomer does not enlist
    /// behind `max_waiters` others.
    #[cold]
    pub(super) fn step<Q: IntoKey<K>>(
        &self,
        wanted: &mut Wanted<K, Q>,
        entry: &mut Option<EntryPtr<K>>,
        mut node: Pin<&mut Node>,
        claim: &Claim,
        task: &Waker,
        max_waiters: usize,
    ) -> Option<Result<Grant<K>, Busy>> {
        let Spot { index, hash } = self.spot(wanted);
        let newcomer = entry.is_none();
        let mut wakes = Wakes::default();
        // Wakers are cloned, woken and dropped outside the lock: they are user code.
        let mut spare = newcomer.then(|| task.clone());
        let outcome = loop {
            let mut shard = self.shard(index);
            let found = entry.or_else(|| shard.find(hash, |key| wanted.form.is_key(key)));
            let found = found.or_else(|| {
                let key = wanted.form.take_owned()?;
                Some(shard.insert(hash, key, self.full))
            });
            let Some(found) = found else {
                drop(shard);
                wanted.form.make_owned();
                continue;
            };
            let (state, counters) = shard.open(found);
            if newcomer && max_waiters < usize::MAX && state.waiters() >= max_waiters {
                let taken = state.with_line(self.total(), &mut wakes, |line, permits, wakes| {
                    line.try_take(permits, claim.permits, wakes)
                });
                let outcome = if taken {
                    Ok(self.grant(&mut shard, found, claim))
                } else {
                    counters.busy += 1;
                    Err(Busy::new(state.waiters(), Fence::new(state.fence)))
                };
                self.finish(shard, index, found, &mut wakes);
                break Some(outcome);
            }
            let (step, waiters) = state.with_line(self.total(), &mut wakes, |line, permits, wakes| {
                let step = line.step(permits, node.as_mut(), claim.permits, task, &mut spare, wakes);
                (step, line.len())
            });
            match step {
                Step::NeedsWaker => {
                    drop(shard);
                    spare = Some(task.clone());
                }
                Step::Taken => {
                    *entry = None;
                    if !newcomer {
                        state.pins -= 1;
                        counters.waiting -= 1;
                    }
                    let grant = self.grant(&mut shard, found, claim);
                    self.finish(shard, index, found, &mut wakes);
                    break Some(Ok(grant));
                }
                Step::Refused => {
                    if newcomer {
                        *entry = Some(found);
                        state.pin();
                        counters.queued(waiters, claim.has_waited);
                    }
                    self.finish(shard, index, found, &mut wakes);
                    break None;
                }
            }
        };
        if let Some(spare) = spare {
            wakes.discard(spare);
        }
        // No guard comes of a step that panics.
        wakes.finish_or(|| {
            if let Some(Ok(grant)) = &outcome {
                self.release(index, grant.entry, claim.permits, claim.now);
            }
        });
        outcome
    }

    /// Books a grant whose permits were taken just now.
    #[inline(always)]
    fn grant(&self, shard: &mut Locked<'_, K>, entry: EntryPtr<K>, claim: &Claim) -> Grant<K> {
        let number = shard.next_fence();
        let (state, counters) = shard.open(entry);
        state.fence = number;
        // No permits would not keep the entry in use.
        if claim.permits == 0 {
            state.pin();
        }
        if self.options.tracks() {
            if let Some(waited) = claim.waited() {
                counters.waited_for(waited);
            }
            let caller = self.options.track_callers.then_some(claim.caller);
            let holder = Holder { since: claim.now, caller };
            match &mut state.holder {
                Some(known) => **known = holder,
                none => *none = Some(Box::new(holder)),
            }
        }
        let fence = Fence::new(number).expect("numbers are counted up from at least 1");
        Grant { entry, fence }
    }
}

// A panic of a key, a hasher, a waker or an observer leaves the table consistent.
impl<K: UnwindSafe, S: UnwindSafe> UnwindSafe for Table<K, S> {}
impl<K: RefUnwindSafe, S: RefUnwindSafe> RefUnwindSafe for Table<K, S> {}

impl<K, S> fmt::Debug for Table<K, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let keys: usize = self.shards.iter().map(|shard| shard.lock().len()).sum();
        f.debug_struct("Table").field("keys", &keys).field("shards", &self.shards.len()).finish()
    }
}
