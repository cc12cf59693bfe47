//! What an [`Acquire`](crate::Acquire) of one key does.

use std::fmt;
use std::hash::{BuildHasher, Hash};
use std::ops::Deref;
use std::pin::Pin;
use std::task::Waker;

use super::entry::EntryPtr;
use super::events;
use super::guard::KeyedHold;
use super::table::{AsTable, Claim, Grant, Manner, Wanted};
use crate::error::{Busy, TimedOut};
use crate::key::IntoKey;
use crate::wait::{Acquire, Acquisition, Attempt, End, Node, OneQueue};

type Key<H> = <<H as Deref>::Target as AsTable>::Key;

/// An acquisition of permits of one key.
pub struct OneKey<H: Deref<Target: AsTable>, Q> {
    /// Moves into the guard.
    handle: Option<H>,
    wanted: Wanted<Key<H>, Q>,
    /// Where it is enlisted.
    entry: Option<EntryPtr<Key<H>>>,
    claim: Claim,
}

impl<H, Q> OneKey<H, Q>
where
    H: Deref<Target: AsTable<Key: Eq + Hash, Hasher: BuildHasher>>,
    Q: IntoKey<Key<H>>,
{
    #[inline]
    pub(super) fn new(handle: H, key: Q, claim: Claim) -> Self {
        Self { handle: Some(handle), wanted: Wanted::new(key), entry: None, claim }
    }

    #[inline]
    pub(super) fn acquire(self) -> Acquire<Self> {
        Acquire::new(self)
    }

    /// Makes a newcomer's attempt.
    #[inline(always)]
    fn take_as(&mut self, manner: Manner<'_>) -> Option<Grant<Key<H>>> {
        let Self { handle, wanted, claim, .. } = self;
        let table = handle.as_ref().expect("an Acquire is not polled again after it was ready").table();
        claim.now = table.options().now();
        table.take(wanted, claim, manner)
    }
}

impl<H, Q> Acquisition for OneKey<H, Q>
where
    H: Deref<Target: AsTable<Key: Eq + Hash, Hasher: BuildHasher>>,
    Q: IntoKey<Key<H>>,
{
    type Guard = KeyedHold<H>;
    type Timed = Result<KeyedHold<H>, TimedOut>;
    type Grant = Grant<Key<H>>;

    #[inline(always)]
    fn take(&mut self) -> Option<Grant<Key<H>>> {
        self.take_as(Manner::Polite)
    }

    fn step(&mut self, node: Pin<&mut Node>, task: &Waker) -> Option<Grant<Key<H>>> {
        let granted = self.step_within(node, task, usize::MAX)?;
        Some(granted.expect("a queue without a bound has room"))
    }

    #[inline(always)]
    fn guard(&mut self, grant: Grant<Key<H>>) -> KeyedHold<H> {
        let handle = self.handle.take().expect("the key was granted through this handle");
        let index = handle.table().spot(&mut self.wanted).index;
        let hold = KeyedHold::new(handle, index, grant, &self.claim);
        // If the caller's key panics when it is dropped, the guard must exist to be dropped, too.
        self.wanted.forget_key();
        hold
    }

    #[inline]
    fn in_time(guard: Option<KeyedHold<H>>) -> Self::Timed {
        guard.ok_or(TimedOut::NEW)
    }

    fn leave(&mut self, node: Pin<&mut Node>, end: End) {
        if let (Some(handle), Some(entry)) = (&self.handle, self.entry) {
            let table = handle.table();
            let index = table.spot(&mut self.wanted).index;
            table.leave(index, entry, node, Some(end));
        }
    }
}

impl<H, Q> Attempt for OneKey<H, Q>
where
    H: Deref<Target: AsTable<Key: Eq + Hash, Hasher: BuildHasher>>,
    Q: IntoKey<Key<H>>,
{
    #[inline]
    fn attempt(mut self) -> Result<KeyedHold<H>, Busy> {
        let mut busy = Busy::new(0, None);
        match self.take_as(Manner::Trying(&mut busy)) {
            Some(grant) => Ok(self.guard(grant)),
            None => {
                self.refused(busy);
                Err(busy)
            }
        }
    }
}

impl<H, Q> OneQueue for OneKey<H, Q>
where
    H: Deref<Target: AsTable<Key: Eq + Hash, Hasher: BuildHasher>>,
    Q: IntoKey<Key<H>>,
{
    fn step_within(
        &mut self,
        node: Pin<&mut Node>,
        task: &Waker,
        max_waiters: usize,
    ) -> Option<Result<Grant<Key<H>>, Busy>> {
        let Self { handle, wanted, claim, entry } = self;
        let table = handle.as_ref().expect("an Acquire is not polled again after it was ready").table();
        claim.now = table.options().now();
        let outcome = table.step(wanted, entry, node, claim, task, max_waiters);
        if outcome.is_none() {
            claim.queued_at = claim.queued_at.or(claim.now);
        }
        outcome
    }

    fn refused(&mut self, busy: Busy) {
        let handle = self.handle.take().expect("the key was refused through this handle");
        events::rejected(handle.table().options(), self.wanted.take(), busy);
    }
}

impl<H: Deref<Target: AsTable>, Q> fmt::Debug for OneKey<H, Q> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OneKey").field("permits", &self.claim.permits).finish_non_exhaustive()
    }
}
