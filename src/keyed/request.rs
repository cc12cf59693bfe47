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
use crate::error::Busy;
use crate::key::IntoKey;
use crate::wait::{Acquire, End, Node, Request};

type Key<H> = <<H as Deref>::Target as AsTable>::Key;

/// A request for `claim.permits` of one key.
pub(super) struct OneKey<H: Deref<Target: AsTable>, Q> {
    /// Gone with the guard.
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
    pub(super) fn acquire(handle: H, key: Q, claim: Claim) -> Acquire<Self> {
        Acquire::new(Self::new(handle, key, claim))
    }

    #[inline]
    pub(super) fn new(handle: H, key: Q, claim: Claim) -> Self {
        Self { handle: Some(handle), wanted: Wanted::new(key), entry: None, claim }
    }

    /// The attempt of a `try_` call.
    #[inline]
    pub(super) fn attempt(handle: H, key: Q, claim: Claim) -> Result<KeyedHold<H>, Busy> {
        let table = handle.table();
        let claim = Claim { now: table.options().now(), ..claim };
        let (mut wanted, mut busy) = (Wanted::new(key), Busy::new(0, None));
        let grant = table.take(&mut wanted, &claim, Manner::Trying(&mut busy));
        let index = table.spot(&mut wanted).index;
        match grant {
            Some(grant) => {
                let hold = KeyedHold::new(handle, index, grant, &claim);
                // If the caller's key panics when it is dropped, the guard must be there to be dropped, too.
                drop(wanted);
                Ok(hold)
            }
            None => {
                events::rejected(table.options(), wanted, busy);
                Err(busy)
            }
        }
    }
}

impl<H, Q> OneKey<H, Q>
where
    H: Deref<Target: AsTable<Key: Eq + Hash, Hasher: BuildHasher>>,
    Q: IntoKey<Key<H>>,
{
    /// A step of a claim that may find no room in the line.
    pub(super) fn advance(
        &mut self,
        node: Pin<&mut Node>,
        task: &Waker,
    ) -> Option<Result<Grant<Key<H>>, Busy>> {
        let Self { handle, wanted, claim, entry } = self;
        let table = handle.as_ref().expect("an Acquire is not polled again after it was ready").table();
        claim.now = table.options().now();
        let outcome = table.step(wanted, entry, node, claim, task);
        if outcome.is_none() {
            claim.queued_at = claim.queued_at.or(claim.now);
        }
        outcome
    }

    /// Comes to its end without the key.
    pub(super) fn refused(&mut self, busy: Busy) {
        let handle = self.handle.take().expect("the key was refused through this handle");
        events::rejected(handle.table().options(), self.wanted.take(), busy);
    }
}

impl<H, Q> Request for OneKey<H, Q>
where
    H: Deref<Target: AsTable<Key: Eq + Hash, Hasher: BuildHasher>>,
    Q: IntoKey<Key<H>>,
{
    type Guard = KeyedHold<H>;
    type Grant = Grant<Key<H>>;

    #[inline(always)]
    fn take(&mut self) -> Option<Grant<Key<H>>> {
        let Self { handle, wanted, claim, .. } = self;
        let table = handle.as_ref().expect("an Acquire is not polled again after it was ready").table();
        claim.now = table.options().now();
        table.take(wanted, claim, Manner::Polite)
    }

    fn step(&mut self, node: Pin<&mut Node>, task: &Waker) -> Option<Grant<Key<H>>> {
        let granted = self.advance(node, task)?;
        Some(granted.expect("a line without a bound has room"))
    }

    #[inline(always)]
    fn guard(&mut self, grant: Grant<Key<H>>) -> KeyedHold<H> {
        let handle = self.handle.take().expect("the key was granted through this handle");
        let index = handle.table().spot(&mut self.wanted).index;
        let hold = KeyedHold::new(handle, index, grant, &self.claim);
        self.wanted.forget_key(); // As in `attempt`.
        hold
    }

    fn leave(&mut self, node: Pin<&mut Node>, end: End) {
        if let (Some(handle), Some(entry)) = (&self.handle, self.entry) {
            let table = handle.table();
            let index = table.spot(&mut self.wanted).index;
            table.leave(index, entry, node, Some(end));
        }
    }
}

impl<H: Deref<Target: AsTable>, Q> fmt::Debug for OneKey<H, Q> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OneKey").field("permits", &self.claim.permits).finish_non_exhaustive()
    }
}
