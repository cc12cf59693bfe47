//! Several keys as one: all or nothing, and nothing is held while the request waits.
//!
//! The request takes its keys in their order. When one is busy, it queues for that one, gives back those that it
//! took, and *stands aside* in their lines: it keeps its place there, and while it is the eldest the permits are
//! reserved for it. When it is notified it takes the busy key first, and then the others by their places. So
//!
//! - it holds nothing between two polls. One that is never polled again is given up in each line, like every
//!   notified waiter that does not come, but after a longer time;
//! - it grows older in all lines at once. So it has its turn beside any number of requests for single keys that hold
//!   them for less time than its reservations last.
//!
//! # Why two of them do not wait for each other
//!
//! A request that waits for its key *k* is expected in the lines of its smaller keys only, and in no line of a
//! greater one: when it is refused at *k*, it steps back from those. It keeps its ticket there, but no permits are
//! reserved for it. So if it stands in the way of another request, in the line of a key *j*, it waits for a key greater than *j*.
//! Along such a chain the keys grow, so it ends: with a request that holds all its keys, or was notified. A
//! notified one that comes gets all its keys, or is refused by an older one at a smaller key, and steps back from
//! all greater ones. The tickets do not change until it is served, and each line has few older ones, so the
//! eldest of the smallest key goes first, and all are served.
//!
//! # Keys
//!
//! A key that was stored in its entry can't be taken out of it while others use the entry. It stays there, and the
//! request's place in the line keeps the entry in use.

use std::any::Any;
use std::fmt;
use std::hash::{BuildHasher, Hash};
use std::mem::ManuallyDrop;
use std::ops::Deref;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::task::Waker;

use smallvec::SmallVec;

use super::entry::EntryPtr;
use super::events;
use super::guard::KeyedHold;
use super::table::{AsTable, Claim, Grant, Manner, Table, Wanted};
use crate::error::{Busy, TimedOut};
use crate::key::IntoKey;
use crate::wait::{Acquire, Acquisition, Attempt, End, Keeps, Node, Nodes};

type Key<H> = <<H as Deref>::Target as AsTable>::Key;
type TableOf<H> = Table<Key<H>, <<H as Deref>::Target as AsTable>::Hasher>;
type WantedOf<H> = Wanted<Key<H>, Key<H>>;

/// How many keys need no allocation.
const INLINE: usize = 8;

/// Several keys that are held, until dropped. Behind [`KeyedManyGuard`](super::KeyedManyGuard) and
/// its owned form.
#[must_use = "the keys are released at once if their guard is not kept"]
pub struct KeyedManyHold<H: Deref<Target: AsTable>> {
    holds: SmallVec<[KeyedHold<H>; INLINE]>,
}

impl<H: Deref<Target: AsTable>> KeyedManyHold<H> {
    /// Returns the guards of the single keys, in the keys' order.
    pub fn iter(&self) -> impl Iterator<Item = &KeyedHold<H>> {
        self.holds.iter()
    }

    /// Returns how many keys are held. A key that was named twice counts once.
    #[must_use]
    pub fn len(&self) -> usize {
        self.holds.len()
    }

    /// Returns `true` if no key was named.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.holds.is_empty()
    }

    /// Returns the guards one by one, to be released at different times.
    ///
    /// # Examples
    ///
    /// ```
    /// let locks = latchwork::KeyedLock::<u32>::new();
    /// let mut guards = locks.lock_many([1, 2]).wait().into_guards();
    /// drop(guards.remove(0));
    /// assert!(!locks.is_locked(1) && locks.is_locked(2));
    /// ```
    #[must_use = "the keys are released at once if their guards are not kept"]
    pub fn into_guards(self) -> Vec<KeyedHold<H>> {
        self.holds.into_vec()
    }
}

/// An acquisition of several keys.
pub struct ManyKeys<H: Deref<Target: AsTable>> {
    handle: H,
    claim: Claim,
    parts: SmallVec<[Part<H>; INLINE]>,
    /// The key that was refused last. The next attempt begins with it.
    at: usize,
    /// Its places in the lines of its keys, once it had to wait.
    nodes: Option<Nodes>,
    is_over: bool,
}

/// One of the keys.
struct Part<H: Deref<Target: AsTable>> {
    wanted: WantedOf<H>,
    /// Where it is enlisted.
    entry: Option<EntryPtr<Key<H>>>,
    /// Set between the attempt that took the key and its end.
    grant: Option<Grant<Key<H>>>,
    /// It was enlisted in the key's line when it took the key.
    had_place: bool,
}

/// The parts of an attempt. If it panics, the keys that it took are given back, even if a waker panics, too.
struct Taking<'a, H>
where
    H: Deref<Target: AsTable<Key: Eq + Hash, Hasher: BuildHasher>>,
{
    handle: &'a H,
    permits: usize,
    parts: &'a mut [Part<H>],
}

