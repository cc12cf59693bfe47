//! How a request takes permits of a key, or enlists for them.

use std::hash::{BuildHasher, Hash};
use std::pin::Pin;
use std::task::Waker;

use super::entry::{EntryPtr, Holder};
use super::shard::Locked;
use super::sought::{Sought, Terms};
use super::table::{Grant, Table};
use crate::error::Busy;
use crate::fence::Fence;
use crate::key::IntoKey;
use crate::wait::{Node, Refusal, Step, Wakes};

/// The outcome of a step of a request that is ready to wait.
pub(super) enum Stepped<K> {
    Granted(Grant<K>),
    /// It is in the key's line, and will be notified.
    Enlisted,
    /// The line was full.
    Full(Busy),
}

/// The outcome of an attempt that does not enlist. After a refusal the shard is still locked.
enum Tried<'a, K> {
    Granted(Grant<K>),
    /// The permits are held, or reserved for waiters.
    InUse(Locked<'a, K>, EntryPtr<K>, Refusal),
    /// The key is not in use, but has fewer permits than this.
    TooFew(Locked<'a, K>),
}

impl<K: Eq + Hash, S: BuildHasher> Table<K, S> {
    /// Makes the attempt of a newcomer that is ready to wait. It does not enlist.
    #[inline(always)]
    pub(super) fn take<Q: IntoKey<K>>(&self, sought: &mut Sought<K, Q>, terms: &Terms) -> Option<Grant<K>> {
        match self.attempt(sought, terms) {
            Tried::Granted(grant) => Some(grant),
            Tried::InUse(..) | Tried::TooFew(_) => None,
        }
    }

    /// Makes the only attempt of a `try_` call.
    #[inline(always)]
    pub(super) fn try_take<Q: IntoKey<K>>(
        &self,
        sought: &mut Sought<K, Q>,
        terms: &Terms,
    ) -> Result<Grant<K>, Busy> {
        match self.attempt(sought, terms) {
            Tried::Granted(grant) => Ok(grant),
            Tried::InUse(shard, entry, Refusal::Reserved) => self.take_reserved(shard, entry, terms),
            Tried::InUse(mut shard, entry, Refusal::Short) => {
                let (entry, counters) = shard.open(entry);
                counters.busy += 1;
                Err(entry.busy())
            }
            Tried::TooFew(mut shard) => {
                shard.counters().busy += 1;
                Err(Busy::new(0, None))
            }
        }
    }

    /// Takes what the word alone allows. (Always inlined, as what it uses: to pass keys and grants through memory would be
    /// a good part of the time of a free key.)
    #[inline(always)]
    fn attempt<Q: IntoKey<K>>(&self, sought: &mut Sought<K, Q>, terms: &Terms) -> Tried<'_, K> {
        loop {
            let mut shard = self.lock_for(sought);
            if let Some(entry) = shard.find(sought.hash(), |key| sought.is_key(key)) {
                let word = &shard.open(entry).0.word;
                match word.get().take(terms.permits) {
                    Ok(next) => word.set(next),
                    Err(refusal) => return Tried::InUse(shard, entry, refusal),
                }
                return Tried::Granted(self.grant(&mut shard, entry, terms));
            }
            let Ok(word) = self.full().take(terms.permits) else { return Tried::TooFew(shard) };
            if let Some(key) = sought.take_owned() {
                let entry = shard.insert(sought.hash(), key, word);
                return Tried::Granted(self.grant(&mut shard, entry, terms));
            }
            // User code makes the key, outside the lock. Meanwhile another caller may have stored it.
            drop(shard);
            sought.make_owned();
        }
    }

    /// Takes permits that the word calls reserved. They may not be, as the line's lock will show.
    #[cold]
    fn take_reserved<'a>(
        &'a self,
        mut shard: Locked<'a, K>,
        entry: EntryPtr<K>,
        terms: &Terms,
    ) -> Result<Grant<K>, Busy> {
        let mut wakes = Wakes::default();
        let outcome = self.take_in_line(&mut shard, entry, terms, &mut wakes);
        self.finish(shard, entry, &mut wakes);
        wakes.finish_or(|| self.undo(outcome.as_ref().ok(), terms));
        outcome
    }

    /// Makes an attempt under the line's lock, without enlisting. A refusal is counted.
    #[cold]
    fn take_in_line(
        &self,
        shard: &mut Locked<'_, K>,
        entry: EntryPtr<K>,
        terms: &Terms,
        wakes: &mut Wakes,
    ) -> Result<Grant<K>, Busy> {
        let (state, counters) = shard.open(entry);
        let is_taken = state.with_line(self.total(), wakes, |line, permits, wakes| {
            line.try_take(permits, terms.permits, wakes)
        });
        if is_taken {
            return Ok(self.grant(shard, entry, terms));
        }
        counters.busy += 1;
        Err(state.busy())
    }

    /// Makes one attempt for the request that owns `node`, and enlists it if it is refused. `place` is the entry at which it
    /// is enlisted. A newcomer does not enlist behind `max_waiters` others.
    #[cold]
    pub(super) fn step<Q: IntoKey<K>>(
        &self,
        sought: &mut Sought<K, Q>,
        place: &mut Option<EntryPtr<K>>,
        mut node: Pin<&mut Node>,
        terms: &Terms,
        task: &Waker,
        max_waiters: usize,
    ) -> Stepped<K> {
        let is_newcomer = place.is_none();
        let mut wakes = Wakes::default();
        // Wakers are cloned, woken and dropped outside the lock: they are user code. A waiter that is enlisted already
        // mostly needs no new one.
        let mut spare = is_newcomer.then(|| task.clone());
        let outcome = loop {
            let (mut shard, entry) = self.entry_for(sought, *place);
            let (state, _) = shard.open(entry);
            // Under the lock that also enlists, so that there are never more waiters than that.
            let outcome = if is_newcomer && state.has_waiters(max_waiters) {
                self.take_in_line(&mut shard, entry, terms, &mut wakes)
                    .map_or_else(Stepped::Full, Stepped::Granted)
            } else {
                let (step, waiters) = state.with_line(self.total(), &mut wakes, |line, permits, wakes| {
                    let step = line.step(permits, node.as_mut(), terms.permits, task, &mut spare, wakes);
                    (step, line.len())
                });
                match step {
                    Step::Taken => Stepped::Granted(self.served(&mut shard, entry, place, terms)),
                    Step::Refused => {
                        Self::enlisted(&mut shard, entry, place, waiters, terms);
                        Stepped::Enlisted
                    }
                    Step::NeedsWaker => {
                        drop(shard);
                        spare = Some(task.clone());
                        continue;
                    }
                }
            };
            // Here, too, the entry may be idle: a key was stored for a request that is refused.
            self.finish(shard, entry, &mut wakes);
            break outcome;
        };
        if let Some(spare) = spare {
            wakes.discard(spare);
        }
        wakes.finish_or(|| {
            if let Stepped::Granted(grant) = &outcome {
                self.undo(Some(grant), terms);
            }
        });
        outcome
    }

    /// Locks the shard of a request's key, and returns the entry: the one at which it is enlisted, or that of its key. A
    /// key that is not in use gets a free one.
    fn entry_for<Q: IntoKey<K>>(
        &self,
        sought: &mut Sought<K, Q>,
        place: Option<EntryPtr<K>>,
    ) -> (Locked<'_, K>, EntryPtr<K>) {
        loop {
            let mut shard = self.lock_for(sought);
            // The key of an enlisted request may be gone into its entry. So it is not looked for again.
            let entry = place.or_else(|| shard.find(sought.hash(), |key| sought.is_key(key)));
            if let Some(entry) = entry {
                return (shard, entry);
            }
            if let Some(key) = sought.take_owned() {
                let entry = shard.insert(sought.hash(), key, self.full());
                return (shard, entry);
            }
            // User code makes the key, as in `attempt`.
            drop(shard);
            sought.make_owned();
        }
    }

    /// Ends the wait of a request whose permits the line has taken just now.
    fn served(
        &self,
        shard: &mut Locked<'_, K>,
        entry: EntryPtr<K>,
        place: &mut Option<EntryPtr<K>>,
        terms: &Terms,
    ) -> Grant<K> {
        if place.take().is_some() {
            // From now on its permits keep the entry.
            let (state, counters) = shard.open(entry);
            state.unpin();
            counters.waiting -= 1;
        }
        self.grant(shard, entry, terms)
    }

    /// Notes that a request is in the line, which now has this number of waiters.
    fn enlisted(
        shard: &mut Locked<'_, K>,
        entry: EntryPtr<K>,
        place: &mut Option<EntryPtr<K>>,
        waiters: usize,
        terms: &Terms,
    ) {
        if place.is_none() {
            *place = Some(entry);
            let (state, counters) = shard.open(entry);
            state.pin();
            counters.queued(waiters, terms.has_waited);
        }
    }

    /// Numbers and notes a grant whose permits were taken just now.
    #[inline(always)]
    fn grant(&self, shard: &mut Locked<'_, K>, entry: EntryPtr<K>, terms: &Terms) -> Grant<K> {
        let number = shard.next_fence();
        let (state, counters) = shard.open(entry);
        state.set_fence(number);
        // No permits would not keep the entry in use.
        if terms.permits == 0 {
            state.pin();
        }
        let options = self.options();
        if options.tracks() {
            if let Some(waited) = terms.waited() {
                counters.waited_for(waited);
            }
            let caller = options.track_callers.then_some(terms.caller);
            state.set_holder(Holder { since: terms.now, caller });
        }
        let fence = Fence::new(number).expect("numbers are counted up from at least 1");
        Grant { entry, fence }
    }

    /// Gives a grant back before a waker's panic goes on: no guard comes of a call that panics.
    fn undo(&self, grant: Option<&Grant<K>>, terms: &Terms) {
        if let Some(grant) = grant {
            self.release(grant.entry, terms.permits, terms.now);
        }
    }
}
