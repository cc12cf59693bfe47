//! What an [`Acquire`] of several keys does.

use std::any::Any;
use std::fmt;
use std::hash::{BuildHasher, Hash};
use std::iter;
use std::mem::{self, ManuallyDrop};
use std::ops::Deref;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::task::Waker;

use smallvec::SmallVec;

use super::INLINE;
use super::hold::KeyedManyHold;
use super::parts::{Key, Leaving, Part, Taking};
use crate::error::{Busy, TimedOut};
use crate::key::IntoKey;
use crate::keyed::events;
use crate::keyed::guard::KeyedHold;
use crate::keyed::long_wait::LongWait;
use crate::keyed::sought::Terms;
use crate::keyed::table::AsTable;
use crate::wait::{Acquire, Acquisition, Attempt, End, Node, Nodes};

/// An acquisition of several keys.
pub struct ManyKeys<H: Deref<Target: AsTable>> {
    handle: H,
    terms: Terms,
    parts: SmallVec<[Part<H>; INLINE]>,
    /// The key that was refused last. The next attempt begins with it.
    at: usize,
    /// Its places in the lines of its keys, once it had to wait.
    nodes: Option<Nodes>,
    long_wait: LongWait,
    is_over: bool,
}

impl<H> ManyKeys<H>
where
    H: Deref<Target: AsTable<Key: Eq + Hash + Ord, Hasher: BuildHasher>> + Clone,
    Key<H>: IntoKey<Key<H>>,
{
    #[inline]
    pub(in crate::keyed) fn new(
        handle: H,
        keys: impl IntoIterator<Item = impl IntoKey<Key<H>>>,
        terms: Terms,
    ) -> Self {
        let mut keys: SmallVec<[Key<H>; INLINE]> = keys.into_iter().map(IntoKey::into_key).collect();
        // In one order for all requests, so that they do not wait for each other in a circle.
        keys.sort_unstable();
        keys.dedup();
        // Filled in place: a copy would cost as much as locking a key.
        let mut this = Self {
            handle,
            terms,
            parts: SmallVec::new(),
            at: 0,
            nodes: None,
            long_wait: LongWait::new(),
            is_over: false,
        };
        this.parts.reserve_exact(keys.len());
        for key in keys {
            this.parts.push(Part::new(this.handle.table().sought(key)));
        }
        this
    }

    #[inline]
    pub(in crate::keyed) fn acquire(self) -> Acquire<Self> {
        Acquire::new(self)
    }

    /// Leaves the lines after a waker has panicked, perhaps twice, and passes the first panic on.
    #[cold]
    fn leave_after(&mut self, panic: Box<dyn Any + Send>, second: Option<Box<dyn Any + Send>>) -> ! {
        // Dropping it could panic once more.
        let _ = ManuallyDrop::new(second);
        let left = catch_unwind(AssertUnwindSafe(|| self.leave_lines(End::Cancelled)));
        let _ = ManuallyDrop::new(left);
        resume_unwind(panic)
    }

    fn leave_lines(&mut self, end: End) {
        let Self { handle, parts, nodes: Some(nodes), at, long_wait, .. } = self else { return };
        let (parts, at) = (parts.iter_mut().enumerate(), *at);
        long_wait.give_up(end, || Leaving { table: handle.table(), parts, nodes, at, end }.run());
    }
}

/// Returns the order of an attempt: the key that was refused last, then the others. The flag marks the last one.
fn order(first: usize, count: usize) -> impl Iterator<Item = (usize, bool)> {
    let others = (0..count).filter(move |at| *at != first);
    iter::once(first).chain(others).zip((0..count).rev().map(|left| left == 0))
}