impl<H> Taking<'_, H>
where
    H: Deref<Target: AsTable<Key: Eq + Hash, Hasher: BuildHasher>>,
{
    /// Gives back the keys that were taken. There was no guard yet, so no event is emitted and no hold is reported.
    #[cold]
    fn put_back(&mut self) {
        let table = self.handle.table();
        while let Some(Part { wanted, grant, .. }) = self.parts.split_off_first_mut() {
            if let Some(grant) = grant.take() {
                table.put_back(table.spot(wanted).index, grant.entry, self.permits);
            }
        }
    }

    /// Gives back what was taken, and keeps the places in the lines: the key numbered `refused` is waited for.
    #[cold]
    fn stand_aside(&mut self, nodes: &mut Nodes, refused: usize) {
        let table = self.handle.table();
        for (at, Part { wanted, entry, grant, had_place }) in self.parts.iter_mut().enumerate() {
            let index = table.spot(wanted).index;
            if let Some(Grant { entry: granted, .. }) = grant.take() {
                *entry = Some(granted);
                let keeps = Keeps { place: *had_place, reservation: at < refused };
                table.stand_aside(index, granted, nodes.get(at), self.permits, keeps);
            } else if let Some(entry) = entry
                && at > refused
            {
                table.stand_back(index, *entry, nodes.get(at));
            }
        }
        self.keep();
    }

    /// Ends the attempt, and leaves the parts as they are.
    #[inline]
    fn keep(&mut self) {
        self.parts = &mut [];
    }
}

impl<H> Drop for Taking<'_, H>
where
    H: Deref<Target: AsTable<Key: Eq + Hash, Hasher: BuildHasher>>,
{
    #[inline]
    fn drop(&mut self) {
        if !self.parts.is_empty() {
            self.put_back();
        }
    }
}

/// A request that leaves the lines. If a waker panics it leaves the others all the same.
struct Leaving<'a, H>
where
    H: Deref<Target: AsTable<Key: Eq + Hash, Hasher: BuildHasher>>,
{
    handle: &'a H,
    parts: std::iter::Enumerate<std::slice::IterMut<'a, Part<H>>>,
    nodes: &'a mut Nodes,
    /// The key that was waited for. Only there the end of a wait is counted.
    at: usize,
    end: End,
}

impl<H> Leaving<'_, H>
where
    H: Deref<Target: AsTable<Key: Eq + Hash, Hasher: BuildHasher>>,
{
    fn run(&mut self) {
        let table = self.handle.table();
        for (at, Part { wanted, entry, .. }) in self.parts.by_ref() {
            if let Some(entry) = entry.take() {
                let end = (at == self.at).then_some(self.end);
                table.leave(table.spot(wanted).index, entry, self.nodes.get(at), end);
            }
        }
    }
}

impl<H> Drop for Leaving<'_, H>
where
    H: Deref<Target: AsTable<Key: Eq + Hash, Hasher: BuildHasher>>,
{
    fn drop(&mut self) {
        self.run();
    }
}

impl<H> ManyKeys<H>
where
    H: Deref<Target: AsTable<Key: Eq + Hash + Ord, Hasher: BuildHasher>> + Clone,
    Key<H>: IntoKey<Key<H>>,
{
    #[inline]
    pub(super) fn new(handle: H, keys: impl IntoIterator<Item = impl IntoKey<Key<H>>>, claim: Claim) -> Self {
        let mut keys: SmallVec<[Key<H>; INLINE]> = keys.into_iter().map(IntoKey::into_key).collect();
        keys.sort_unstable();
        keys.dedup();
        // Filled in place: a copy would cost as much as locking a key.
        let mut this = Self { handle, claim, parts: SmallVec::new(), at: 0, nodes: None, is_over: false };
        this.parts.reserve_exact(keys.len());
        for key in keys {
            this.parts.push(Part { wanted: Wanted::new(key), entry: None, grant: None, had_place: false });
        }
        this
    }

    #[inline]
    pub(super) fn acquire(self) -> Acquire<Self> {
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
        let Self { handle, parts, nodes: Some(nodes), at, .. } = self else { return };
        Leaving { handle, parts: parts.iter_mut().enumerate(), nodes, at: *at, end }.run();
    }

    /// Returns the order of an attempt: the key that was refused last, then the others. The flag marks the last one.
    fn order(first: usize, count: usize) -> impl Iterator<Item = (usize, bool)> {
        let others = (0..count).filter(move |at| *at != first);
        std::iter::once(first).chain(others).zip((0..count).rev().map(|left| left == 0))
    }
}

