//! The intrusive lists: waiters linked through nodes that live in their own pinned futures or on
//! their threads' stacks, so that queueing allocates nothing.
//!
//! This is the only place where waiting touches raw pointers. What makes it sound:
//!
//! - Only a node's owner links it, and must show it as `Pin<&mut Node>`. From then on it does not move. It is not freed
//!   before its `Drop` runs, which aborts if the node is still enlisted.
//! - `home` is the address of the list that the node is enlisted with. Only the owner reads and writes it, and every call
//!   checks it. So `&mut List` always means exclusive access to the nodes of this list.
//! - `inner` is touched through `&mut List` only.
//! - A list does not move while nodes are enlisted: its owner keeps it behind an `Arc`, or in a table's shard.
//!   If it goes with nodes still enlisted, their owners were forgotten (`mem::forget` of a boxed future): their
//!   memory stays, and at most the helper looks again.
//!
//! Each ring is circular and keeps its head alone (`head.prev` is the tail). It is ordered by the waiters'
//! tickets, the eldest first.

#![allow(unsafe_code)]

use std::cell::Cell;
use std::fmt;
use std::marker::PhantomPinned;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::ptr;
use std::task::Waker;

use super::round::Round;
use crate::sync::UnsafeCell;

/// Where an enlisted waiter stands. All but the last are rings of the list.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Place {
    /// To be notified.
    Queued = 0,
    /// Notified and expected to come; its waker is spent.
    Notified = 1,
    /// It wants more permits than there are in all.
    Oversized = 2,
    /// In no ring: it was notified and did not come in time, or what it waited for is over. Only its owner knows it.
    Away = 3,
}

/// What a line knows of a waiter.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stand {
    /// Its place in the order of coming; see [`is_older`].
    pub(crate) ticket: u32,
    /// How many permits it wants.
    pub(crate) need: usize,
    /// How many newcomers had passed the line when it came.
    pub(crate) entered: u32,
    /// The same when it was notified last, or came.
    pub(crate) notified_at: u32,
    /// When it came.
    pub(crate) born: Round,
    /// When it was notified, or showed last that it is there.
    pub(crate) since: Round,
    /// Rounds after which it is asked whether it is still there.
    pub(crate) probe_after: u16,
    /// How often it was notified and found too few permits.
    pub(crate) in_vain: u8,
    /// Permits are reserved for it when it is the eldest.
    pub(crate) is_starving: bool,
    /// It was notified without a look at the permits.
    pub(crate) is_probed: bool,
    /// A thread waits here, and for nothing else.
    pub(crate) is_thread: bool,
    /// It had the permits, and gave them back until it has those of other locks as well.
    pub(crate) is_aside: bool,
}

impl Stand {
    /// Of a waiter that is dismissed with all others, in whatever order.
    pub(crate) const ANY: Self = Self {
        ticket: 0,
        need: 0,
        entered: 0,
        notified_at: 0,
        born: Round::START,
        since: Round::START,
        probe_after: 0,
        in_vain: 0,
        is_starving: false,
        is_probed: false,
        is_thread: false,
        is_aside: false,
    };
}

/// Whether the ticket `one` was drawn before `other`. Tickets wrap; those of one line are close to each other.
pub(crate) fn is_older(one: u32, other: u32) -> bool {
    one.wrapping_sub(other).cast_signed() < 0
}

/// One waiter. Kept by its owner, pinned, for as long as it is enlisted.
pub struct Node {
    /// The list this node is enlisted with, null for none. Owner only.
    home: Cell<*const List>,
    /// A thread waits here, and for nothing else. Owner only.
    is_thread: Cell<bool>,
    /// It was enlisted before: `inner` is written. Owner only.
    has_stood: Cell<bool>,
    /// Written when the node is enlisted, and from then on touched only with `&mut List` of `home`.
    inner: UnsafeCell<MaybeUninit<Inner>>,
    _pinned: PhantomPinned,
}

