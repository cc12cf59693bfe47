//! The intrusive queue: waiters linked through nodes that live in their own pinned futures or on
//! their threads' stacks, so that queueing allocates nothing.
//!
//! This is the only place where waiting touches raw pointers. What makes it sound:
//!
//! - A node is linked by its owner only, who must show it as `Pin<&mut Node>`. From then on it does
//!   not move, and it is not freed before its `Drop` runs, which aborts if the node is still enlisted.
//! - `home` is the address of the list that the node is enlisted with. The owner alone reads and
//!   writes it, and every call checks it, so `&mut List` always means: nobody else is touching the
//!   nodes of this list.
//! - `inner` is touched through `&mut List` only.
//! - Owners keep their list alive, by borrow or `Arc`. So when a list goes with nodes still linked, their
//!   owners were forgotten (`mem::forget` of a boxed future): their memory stays, and nobody looks again.
//!
//! The list is circular and keeps the head alone (`head.prev` is the tail): one word in each key's entry.

#![allow(unsafe_code)]

use std::cell::Cell;
use std::fmt;
use std::marker::PhantomPinned;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::ptr;
use std::task::Waker;

use super::patience::Since;
use crate::sync::UnsafeCell;

/// How many nodes a returning one passes to find its place.
const RETURN_STEPS: usize = 8;

/// Where an enlisted waiter stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Place {
    /// In the queue, to be told.
    Queued,
    /// Out of the queue: told to come, its waker is spent.
    Told,
}

/// One waiter. Kept by who waits, pinned, for as long as it is enlisted.
pub struct Node {
    /// The list this node is enlisted with, null for none. Owner only.
    home: Cell<*const List>,
    /// Since when the owner stands in for waiters that were told and do not come. Owner only.
    since: Cell<Option<Since>>,
    /// Written when the node is enlisted, and from then on touched only with `&mut List` of `home`.
    inner: UnsafeCell<MaybeUninit<Inner>>,
    _pinned: PhantomPinned,
}

struct Inner {
    prev: *const Node,
    next: *const Node,
    need: usize,
    /// Rises in the order of coming.
    ticket: u32,
    place: Place,
    waker: Option<Waker>,
}

