//! The table behind [`KeyedLock`](super::KeyedLock) and [`KeyedSemaphore`](super::KeyedSemaphore).
//!
//! **Presence is the lock state**: a key is in the table while somebody holds it or waits for it. Only
//! its shard's lock changes the entry, so there is no count of references that could disagree, and no
//! moment between "nobody uses it" and "it is gone". What waits in an entry is the same line with the
//! same policy as in the other locks; only its word is plain.

use std::fmt;
use std::hash::{BuildHasher, Hasher};
use std::panic::Location;
use std::pin::Pin;
use std::task::Waker;
use std::time::{Duration, Instant};

use super::builder::Options;
use super::entry::{EntryPtr, Holder};
use super::key::IntoKey;
use super::shard::{Locked, Shard};
use crate::error::Busy;
use crate::fence::Fence;
use crate::wait::{End, Node, Step, Wakes, Word};

/// Shards, and what is the same for all of them.
pub struct Table<K, S> {
    shards: Box<[Shard<K>]>,
    hasher: S,
    /// The word of a key that nobody holds.
    full: Word,
    options: Options<K>,
}

/// Whatever has a [`Table`].
pub trait AsTable {
    /// What its keys are.
    type Key;
    #[doc(hidden)]
    type Hasher;

    #[doc(hidden)]
    fn table(&self) -> &Table<Self::Key, Self::Hasher>;
}

/// A key that was asked for: hashed once, and made an owned one once it has to be stored.
pub(super) struct Wanted<K, Q> {
    hash: u64,
    form: Form<K, Q>,
}

enum Form<K, Q> {
    Borrowed(Q),
    Owned(K),
    /// Gone into the table.
    Stored,
}

/// What an acquisition asks of a key.
#[derive(Clone, Copy)]
pub(super) struct Claim {
    pub(super) permits: usize,
    pub(super) caller: &'static Location<'static>,
    /// When the wait began, where the table tracks times and there is one.
    pub(super) queued_at: Option<Instant>,
}

/// A grant. Whoever has it gives it back with [`Table::release`], once.
#[derive(Debug)]
pub(super) struct Grant<K> {
    pub(super) entry: EntryPtr<K>,
    pub(super) shard: u32,
    pub(super) permits: usize,
    pub(super) fence: Fence,
    pub(super) since: Option<Instant>,
    pub(super) waited: Option<Duration>,
}

/// How an attempt treats those who wait.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Manner {
    /// As a `try_` call: it never waits, so it does not stand back.
    Barging,
    /// As a newcomer that is ready to wait.
    Polite,
}

impl Claim {
    #[inline]
    #[track_caller]
    pub(super) fn new(permits: usize) -> Self {
        Self { permits, caller: Location::caller(), queued_at: None }
    }
}

impl<K: Eq, Q: IntoKey<K>> Wanted<K, Q> {
    /// The key itself, if it is not in the table.
    #[cfg(feature = "tracing")]
    pub(super) fn into_key(self) -> Option<K> {
        match self.form {
            Form::Borrowed(key) => Some(key.into_key()),
            Form::Owned(key) => Some(key),
            Form::Stored => None,
        }
    }

    #[inline]
    fn is_key(&self, key: &K) -> bool {
        match &self.form {
            Form::Borrowed(own) => own.is_key(key),
            Form::Owned(own) => own == key,
            Form::Stored => false,
        }
    }

    /// The key to store, or `None` if it must be made first, outside the lock.
    #[inline]
    fn take_owned(&mut self) -> Option<K> {
        match std::mem::replace(&mut self.form, Form::Stored) {
            Form::Owned(key) => Some(key),
            form => {
                self.form = form;
                None
            }
        }
    }

    /// # Panics
    ///
    /// If the key is gone: its conversion panicked before.
    fn make_owned(&mut self) {
        match std::mem::replace(&mut self.form, Form::Stored) {
            Form::Borrowed(key) => self.form = Form::Owned(key.into_key()),
            Form::Owned(_) | Form::Stored => panic!("an Acquire is not polled again after it panicked"),
        }
    }

    /// The part of the hash that entries keep; never zero. The other part chooses the shard.
    #[inline]
    fn short(&self) -> u32 {
        ((self.hash >> 32) as u32).max(1)
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

    pub(super) fn shards(&self) -> &[Shard<K>] {
        &self.shards
    }

    #[inline]
    pub(super) fn shard(&self, index: u32) -> Locked<'_, K> {
        self.shards[index as usize].lock()
    }