struct Inner {
    prev: *const Node,
    next: *const Node,
    place: Place,
    stand: Stand,
    waker: Option<Waker>,
}

// SAFETY: the pointers in a node are followed only with `&mut List`, which is guarded by a lock where a list is
// shared between threads; `home`, `is_thread` and `has_stood` are the owner's.
unsafe impl Send for Node {}
// SAFETY: `&Node` gives no access to anything: every operation takes `Pin<&mut Node>`.
unsafe impl Sync for Node {}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Node").finish_non_exhaustive()
    }
}

impl Node {
    #[inline]
    pub(crate) fn new() -> Self {
        Self {
            home: Cell::new(ptr::null()),
            is_thread: Cell::new(false),
            has_stood: Cell::new(false),
            inner: UnsafeCell::new(MaybeUninit::uninit()),
            _pinned: PhantomPinned,
        }
    }

    /// Says that a thread waits here, and for nothing else.
    pub(crate) fn be_thread(self: Pin<&mut Self>) {
        self.is_thread.set(true);
    }

    pub(crate) fn is_thread(&self) -> bool {
        self.is_thread.get()
    }

    /// Returns `true` if a list links this node.
    #[inline]
    pub(crate) fn is_enlisted(&self) -> bool {
        !self.home.get().is_null()
    }

    /// What was known of a node that has left its list.
    pub(crate) fn last_stand(&self) -> Option<Stand> {
        if self.is_enlisted() || !self.has_stood.get() {
            return None;
        }
        Some(self.inner.with_mut(|inner| {
            // SAFETY: no list knows the node, so nobody but its owner, the caller, does.
            let inner = unsafe { &mut *inner };
            // SAFETY: it was written when the node was enlisted.
            unsafe { inner.assume_init_mut() }.stand
        }))
    }
}

/// The nodes of one that waits in several lines.
pub(crate) struct Nodes(Pin<Box<[Node]>>);

impl Nodes {
    pub(crate) fn new(count: usize) -> Self {
        Self(Box::into_pin((0..count).map(|_| Node::new()).collect()))
    }

    pub(crate) fn get(&mut self, at: usize) -> Pin<&mut Node> {
        // SAFETY: an element of a pinned slice does not move.
        unsafe { self.0.as_mut().map_unchecked_mut(|nodes| &mut nodes[at]) }
    }
}

impl Drop for Node {
    #[inline]
    fn drop(&mut self) {
        if self.is_enlisted() {
            // Going on would leave a dangling link behind. No public path leads here.
            std::process::abort();
        }
    }
}

/// The waiters of one thing, in rings. Its owner must not move it while nodes are enlisted.
pub(crate) struct List {
    heads: [*const Node; 3],
    /// The node that returned to the queue last, if it is still there: others that return are looked for from here.
    returned: *const Node,
}

// SAFETY: the nodes behind the pointers are `Send`, and are reached through `&mut List` only.
unsafe impl Send for List {}

impl List {
    pub(crate) const fn new() -> Self {
        Self { heads: [ptr::null(); 3], returned: ptr::null() }
    }

    /// Whether nobody is queued.
    pub(crate) fn is_empty(&self) -> bool {
        self.heads[Place::Queued as usize].is_null()
    }

    /// Where `node` stands in this list, or `None` if it is not enlisted anywhere.
    pub(crate) fn place(&mut self, node: Pin<&mut Node>) -> Option<Place> {
        node.is_enlisted().then(|| self.open(node.into_ref().get_ref(), |inner| inner.place))
    }

    /// What is known of an enlisted `node`.
    pub(crate) fn stand(&mut self, node: Pin<&mut Node>) -> Stand {
        self.open(node.into_ref().get_ref(), |inner| inner.stand)
    }

    /// The eldest of a ring.
    pub(crate) fn front(&mut self, ring: Place) -> Option<Stand> {
        let head = self.heads[ring as usize];
        // SAFETY: a head is linked here, and `&mut self` is held.
        (!head.is_null()).then(|| unsafe { inner(head, |inner| inner.stand) })
    }