impl<H> Acquisition for ManyKeys<H>
where
    H: Deref<Target: AsTable<Key: Eq + Hash + Ord, Hasher: BuildHasher>> + Clone,
    Key<H>: IntoKey<Key<H>>,
{
    type Guard = KeyedManyHold<H>;
    type Timed = Result<KeyedManyHold<H>, TimedOut>;
    /// Each part has its own.
    type Grant = ();

    #[inline]
    fn take(&mut self) -> Option<()> {
        assert!(!self.is_over, "an Acquire is not polled again after it was ready or panicked");
        let Self { handle, terms, parts, nodes, at, .. } = self;
        if nodes.is_some() {
            // It is not a newcomer any more.
            return None;
        }
        let table = handle.table();
        terms.now = table.options().now();
        let mut taking = Taking::new(table, terms.permits, parts);
        let taken = taking.take_each(|sought| table.take(sought, terms).ok_or(()));
        let Err((refused, ())) = taken else {
            taking.keep();
            return Some(());
        };
        *at = refused;
        if refused > 0 {
            // It waits for a key and has others: they get a place in their lines before the refused one does.
            let nodes = nodes.insert(Nodes::new(taking.parts.len()));
            // On a thread the acquisition is not pinned yet, so it does not leave the lines when it is dropped.
            let aside = catch_unwind(AssertUnwindSafe(|| taking.stand_aside(nodes, refused)));
            if let Err(panic) = aside {
                let rest = catch_unwind(AssertUnwindSafe(|| drop(taking)));
                self.leave_after(panic, rest.err());
            }
        }
        taking.keep();
        None
    }

    fn step(&mut self, node: Pin<&mut Node>, task: &Waker) -> Option<()> {
        let Self { handle, terms, parts, nodes, at: first, long_wait, .. } = self;
        let (table, count) = (handle.table(), parts.len());
        let nodes = nodes.get_or_insert_with(|| Nodes::new(count));
        terms.now = table.options().now();
        let mut taking = Taking::new(table, terms.permits, parts);
        for (at, is_last) in order(*first, count) {
            if node.is_thread() {
                nodes.get(at).be_thread();
            }
            // The wait is reported once, with the key that ends it.
            let queued_at = terms.queued_at.filter(|_| is_last);
            if taking.step(at, nodes.get(at), &Terms { queued_at, ..*terms }, task) {
                continue;
            }
            terms.has_waited = true;
            terms.queued_at = terms.queued_at.or(terms.now);
            // Refused again at the same key, with nothing taken before it: its places are as they should be.
            let is_news = *first != at || taking.parts.iter().any(|part| part.grant.is_some());
            *first = at;
            if is_news {
                taking.stand_aside(nodes, at);
            }
            taking.keep();
            drop(taking);
            if let Some(entry) = parts[at].place
                && (is_news || !long_wait.has_begun())
            {
                long_wait.waits_at(table, entry);
            }
            return None;
        }
        taking.keep();
        Some(())
    }

    #[inline]
    fn guard(&mut self, (): ()) -> KeyedManyHold<H> {
        // If an observer or the drop of a key panics, this request has ended without a guard.
        self.is_over = true;
        let Self { handle, terms, parts, long_wait, .. } = self;
        let mut waited = long_wait.over();
        let at_once = Terms { queued_at: None, ..*terms };
        let mut held = KeyedManyHold { holds: SmallVec::new() };
        held.holds.reserve_exact(parts.len());
        let mut rest = Taking::new(handle.table(), terms.permits, parts);
        while let Some(Part { sought, grant, .. }) = rest.parts.split_off_first_mut() {
            let grant = grant.take().expect("each key was granted");
            // The wait is reported with the last key.
            let (terms, waited) = if rest.parts.is_empty() {
                (&*terms, mem::take(&mut waited))
            } else {
                (&at_once, Default::default())
            };
            held.holds.push(KeyedHold::new(handle.clone(), grant, terms, waited));
            // If the key panics when it is dropped, the guard must exist to be dropped, too.
            sought.forget();
        }
        held
    }

    fn in_time(guard: Option<KeyedManyHold<H>>) -> Self::Timed {
        guard.ok_or(TimedOut::NEW)
    }

    fn is_waiting(&self, _: &Node) -> bool {
        self.nodes.is_some()
    }

    fn leave(&mut self, _: Pin<&mut Node>, end: End) {
        self.leave_lines(end);
    }
}

impl<H> Attempt for ManyKeys<H>
where
    H: Deref<Target: AsTable<Key: Eq + Hash + Ord, Hasher: BuildHasher>> + Clone,
    Key<H>: IntoKey<Key<H>>,
{
    fn attempt(mut self) -> Result<KeyedManyHold<H>, Busy> {
        let Self { handle, terms, parts, .. } = &mut self;
        let table = handle.table();
        terms.now = table.options().now();
        let mut taking = Taking::new(table, terms.permits, parts);
        let taken = taking.take_each(|sought| table.try_take(sought, terms));
        let Err((refused, busy)) = taken else {
            taking.keep();
            drop(taking);
            return Ok(self.guard(()));
        };
        taking.put_back();
        drop(taking);
        events::rejected(table.options(), &mut parts[refused].sought, busy);
        Err(busy)
    }
}

impl<H: Deref<Target: AsTable>> fmt::Debug for ManyKeys<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ManyKeys").field("keys", &self.parts.len()).finish_non_exhaustive()
    }
}