// SAFETY: the pointers in a node are followed only with `&mut List`, which whoever shares a list
// between threads guards with a lock; `home` and `since` are the owner's.
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
            since: Cell::new(None),
            inner: UnsafeCell::new(MaybeUninit::uninit()),
            _pinned: PhantomPinned,
        }
    }

    /// Whether some list counts on this node.
    #[inline]
    pub(crate) fn is_enlisted(&self) -> bool {
        !self.home.get().is_null()
    }

    pub(crate) fn stands_in_since(self: Pin<&mut Self>) -> Option<Since> {
        self.since.get()
    }

    pub(crate) fn stand_in(self: Pin<&mut Self>, since: Option<Since>) {
        self.since.set(since);
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

/// The queue of one lock. Whoever owns it must not move it while nodes are enlisted.
pub(crate) struct List {
    head: *const Node,
}

// SAFETY: the nodes behind the pointers are `Send`, and are reached through `&mut List` only.
unsafe impl Send for List {}

impl List {
    pub(crate) const fn new() -> Self {
        Self { head: ptr::null() }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.head.is_null()
    }

    /// Where `node` stands in this list, or `None` if it is not enlisted anywhere.
    pub(crate) fn place(&mut self, node: Pin<&mut Node>) -> Option<Place> {
        node.is_enlisted().then(|| self.open(node.into_ref().get_ref(), |inner| inner.place))
    }

    pub(crate) fn is_front(&self, node: Pin<&mut Node>) -> bool {
        ptr::eq(self.head, &raw const *node)
    }

    /// How many permits the front waiter wants.
    pub(crate) fn front_need(&mut self) -> Option<usize> {
        // SAFETY: `head` is linked here, and `&mut self` is held.
        (!self.head.is_null()).then(|| unsafe { inner(self.head, |inner| inner.need) })
    }

    /// Enlists `node` at the back.
    pub(crate) fn push_back(&mut self, node: Pin<&mut Node>, need: usize, ticket: u32, waker: Waker) {
        let node = node.into_ref().get_ref();
        assert!(!node.is_enlisted(), "a waiter waits for one thing at a time");
        node.home.set(&raw const *self);
        let fresh = Inner {
            prev: ptr::null(),
            next: ptr::null(),
            need,
            ticket,
            place: Place::Queued,
            waker: Some(waker),
        };
        // SAFETY: the node was not enlisted, so nobody but its owner, the caller, knows it.
        node.inner.with_mut(|inner| unsafe { &mut *inner }.write(fresh));
        self.link(node, self.head);
        if self.head.is_null() {
            self.head = node;
        }
    }

    /// Puts a told `node`, which came in vain, back to the front, behind those who came before it. A
    /// few are passed at most, so that the time is constant; beyond them order may be lost.
    pub(crate) fn push_front(&mut self, node: Pin<&mut Node>, waker: Waker) {
        let node = node.into_ref().get_ref();
        let ticket = self.open(node, |inner| {
            debug_assert_eq!(inner.place, Place::Told);
            inner.place = Place::Queued;
            inner.waker = Some(waker);
            inner.ticket
        });
        let mut before = self.head;
        let mut is_first = true;
        for _ in 0..RETURN_STEPS {
            if before.is_null() || !is_first && ptr::eq(before, self.head) {
                break;
            }
            // SAFETY: `before` is linked here, and `&mut self` is held.
            let (theirs, next) = unsafe { inner(before, |inner| (inner.ticket, inner.next)) };
            // Tickets wrap, and those of one queue are close to each other.
            if theirs.wrapping_sub(ticket).cast_signed() > 0 {
                break;
            }
            before = next;
            is_first = false;
        }
        self.link(node, before);
        if is_first {
            self.head = node;
        }
    }

    /// Takes the front waiter out of the queue as told. The waker is to be woken once no internal
    /// lock is held.
    pub(crate) fn tell_front(&mut self) -> Option<Waker> {
        let front = self.head;
        if front.is_null() {
            return None;
        }
        self.unlink(front);
        // SAFETY: `front` was linked here until just now, and `&mut self` is held.
        unsafe {
            inner(front, |inner| {
                inner.place = Place::Told;
                inner.waker.take()
            })
        }
    }

    /// Takes `node` off this list, told or not. The waker is to be dropped once no internal lock is
    /// held.
    pub(crate) fn remove(&mut self, node: Pin<&mut Node>) -> Option<Waker> {
        let node = node.into_ref().get_ref();
        let (place, waker) = self.open(node, |inner| (inner.place, inner.waker.take()));
        if place == Place::Queued {
            self.unlink(node);
        }
        node.home.set(ptr::null());
        node.since.set(None);
        waker
    }

    /// Whether telling `node` would wake the same task as `waker`.
    pub(crate) fn wakes(&mut self, node: Pin<&mut Node>, waker: &Waker) -> bool {
        self.open(node.into_ref().get_ref(), |inner| {
            inner.waker.as_ref().is_some_and(|own| own.will_wake(waker))
        })
    }

    /// Replaces the waker of a queued `node`; the old one is to be dropped once no internal lock is held.
    pub(crate) fn replace_waker(&mut self, node: Pin<&mut Node>, waker: Waker) -> Option<Waker> {
        self.open(node.into_ref().get_ref(), |inner| inner.waker.replace(waker))
    }

    fn open<R>(&mut self, node: &Node, f: impl FnOnce(&mut Inner) -> R) -> R {
        assert!(ptr::eq(node.home.get(), &raw const *self), "this waiter waits elsewhere");
        // SAFETY: `node` is enlisted here, and `&mut self` is held.
        unsafe { inner(node, f) }
    }

    /// Links `node` before a linked one, or alone if `before` is null.
    fn link(&mut self, node: *const Node, before: *const Node) {
        let (prev, next) = if before.is_null() {
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

    /// Unlinks a linked `node`.
    fn unlink(&mut self, node: *const Node) {
        // SAFETY: the callers pass a node that is linked here, and `&mut self` is held.
        let (prev, next) = unsafe { inner(node, |inner| (inner.prev, inner.next)) };
        if ptr::eq(next, node) {
            self.head = ptr::null();
            return;
        }
        // SAFETY: neighbours of a linked node are linked.
        unsafe { inner(prev, |inner| inner.next = next) };
        // SAFETY: as above.
        unsafe { inner(next, |inner| inner.prev = prev) };
        if ptr::eq(self.head, node) {
            self.head = next;
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