    /// Gives a grant back.
    #[inline]
    pub(super) fn release(&self, grant: &Grant<K>) {
        let held = grant.since.map(|since| since.elapsed());
        let mut shard = self.shard(grant.shard);
        let (state, counters) = shard.open(grant.entry);
        if let Some(held) = held {
            counters.held(held);
        }
        let word = state.word.get().give(grant.permits);
        state.word.set(word);
        state.pins -= u32::from(grant.permits == 0);
        if word == self.full && state.pins == 0 && !shard.is_watched() {
            let key = shard.remove(grant.entry);
            // Dropped after the lock is released: it is user code.
            drop(shard);
            drop(key);
        } else if word.is_queued() || word == self.full {
            self.tell(shard, grant);
        }
    }

    #[cold]
    fn tell(&self, mut shard: Locked<'_, K>, grant: &Grant<K>) {
        let mut wakes = Wakes::default();
        let (state, _) = shard.open(grant.entry);
        state.line.tell(&state.word, grant.permits, &mut wakes);
        self.finish(shard, grant.shard, grant.entry, &mut wakes);
        wakes.finish();
    }

    /// The owner of `node`, enlisted with `entry`, gives up.
    #[cold]
    pub(super) fn leave(
        &self,
        index: u32,
        entry: EntryPtr<K>,
        node: Pin<&mut Node>,
        permits: usize,
        end: End,
    ) {
        let mut wakes = Wakes::default();
        let mut shard = self.shard(index);
        let (state, counters) = shard.open(entry);
        state.line.leave(&state.word, node, permits, &mut wakes);
        counters.left(end);
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

    /// Ends a change to `entry`: removes it if it is idle, then releases the lock, then wakes whoever
    /// was told and drops the key. A batch that ran full is continued under a pin.
    fn finish<'a>(&'a self, mut shard: Locked<'a, K>, index: u32, entry: EntryPtr<K>, wakes: &mut Wakes) {
        loop {
            let more = wakes.is_unfinished();
            let (state, _) = shard.open(entry);
            state.pins += u32::from(more);
            let idle = state.word.get() == self.full && state.pins == 0;
            let key = idle.then(|| shard.remove(entry));
            if idle {
                shard.tell_drained(wakes);
            }
            drop(shard);
            let rest = wakes.wake();
            drop(key);
            let Some(rest) = rest else { return };
            shard = self.shard(index);
            let (state, _) = shard.open(entry);
            state.pins -= 1;
            state.line.tell(&state.word, rest, wakes);
        }
    }
}

impl<K: Eq, S: BuildHasher> Table<K, S> {
    #[inline]
    pub(super) fn wanted<Q: IntoKey<K>>(&self, key: Q) -> Wanted<K, Q> {
        let mut hasher = self.hasher.build_hasher();
        key.hash_key(&mut hasher);
        let form = match key.ready() {
            Ok(key) => Form::Owned(key),
            Err(key) => Form::Borrowed(key),
        };
        Wanted { hash: hasher.finish(), form }
    }

    #[inline]
    pub(super) fn index<Q>(&self, wanted: &Wanted<K, Q>) -> u32 {
        // The number of shards is a power of two.
        wanted.hash as u32 & (self.shards.len() as u32 - 1)
    }

    /// Permits of `wanted` that can be taken now.
    pub(super) fn available<Q: IntoKey<K>>(&self, wanted: &Wanted<K, Q>) -> usize {
        let mut shard = self.shard(self.index(wanted));
        let entry = shard.find(wanted.short(), |key| wanted.is_key(key));
        entry.map_or(self.full, |entry| shard.open(entry).0.word.get()).permits()
    }