impl Claim {
    /// Takes the keys one after the other, without waiting. Stops at the first that is refused.
    #[inline(always)]
    fn take_all<H>(
        &mut self,
        attempt: &mut Taking<'_, H>,
        mut take: impl FnMut(&TableOf<H>, &mut WantedOf<H>, &Self) -> Option<Grant<Key<H>>>,
    ) -> Result<(), usize>
    where
        H: Deref<Target: AsTable<Key: Eq + Hash, Hasher: BuildHasher>>,
    {
        let table = attempt.handle.table();
        self.now = table.options().now();
        for (at, Part { wanted, grant, .. }) in attempt.parts.iter_mut().enumerate() {
            *grant = take(table, wanted, self);
            if grant.is_none() {
                return Err(at);
            }
        }
        Ok(())
    }
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
        let Self { handle, claim, parts, nodes, at, .. } = self;
        if nodes.is_some() {
            // It is not a newcomer any more.
            return None;
        }
        let mut attempt = Taking { handle, permits: claim.permits, parts };
        let taken =
            claim.take_all(&mut attempt, |table, wanted, claim| table.take(wanted, claim, Manner::Polite));
        if let Err(refused) = taken {
            *at = refused;
            if refused > 0 {
                let nodes = nodes.insert(Nodes::new(attempt.parts.len()));
                // On a thread the acquisition is not pinned yet, so it does not leave the lines when it is dropped.
                let aside = catch_unwind(AssertUnwindSafe(|| attempt.stand_aside(nodes, refused)));
                if let Err(panic) = aside {
                    let rest = catch_unwind(AssertUnwindSafe(|| drop(attempt)));
                    self.leave_after(panic, rest.err());
                }
            }
            attempt.keep();
            return None;
        }
        attempt.keep();
        Some(())
    }

    fn step(&mut self, node: Pin<&mut Node>, task: &Waker) -> Option<()> {
        let Self { handle, claim, parts, nodes, at: first, .. } = self;
        let (table, count) = (handle.table(), parts.len());
        let nodes = nodes.get_or_insert_with(|| Nodes::new(count));
        claim.now = table.options().now();
        let mut attempt = Taking { handle, permits: claim.permits, parts };
        for (at, is_last) in Self::order(*first, count) {
            let Part { wanted, entry, grant, had_place } = &mut attempt.parts[at];
            *had_place = entry.is_some();
            if node.is_thread() {
                nodes.get(at).be_thread();
            }
            // The wait is reported once, with the key that ends it.
            let queued_at = claim.queued_at.filter(|_| is_last);
            let granted =
                table.step(wanted, entry, nodes.get(at), &Claim { queued_at, ..*claim }, task, usize::MAX);
            *grant = granted.map(|granted| granted.expect("a queue without a bound has room"));
            if grant.is_none() {
                claim.has_waited = true;
                claim.queued_at = claim.queued_at.or(claim.now);
                let is_news = *first != at || attempt.parts.iter().any(|part| part.grant.is_some());
                *first = at;
                if is_news {
                    attempt.stand_aside(nodes, at);
                }
                attempt.keep();
                return None;
            }
        }
        attempt.keep();
        Some(())
    }

    #[inline]
    fn guard(&mut self, (): ()) -> KeyedManyHold<H> {
        // If an observer or the drop of a key panics, this request has ended without a guard.
        self.is_over = true;
        let Self { handle, claim, parts, .. } = self;
        let at_once = Claim { queued_at: None, ..*claim };
        let mut held = KeyedManyHold { holds: SmallVec::new() };
        held.holds.reserve_exact(parts.len());
        let mut rest = Taking { handle, permits: claim.permits, parts };
        while let Some(Part { wanted, grant, .. }) = rest.parts.split_off_first_mut() {
            let grant = grant.take().expect("each key was granted");
            let claim = if rest.parts.is_empty() { &*claim } else { &at_once };
            let index = handle.table().spot(wanted).index;
            held.holds.push(KeyedHold::new(handle.clone(), index, grant, claim));
            // If the key panics when it is dropped, the guard must exist to be dropped, too.
            wanted.forget_key();
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
        let mut busy = Busy::new(0, None);
        let mut attempt =
            Taking { handle: &self.handle, permits: self.claim.permits, parts: &mut self.parts };
        let taken = self.claim.take_all(&mut attempt, |table, wanted, claim| {
            table.take(wanted, claim, Manner::Trying(&mut busy))
        });
        let Err(refused) = taken else {
            attempt.keep();
            drop(attempt);
            return Ok(self.guard(()));
        };
        attempt.put_back();
        drop(attempt);
        let wanted = self.parts[refused].wanted.take();
        events::rejected(self.handle.table().options(), wanted, busy);
        Err(busy)
    }
}

impl<H: Deref<Target: AsTable>> fmt::Debug for ManyKeys<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ManyKeys").field("keys", &self.parts.len()).finish_non_exhaustive()
    }
}

impl<H: Deref<Target: AsTable>> fmt::Debug for KeyedManyHold<H>
where
    Key<H>: fmt::Debug,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&self.holds).finish()
    }
}