    /// Changes what is known of the eldest of a ring, if there is one.
    pub(crate) fn change_front(&mut self, ring: Place, change: impl FnOnce(&mut Stand)) {
        let head = self.heads[ring as usize];
        if !head.is_null() {
            // SAFETY: a head is linked here, and `&mut self` is held.
            unsafe { inner(head, |inner| change(&mut inner.stand)) };
        }
    }

    /// Enlists `node` at the back of a ring.
    pub(crate) fn push_back(&mut self, node: Pin<&mut Node>, ring: Place, stand: Stand, waker: Waker) {
        let node = node.into_ref().get_ref();
        assert!(!node.is_enlisted(), "a waiter waits for one thing at a time");
        node.home.set(&raw const *self);
        let fresh = Inner { prev: ptr::null(), next: ptr::null(), place: ring, stand, waker: Some(waker) };
        // SAFETY: the node was not enlisted, so nobody but its owner, the caller, knows it.
        node.inner.with_mut(|inner| unsafe { &mut *inner }.write(fresh));
        self.link(node, ring, ptr::null());
    }

    /// Enlists `node` as notified or away, in the order of the tickets. There is no waker: its owner comes by itself.
    pub(crate) fn enlist_silently(&mut self, node: Pin<&mut Node>, place: Place, stand: Stand) {
        let node = node.into_ref().get_ref();
        assert!(!node.is_enlisted(), "a waiter waits for one thing at a time");
        node.home.set(&raw const *self);
        let fresh = Inner { prev: ptr::null(), next: ptr::null(), place, stand, waker: None };
        // SAFETY: the node was not enlisted, so nobody but its owner, the caller, knows it.
        node.inner.with_mut(|inner| unsafe { &mut *inner }.write(fresh));
        if place != Place::Away {
            self.link_by_age(node, place, stand.ticket, ptr::null());
        }
    }

    /// Takes an enlisted `node` out of its ring, to be away. The caller drops the waker once no internal lock is held.
    pub(crate) fn stand_back(&mut self, node: Pin<&mut Node>, stand: Stand) -> Option<Waker> {
        let node = node.into_ref().get_ref();
        let waker = self.open(node, |inner| {
            inner.stand = stand;
            inner.waker.take()
        });
        self.detach(node);
        self.open(node, |inner| inner.place = Place::Away);
        waker
    }

    /// Puts a notified or absent `node` back among those in `ring`, where its ticket belongs.
    pub(crate) fn put_back(&mut self, node: Pin<&mut Node>, ring: Place, stand: Stand, waker: Waker) {
        let node = node.into_ref().get_ref();
        self.open(node, |inner| {
            inner.stand = stand;
            inner.waker = Some(waker);
        });
        // Those who return one after the other mostly are neighbours: each is one step from the last one.
        self.move_node(node, ring, stand.ticket);
    }

    /// Notifies the front of the queue, of which `stand` will be known. The caller wakes it once no
    /// internal lock is held.
    pub(crate) fn notify_front(&mut self, stand: Stand) -> Option<Waker> {
        let front = self.heads[Place::Queued as usize];
        if front.is_null() {
            return None;
        }
        self.detach(front);
        // SAFETY: `front` was linked here until just now, and `&mut self` is held.
        let waker = unsafe {
            inner(front, |inner| {
                inner.place = Place::Notified;
                inner.stand = stand;
                inner.waker.take()
            })
        };
        // Mostly it is the youngest of them.
        let head = self.heads[Place::Notified as usize];
        // SAFETY: a head is linked here, and `&mut self` is held.
        let tail = if head.is_null() { head } else { unsafe { inner(head, |inner| inner.prev) } };
        self.link_by_age(front, Place::Notified, stand.ticket, tail);
        waker
    }