    /// One attempt that does not enlist.
    #[inline]
    pub(super) fn take<Q: IntoKey<K>>(
        &self,
        wanted: &mut Wanted<K, Q>,
        claim: Claim,
        manner: Manner,
    ) -> Result<Grant<K>, Busy> {
        let now = self.options.now();
        let index = self.index(wanted);
        loop {
            let mut shard = self.shard(index);
            if let Some(entry) = shard.find(wanted.short(), |key| wanted.is_key(key)) {
                let (state, counters) = shard.open(entry);
                let taken = match manner {
                    Manner::Barging => match state.word.get().barge(claim.permits) {
                        Some(next) => {
                            state.word.set(next);
                            true
                        }
                        None => false,
                    },
                    Manner::Polite => state.line.take(&state.word, claim.permits),
                };
                if taken {
                    return Ok(self.grant(&mut shard, entry, index, claim, now));
                }
                counters.busy += u64::from(manner == Manner::Barging);
                return Err(Busy::new(state.line.len(), Fence::new(state.fence)));
            }
            let Some(word) = self.full.barge(claim.permits) else {
                shard.counters().busy += u64::from(manner == Manner::Barging);
                return Err(Busy::new(0, None));
            };
            if let Some(key) = wanted.take_owned() {
                let entry = shard.insert(wanted.short(), key, word);
                return Ok(self.grant(&mut shard, entry, index, claim, now));
            }
            // User code makes the key, outside the lock; then everything is looked at afresh.
            drop(shard);
            wanted.make_owned();
        }
    }

    /// One attempt of the waiter that owns `node`; `entry` is where it is enlisted.
    #[cold]
    pub(super) fn step<Q: IntoKey<K>>(
        &self,
        wanted: &mut Wanted<K, Q>,
        entry: &mut Option<EntryPtr<K>>,
        mut node: Pin<&mut Node>,
        claim: Claim,
        task: &Waker,
    ) -> Result<Grant<K>, Step> {
        let now = self.options.now();
        let index = self.index(wanted);
        let newcomer = entry.is_none();
        let mut wakes = Wakes::default();
        // Wakers are cloned, woken and dropped outside the lock: they are user code.
        let mut spare = newcomer.then(|| task.clone());
        let outcome = loop {
            let mut shard = self.shard(index);
            let found = entry.or_else(|| shard.find(wanted.short(), |key| wanted.is_key(key)));
            let found = found.or_else(|| {
                let key = wanted.take_owned()?;
                Some(shard.insert(wanted.short(), key, self.full))
            });
            let Some(found) = found else {
                drop(shard);
                wanted.make_owned();
                continue;
            };
            let (state, counters) = shard.open(found);
            match state.line.step(&state.word, node.as_mut(), claim.permits, task, &mut spare, &mut wakes) {
                Step::NeedsWaker => {
                    drop(shard);
                    spare = Some(task.clone());
                }
                Step::Taken => {
                    *entry = None;
                    let grant = self.grant(&mut shard, found, index, claim, now);
                    self.finish(shard, index, found, &mut wakes);
                    break Ok(grant);
                }
                waiting => {
                    if newcomer {
                        *entry = Some(found);
                        counters.queued(state.line.len());
                    }
                    self.finish(shard, index, found, &mut wakes);
                    break Err(waiting);
                }
            }
        };
        if let Some(spare) = spare {
            wakes.discard(spare);
        }
        // No guard comes of a step that panics.
        wakes.finish_or(|| {
            if let Ok(grant) = &outcome {
                self.release(grant);
            }
        });
        outcome
    }

    /// Books a grant whose permits were taken just now.
    #[inline]
    fn grant(
        &self,
        shard: &mut Locked<'_, K>,
        entry: EntryPtr<K>,
        index: u32,
        claim: Claim,
        since: Option<Instant>,
    ) -> Grant<K> {
        let number = shard.next_fence();
        let (state, counters) = shard.open(entry);
        state.fence = number;
        // No permits would not keep the entry in use.
        state.pins += u32::from(claim.permits == 0);
        let waited = since.zip(claim.queued_at).map(|(now, queued_at)| now - queued_at);
        if let Some(waited) = waited {
            counters.waited_for(waited);
        }
        if self.options.tracks() {
            let caller = self.options.track_callers.then_some(claim.caller);
            let holder = Holder { since, caller };
            match &mut state.holder {
                Some(known) => **known = holder,
                none => *none = Some(Box::new(holder)),
            }
        }
        let fence = Fence::new(number).expect("numbers are counted up from at least 1");
        Grant { entry, shard: index, permits: claim.permits, fence, since, waited }
    }
}

impl<K, S> fmt::Debug for Table<K, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let keys: usize = self.shards.iter().map(|shard| shard.lock().len()).sum();
        f.debug_struct("Table").field("keys", &keys).field("shards", &self.shards.len()).finish()
    }
}
