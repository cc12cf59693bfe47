//! What an [`Acquire`](crate::Acquire) of one key does.

use std::fmt;
use std::hash::BuildHasher;
use std::ops::Deref;
use std::pin::Pin;
use std::task::Waker;

use super::entry::EntryPtr;
use super::events;
use super::guard::KeyedHold;
use super::key::IntoKey;
use super::table::{AsTable, Claim, Grant, Manner, Wanted};
use crate::error::Busy;
use crate::wait::{Acquire, End, Node, Request, Step, Steps};

type Key<H> = <<H as Deref>::Target as AsTable>::Key;

/// A request for `claim.permits` of one key.
pub(super) struct OneKey<H: Deref<Target: AsTable>, Q> {
    handle: Option<H>,
    stage: Stage<Key<H>, Q>,
    claim: Claim,
}

enum Stage<K, Q> {
    /// Not yet hashed: nothing happens before the first poll.
    New(Q),
    Wanted(Wanted<K, Q>, Option<EntryPtr<K>>),
    Granted(Grant<K>),
    Over,
}

impl<H, Q> OneKey<H, Q>
where
    H: Deref<Target: AsTable<Key: Eq, Hasher: BuildHasher>>,
    Q: IntoKey<Key<H>>,
{
    #[inline]
    pub(super) fn acquire(handle: H, key: Q, claim: Claim) -> Acquire<Self> {
        Acquire::new(Self::new(handle, key, claim))
    }

    #[inline]
    pub(super) fn new(handle: H, key: Q, claim: Claim) -> Self {
        Self { handle: Some(handle), stage: Stage::New(key), claim }
    }

    /// The attempt of a `try_` call.
    #[inline]
    pub(super) fn attempt(handle: H, key: Q, claim: Claim) -> Result<KeyedHold<H>, Busy> {
        let table = handle.table();
        let mut wanted = table.wanted(key);
        match table.take(&mut wanted, claim, Manner::Barging) {
            Ok(grant) => Ok(KeyedHold::new(handle, grant)),
            Err(busy) => {
                events::rejected(table.options(), wanted, busy);
                Err(busy)
            }
        }
    }
}

impl<H: Deref<Target: AsTable>, Q> OneKey<H, Q> {
    /// Books a grant, then drops the caller's key, whose drop may panic.
    #[inline]
    fn granted(&mut self, grant: Grant<Key<H>>) {
        drop(std::mem::replace(&mut self.stage, Stage::Granted(grant)));
    }
}

/// A grant that no guard was made of, because user code panicked in between, goes back.
impl<H: Deref<Target: AsTable>, Q> Drop for OneKey<H, Q> {
    #[inline]
    fn drop(&mut self) {
        if let (Some(handle), Stage::Granted(grant)) = (&self.handle, &self.stage) {
            handle.table().release(grant);
        }
    }
}

impl<H, Q> Request for OneKey<H, Q>
where
    H: Deref<Target: AsTable<Key: Eq, Hasher: BuildHasher>>,
    Q: IntoKey<Key<H>>,
{
    type Guard = KeyedHold<H>;

    #[inline]
    fn guard(&mut self) -> KeyedHold<H> {
        match (self.handle.take(), std::mem::replace(&mut self.stage, Stage::Over)) {
            (Some(handle), Stage::Granted(grant)) => KeyedHold::new(handle, grant),
            _ => unreachable!("the key was granted just now"),
        }
    }
}

impl<H, Q> Steps for OneKey<H, Q>
where
    H: Deref<Target: AsTable<Key: Eq, Hasher: BuildHasher>>,
    Q: IntoKey<Key<H>>,
{
    #[inline]
    fn take(&mut self) -> bool {
        let table =
            self.handle.as_deref().expect("an Acquire is not polled again after it was ready").table();
        if let Stage::New(_) = self.stage
            && let Stage::New(key) = std::mem::replace(&mut self.stage, Stage::Over)
        {
            self.stage = Stage::Wanted(table.wanted(key), None);
        }
        let Stage::Wanted(wanted, _) = &mut self.stage else { return false };
        match table.take(wanted, self.claim, Manner::Polite) {
            Ok(grant) => {
                self.granted(grant);
                true
            }
            Err(_) => false,
        }
    }

    fn step(&mut self, node: Pin<&mut Node>, task: &Waker) -> Step {
        let table =
            self.handle.as_deref().expect("an Acquire is not polled again after it was ready").table();
        let Stage::Wanted(wanted, entry) = &mut self.stage else {
            unreachable!("a step comes after an attempt that was refused")
        };
        if self.claim.queued_at.is_none() {
            self.claim.queued_at = table.options().now();
        }
        match table.step(wanted, entry, node, self.claim, task) {
            Ok(grant) => {
                self.granted(grant);
                Step::Taken
            }
            Err(step) => step,
        }
    }

    fn leave(&mut self, node: Pin<&mut Node>, end: End) {
        if let (Some(handle), Stage::Wanted(wanted, Some(entry))) = (&self.handle, &self.stage) {
            let table = handle.table();
            table.leave(table.index(wanted), *entry, node, self.claim.permits, end);
        }
    }
}

impl<H: Deref<Target: AsTable>, Q> fmt::Debug for OneKey<H, Q> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OneKey").field("permits", &self.claim.permits).finish_non_exhaustive()
    }
}