    /// Takes the first of a ring out of it, to be away. The caller wakes it once no internal lock is held.
    pub(crate) fn send_away(&mut self, ring: Place) -> Option<Waker> {
        let front = self.heads[ring as usize];
        if front.is_null() {
            return None;
        }
        self.detach(front);
        // SAFETY: `front` was linked here until just now, and `&mut self` is held.
        unsafe {
            inner(front, |inner| {
                inner.place = Place::Away;
                inner.waker.take()
            })
        }
    }

    /// Takes those of the first `most` notified ones out of the ring that are given up, to be away.
    pub(crate) fn give_up(&mut self, most: usize, mut is_given_up: impl FnMut(&Stand) -> bool) {
        let mut at = self.heads[Place::Notified as usize];
        for _ in 0..most {
            if at.is_null() {
                return;
            }
            // SAFETY: `at` is linked here, and `&mut self` is held.
            let (next, given_up) = unsafe { inner(at, |inner| (inner.next, is_given_up(&inner.stand))) };
            let is_last = ptr::eq(next, self.heads[Place::Notified as usize]);
            if given_up {
                self.detach(at);
                // SAFETY: it was linked here until just now, and `&mut self` is held.
                unsafe { inner(at, |inner| inner.place = Place::Away) };
            }
            at = if is_last { ptr::null() } else { next };
        }
    }

    /// Moves the front of one ring into another, where its ticket belongs.
    pub(crate) fn move_front(&mut self, from: Place, to: Place) {
        let front = self.heads[from as usize];
        if front.is_null() {
            return;
        }
        // SAFETY: a head is linked here, and `&mut self` is held.
        let ticket = unsafe { inner(front, |inner| inner.stand.ticket) };
        self.move_node(front, to, ticket);
    }

    /// Moves a linked node into another ring, where its ticket belongs.
    fn move_node(&mut self, node: *const Node, to: Place, ticket: u32) {
        self.detach(node);
        // SAFETY: `node` was linked here until just now, and `&mut self` is held.
        unsafe { inner(node, |inner| inner.place = to) };
        let near = if to == Place::Queued { self.returned } else { ptr::null() };
        self.link_by_age(node, to, ticket, near);
        if to == Place::Queued {
            self.returned = node;
        }
    }

    /// Moves the nodes of a ring for which `moves` returns `true` into another ring, where their tickets belong.
    pub(crate) fn move_some(&mut self, from: Place, to: Place, mut moves: impl FnMut(&Stand) -> bool) {
        let mut at = self.heads[from as usize];
        while !at.is_null() {
            // SAFETY: `at` is linked here, and `&mut self` is held.
            let (next, stand, moved) =
                unsafe { inner(at, |inner| (inner.next, inner.stand, moves(&inner.stand))) };
            let is_last = ptr::eq(next, self.heads[from as usize]);
            if moved {
                self.move_node(at, to, stand.ticket);
            }
            at = if is_last { ptr::null() } else { next };
        }
    }

    /// Takes `node` off this list, wherever it stands. The caller drops the waker once no internal lock is held.
    pub(crate) fn remove(&mut self, node: Pin<&mut Node>) -> Option<Waker> {
        let node = node.into_ref().get_ref();
        let waker = self.open(node, |inner| inner.waker.take());
        self.detach(node);
        node.home.set(ptr::null());
        node.has_stood.set(true);
        waker
    }

    /// Whether notifying `node` would wake the same task as `waker`.
    pub(crate) fn wakes(&mut self, node: Pin<&mut Node>, waker: &Waker) -> bool {
        self.open(node.into_ref().get_ref(), |inner| {
            inner.waker.as_ref().is_some_and(|own| own.will_wake(waker))
        })
    }

    /// Replaces the waker of a `node` in a ring; the caller drops the old one once no internal lock is held.
    pub(crate) fn replace_waker(&mut self, node: Pin<&mut Node>, waker: Waker) -> Option<Waker> {
        self.open(node.into_ref().get_ref(), |inner| inner.waker.replace(waker))
    }

    fn open<R>(&mut self, node: &Node, f: impl FnOnce(&mut Inner) -> R) -> R {
        assert!(ptr::eq(node.home.get(), &raw const *self), "this waiter waits elsewhere");
        // SAFETY: `node` is enlisted here, and `&mut self` is held.
        unsafe { inner(node, f) }
    }

