//! The keys of a request: what an attempt does with them, and how they are left.
//!
//! Everything here may wake waiters, and wakers may panic. So both moves are values whose drop does the rest.

use std::hash::{BuildHasher, Hash};
use std::iter::Enumerate;
use std::ops::Deref;
use std::pin::Pin;
use std::slice::IterMut;
use std::task::Waker;

use crate::key::IntoKey;
use crate::keyed::entry::EntryPtr;
use crate::keyed::sought::{Sought, Terms};
use crate::keyed::table::{AsTable, Grant, Table};
use crate::keyed::take::Stepped;
use crate::wait::{End, Keeps, Node, Nodes};

pub(super) type Key<H> = <<H as Deref>::Target as AsTable>::Key;
pub(super) type TableOf<H> = Table<Key<H>, <<H as Deref>::Target as AsTable>::Hasher>;

/// One of the keys.
pub(super) struct Part<H: Deref<Target: AsTable>> {
    pub(super) sought: Sought<Key<H>, Key<H>>,
    /// The entry at which it is enlisted.
    pub(super) place: Option<EntryPtr<Key<H>>>,
    /// Set between the attempt that took the key and its end.
    pub(super) grant: Option<Grant<Key<H>>>,
    /// It was enlisted in the key's line when it took the key.
    had_place: bool,
}

impl<H: Deref<Target: AsTable>> Part<H> {
    #[inline]
    pub(super) fn new(sought: Sought<Key<H>, Key<H>>) -> Self {
        Self { sought, place: None, grant: None, had_place: false }
    }
}

/// The parts during an attempt. If it panics, the keys that it took are given back, even if a waker panics, too.
pub(super) struct Taking<'a, H: Deref<Target: AsTable>> {
    table: &'a TableOf<H>,
    permits: usize,
    pub(super) parts: &'a mut [Part<H>],
}

impl<'a, H: Deref<Target: AsTable>> Taking<'a, H> {
    #[inline]
    pub(super) fn new(table: &'a TableOf<H>, permits: usize, parts: &'a mut [Part<H>]) -> Self {
        Self { table, permits, parts }
    }

    /// Takes the keys one after the other. Stops at the first that is refused, and returns its number.
    #[inline(always)]
    pub(super) fn take_each<E>(
        &mut self,
        mut take: impl FnMut(&mut Sought<Key<H>, Key<H>>) -> Result<Grant<Key<H>>, E>,
    ) -> Result<(), (usize, E)> {
        for (at, part) in self.parts.iter_mut().enumerate() {
            match take(&mut part.sought) {
                Ok(grant) => part.grant = Some(grant),
                Err(refusal) => return Err((at, refusal)),
            }
        }
        Ok(())
    }

    /// Takes one key, or enlists for it. Returns `true` if it was taken.
    pub(super) fn step(&mut self, at: usize, node: Pin<&mut Node>, terms: &Terms, task: &Waker) -> bool
    where
        Key<H>: Eq + Hash + IntoKey<Key<H>>,
        <H::Target as AsTable>::Hasher: BuildHasher,
    {
        let Part { sought, place, grant, had_place } = &mut self.parts[at];
        *had_place = place.is_some();
        *grant = match self.table.step(sought, place, node, terms, task, usize::MAX) {
            Stepped::Granted(grant) => Some(grant),
            Stepped::Enlisted => None,
            Stepped::Full(_) => unreachable!("a queue without a bound has room"),
        };
        grant.is_some()
    }

    /// Gives back the keys that were taken. There was no guard yet, so no event is emitted and no hold is reported.
    #[cold]
    pub(super) fn put_back(&mut self) {
        while let Some(part) = self.parts.split_off_first_mut() {
            if let Some(grant) = part.grant.take() {
                self.table.put_back(grant.entry, self.permits);
            }
        }
    }

    /// Ends the attempt: gives back what was taken, and keeps the places in the lines. The request waits for the key
    /// numbered `refused`.
    #[cold]
    pub(super) fn stand_aside(&mut self, nodes: &mut Nodes, refused: usize) {
        for (at, Part { place, grant, had_place, .. }) in self.parts.iter_mut().enumerate() {
            if let Some(Grant { entry, .. }) = grant.take() {
                *place = Some(entry);
                // Only smaller keys are reserved: see the essay.
                let keeps = Keeps { place: *had_place, reservation: at < refused };
                self.table.stand_aside(entry, nodes.get(at), self.permits, keeps);
            } else if let Some(entry) = place
                && at > refused
            {
                self.table.stand_back(*entry, nodes.get(at));
            }
        }
        self.keep();
    }

    /// Ends the attempt, and leaves the parts as they are.
    #[inline]
    pub(super) fn keep(&mut self) {
        self.parts = &mut [];
    }
}

impl<H: Deref<Target: AsTable>> Drop for Taking<'_, H> {
    #[inline]
    fn drop(&mut self) {
        if !self.parts.is_empty() {
            self.put_back();
        }
    }
}

/// The parts of a request that leaves the lines. If a waker panics, it leaves the other lines all the same.
pub(super) struct Leaving<'a, H: Deref<Target: AsTable>> {
    pub(super) table: &'a TableOf<H>,
    pub(super) parts: Enumerate<IterMut<'a, Part<H>>>,
    pub(super) nodes: &'a mut Nodes,
    /// The key that was waited for. Only there the end of the wait is counted.
    pub(super) at: usize,
    pub(super) end: End,
}

impl<H: Deref<Target: AsTable>> Leaving<'_, H> {
    pub(super) fn run(&mut self) {
        for (at, part) in self.parts.by_ref() {
            if let Some(entry) = part.place.take() {
                let end = (at == self.at).then_some(self.end);
                self.table.leave(entry, self.nodes.get(at), end);
            }
        }
    }
}

impl<H: Deref<Target: AsTable>> Drop for Leaving<'_, H> {
    fn drop(&mut self) {
        self.run();
    }
}
