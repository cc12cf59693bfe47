//! What an [`Acquire`] of one key does.

use std::fmt;
use std::hash::{BuildHasher, Hash};
use std::ops::Deref;
use std::pin::Pin;
use std::task::Waker;

use super::entry::EntryPtr;
use super::events;
use super::guard::KeyedHold;
use super::long_wait::LongWait;
use super::sought::{Sought, Terms};
use super::table::{AsTable, Grant};
use super::take::Stepped;
use crate::error::{Busy, TimedOut};
use crate::key::IntoKey;
use crate::wait::{Acquire, Acquisition, Attempt, End, Node, OneQueue};

type Key<H> = <<H as Deref>::Target as AsTable>::Key;

/// An acquisition of permits of one key.
pub struct OneKey<H: Deref<Target: AsTable>, Q> {
    /// Moves into the guard.
    handle: Option<H>,
    sought: Sought<Key<H>, Q>,
    /// The entry at which it is enlisted.
    place: Option<EntryPtr<Key<H>>>,
    terms: Terms,
    long_wait: LongWait,
}

/// Returns the handle of a request that is not over.
#[inline(always)]
fn live<H>(handle: &Option<H>) -> &H {
    handle.as_ref().expect("an Acquire is not polled again after it was ready")
}

impl<H, Q> OneKey<H, Q>
where
    H: Deref<Target: AsTable<Key: Eq + Hash, Hasher: BuildHasher>>,
    Q: IntoKey<Key<H>>,
{
    #[inline]
    pub(super) fn new(handle: H, key: Q, terms: Terms) -> Self {
        let sought = handle.table().sought(key);
        Self { handle: Some(handle), sought, place: None, terms, long_wait: LongWait::new() }
    }

    #[inline]
    pub(super) fn acquire(self) -> Acquire<Self> {
        Acquire::new(self)
    }

    fn step(&mut self, node: Pin<&mut Node>, task: &Waker, max_waiters: usize) -> Stepped<Key<H>> {
        let Self { handle, sought, place, terms, long_wait } = self;
        let table = live(handle).table();
        terms.now = table.options().now();
        let stepped = table.step(sought, place, node, terms, task, max_waiters);
        if let Stepped::Enlisted = stepped {
            terms.queued_at = terms.queued_at.or(terms.now);
            if let Some(entry) = *place
                && !long_wait.has_begun()
            {
                long_wait.waits_at(table, entry);
            }
        }
        stepped
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
        let Self { handle, sought, terms, .. } = self;
        let table = live(handle).table();
        terms.now = table.options().now();
        table.take(sought, terms)
    }

    fn step(&mut self, node: Pin<&mut Node>, task: &Waker) -> Option<Grant<Key<H>>> {
        match self.step(node, task, usize::MAX) {
            Stepped::Granted(grant) => Some(grant),
            Stepped::Enlisted => None,
            Stepped::Full(_) => unreachable!("a queue without a bound has room"),
        }
    }

    #[inline(always)]
    fn guard(&mut self, grant: Grant<Key<H>>) -> KeyedHold<H> {
        let handle = self.handle.take().expect("the key was granted through this handle");
        let hold = KeyedHold::new(handle, grant, &self.terms, self.long_wait.over());
        // If the caller's key panics when it is dropped, the guard must exist to be dropped, too.
        self.sought.forget();
        hold
    }

    #[inline]
    fn in_time(guard: Option<KeyedHold<H>>) -> Self::Timed {
        guard.ok_or(TimedOut::NEW)
    }

    fn leave(&mut self, node: Pin<&mut Node>, end: End) {
        let Self { handle: Some(handle), place: Some(entry), long_wait, .. } = self else { return };
        long_wait.give_up(end, || handle.table().leave(*entry, node, Some(end)));
    }
}

impl<H, Q> Attempt for OneKey<H, Q>
where
    H: Deref<Target: AsTable<Key: Eq + Hash, Hasher: BuildHasher>>,
    Q: IntoKey<Key<H>>,
{
    #[inline]
    fn attempt(mut self) -> Result<KeyedHold<H>, Busy> {
        let Self { handle, sought, terms, .. } = &mut self;
        let table = live(handle).table();
        terms.now = table.options().now();
        match table.try_take(sought, terms) {
            Ok(grant) => Ok(self.guard(grant)),
            Err(busy) => {
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
        match self.step(node, task, max_waiters) {
            Stepped::Granted(grant) => Some(Ok(grant)),
            Stepped::Enlisted => None,
            Stepped::Full(busy) => Some(Err(busy)),
        }
    }

    fn refused(&mut self, busy: Busy) {
        let handle = self.handle.take().expect("the key was refused through this handle");
        events::rejected(handle.table().options(), &mut self.sought, busy);
    }
}

impl<H: Deref<Target: AsTable>, Q> fmt::Debug for OneKey<H, Q> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OneKey").field("permits", &self.terms.permits).finish_non_exhaustive()
    }
}