    /// Links `node` into a ring where its ticket belongs, looked for from `near`, which is null or in the ring.
    fn link_by_age(&mut self, node: *const Node, ring: Place, ticket: u32, near: *const Node) {
        let head = self.heads[ring as usize];
        if head.is_null() {
            return self.link(node, ring, ptr::null());
        }
        // SAFETY: the callers pass nodes that are linked here, whose neighbours are, and `&mut self` is held.
        let look = |at| unsafe { inner(at, |inner| (inner.stand.ticket, inner.prev, inner.next)) };
        let mut at = if near.is_null() { head } else { near };
        let (mut theirs, mut prev, mut next) = look(at);
        if is_older(theirs, ticket) {
            // Forward to the first that is younger, or to the end.
            while is_older(theirs, ticket) {
                at = next;
                if ptr::eq(at, head) {
                    return self.link(node, ring, ptr::null());
                }
                (theirs, _, next) = look(at);
            }
            return self.link(node, ring, at);
        }
        // Back until the one before is older.
        while !ptr::eq(at, head) {
            let (before, before_that, _) = look(prev);
            if is_older(before, ticket) {
                break;
            }
            (at, prev) = (prev, before_that);
        }
        self.link(node, ring, at);
        if ptr::eq(at, head) {
            self.heads[ring as usize] = node;
        }
    }

    /// Links `node` into a ring before a linked one, or at the end if `before` is null.
    fn link(&mut self, node: *const Node, ring: Place, before: *const Node) {
        let head = &mut self.heads[ring as usize];
        let before = if before.is_null() { *head } else { before };
        let (prev, next) = if before.is_null() {
            *head = node;
            (node, node)
        } else {
            // SAFETY: `before` is linked here, and `&mut self` is held.
            let prev = unsafe { inner(before, |inner| std::mem::replace(&mut inner.prev, node)) };
            // SAFETY: neighbours of a linked node are linked.
            unsafe { inner(prev, |inner| inner.next = node) };
            (prev, before)
        };
        // SAFETY: the callers enlisted `node` here.
        unsafe {
            inner(node, |inner| {
                inner.prev = prev;
                inner.next = next;
            });
        }
    }

    /// Takes an enlisted `node` out of its ring, if it is in one.
    fn detach(&mut self, node: *const Node) {
        // SAFETY: the callers pass a node that is enlisted here, and `&mut self` is held.
        let (place, prev, next) = unsafe { inner(node, |inner| (inner.place, inner.prev, inner.next)) };
        if place == Place::Away {
            return;
        }
        if ptr::eq(self.returned, node) {
            self.returned = ptr::null();
        }
        let head = &mut self.heads[place as usize];
        if ptr::eq(next, node) {
            *head = ptr::null();
            return;
        }
        // SAFETY: neighbours of a linked node are linked.
        unsafe { inner(prev, |inner| inner.next = next) };
        // SAFETY: as above.
        unsafe { inner(next, |inner| inner.prev = prev) };
        if ptr::eq(*head, node) {
            *head = next;
        }
    }
}

impl fmt::Debug for List {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("List").field("is_empty", &self.is_empty()).finish()
    }
}

/// Opens a node's shared part.
///
/// # Safety
///
/// `node` is enlisted with a list to which the caller holds `&mut`.
unsafe fn inner<R>(node: *const Node, f: impl FnOnce(&mut Inner) -> R) -> R {
    // SAFETY: an enlisted node is alive (see the module), and its cell is opened for the length of
    // `f` only, under the exclusive borrow of its list.
    let node = unsafe { &*node };
    node.inner.with_mut(|inner| {
        // SAFETY: as above; `f` never opens the same node again.
        let inner = unsafe { &mut *inner };
        // SAFETY: it was written when the node was enlisted.
        f(unsafe { inner.assume_init_mut() })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stand(ticket: u32) -> Stand {
        Stand { ticket, ..Stand::ANY }
    }

    /// Nodes with the tickets `first`, `first + 1`, … that are notified one after the other, and the list.
    fn notified(first: u32, count: u32) -> (Box<List>, Vec<Pin<Box<Node>>>) {
        let mut list = Box::new(List::new());
        let mut nodes: Vec<_> = (0..count).map(|_| Box::pin(Node::new())).collect();
        for (node, at) in nodes.iter_mut().zip(0..) {
            list.push_back(
                node.as_mut(),
                Place::Queued,
                stand(first.wrapping_add(at)),
                Waker::noop().clone(),
            );
        }
        for _ in 0..count {
            let front = list.front(Place::Queued).expect("not all were notified");
            assert!(list.notify_front(front).is_some());
        }
        (list, nodes)
    }

    fn queue(list: &mut List) -> Vec<u32> {
        let mut tickets = Vec::new();
        while let Some(front) = list.front(Place::Queued) {
            tickets.push(front.ticket);
            list.send_away(Place::Queued);
        }
        tickets
    }

    fn return_in(order: &[u32], first: u32) -> Vec<u32> {
        let (mut list, mut nodes) = notified(first, order.len() as u32);
        for at in order {
            let node = nodes[*at as usize].as_mut();
            list.put_back(node, Place::Queued, stand(first.wrapping_add(*at)), Waker::noop().clone());
        }
        let tickets = queue(&mut list);
        for node in &mut nodes {
            list.remove(node.as_mut());
        }
        tickets.into_iter().map(|ticket| ticket.wrapping_sub(first)).collect()
    }

    #[test]
    fn those_who_come_back_stand_in_the_order_in_which_they_came() {
        let sorted: Vec<u32> = (0..40).collect();
        let reversed: Vec<u32> = sorted.iter().rev().copied().collect();
        let shuffled: Vec<u32> = sorted.iter().map(|at| at * 27 % 40).collect();
        for order in [&sorted, &reversed, &shuffled] {
            // Also where the tickets wrap.
            for first in [0, u32::MAX - 20] {
                assert_eq!(return_in(order, first), sorted);
            }
        }
    }

    #[test]
    fn those_who_are_given_up_are_in_no_ring_and_come_back_to_their_place() {
        let (mut list, mut nodes) = notified(0, 9);
        list.give_up(5, |stand| stand.ticket % 2 == 0);
        let places: Vec<_> =
            nodes.iter_mut().map(|node| list.place(node.as_mut()) == Some(Place::Away)).collect();
        assert_eq!(places, [true, false, true, false, true, false, false, false, false]);
        assert_eq!(list.front(Place::Notified).map(|front| front.ticket), Some(1));
        for at in [4, 0, 2, 1] {
            list.put_back(nodes[at].as_mut(), Place::Queued, stand(at as u32), Waker::noop().clone());
        }
        assert_eq!(queue(&mut list), [0, 1, 2, 4]);
        for node in &mut nodes {
            list.remove(node.as_mut());
        }
        assert!(list.front(Place::Notified).is_none());
    }

    #[test]
    fn a_front_that_changes_its_ring_keeps_its_place_in_the_order() {
        let (mut list, mut nodes) = notified(0, 3);
        for at in [0, 1, 2] {
            list.put_back(nodes[at].as_mut(), Place::Queued, stand(at as u32), Waker::noop().clone());
        }
        list.move_front(Place::Queued, Place::Oversized);
        list.move_front(Place::Queued, Place::Oversized);
        assert_eq!(list.front(Place::Oversized).map(|front| front.ticket), Some(0));
        list.move_front(Place::Oversized, Place::Queued);
        assert_eq!(list.front(Place::Oversized).map(|front| front.ticket), Some(1));
        list.move_front(Place::Oversized, Place::Queued);
        assert_eq!(queue(&mut list), [0, 1, 2]);
        for node in &mut nodes {
            list.remove(node.as_mut());
        }
    }
}
