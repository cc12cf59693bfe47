//! Waiting for something to be over: a broadcast that happens once.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Waker;

use super::acquire::Acquire;
use super::acquisition::{Acquisition, End};
use super::list::{List, Node, Place, Stand};
use super::wakes::Wakes;
use crate::error::TimedOut;
use crate::sync::Mutex;

/// The waiters for the end of one thing, such as one version of a value.
pub struct Watch {
    inside: Mutex<Inside>,
}

struct Inside {
    /// No waiter enlists any more.
    is_over: bool,
    waiters: List,
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watch").finish_non_exhaustive()
    }
}

impl Watch {
    pub(crate) fn new() -> Self {
        Self { inside: Mutex::new(Inside { is_over: false, waiters: List::new() }) }
    }

    /// Ends it, and wakes all waiters, outside every lock. Each batch's panics are kept in `wakes`, for the caller to
    /// pass on when it has finished.
    pub(crate) fn end(&self, wakes: &mut Wakes) {
        loop {
            let mut inside = self.inside.lock();
            inside.is_over = true;
            while !wakes.is_full() && !inside.waiters.is_empty() {
                wakes.push(inside.waiters.send_away(Place::Queued));
            }
            let is_done = inside.waiters.is_empty();
            drop(inside);
            wakes.wake();
            if is_done {
                return;
            }
        }
    }

    /// Enlists `node` with the waker, which it takes. Returns `false` if the watch is over.
    fn enlist(&self, node: Pin<&mut Node>, waker: &mut Option<Waker>) -> bool {
        let mut inside = self.inside.lock();
        if inside.is_over {
            return false;
        }
        let waker = waker.take().expect("a waiter enlists once a step");
        inside.waiters.push_back(node, Place::Queued, Stand::ANY, waker);
        true
    }

    /// Removes `node`. Returns `true` if the watch has no waiters left and is not over.
    fn leave(&self, node: Pin<&mut Node>, wakes: &mut Wakes) -> bool {
        let mut inside = self.inside.lock();
        wakes.keep(inside.waiters.remove(node));
        !inside.is_over && inside.waiters.is_empty()
    }

    /// Ends a watch without waiters. Returns `true` if it is over. The caller holds the lock of what is watched, so no new
    /// waiter can be sent here in between.
    pub(crate) fn close_if_idle(&self) -> bool {
        let mut inside = self.inside.lock();
        inside.is_over |= inside.waiters.is_empty();
        inside.is_over
    }
}

/// What a waiter finds at the thing that it waits for.
#[derive(Debug)]
pub enum Look<N> {
    /// The result: there is nothing to wait for any more.
    Over(N),
    /// It is not over, and this is its watch.
    Wait(Arc<Watch>),
    /// It is not over, and has no watch. The caller must pass one: allocating it takes too long under a lock.
    NeedsWatch,
}

/// Something that ends, to be waited for.
pub trait Watched {
    /// What replaces it at the end.
    type Next;

    /// What the waiter gets of that.
    type Guard;

    /// Returns what replaced it, if it is over.
    fn next(&mut self) -> Option<Self::Next>;

    /// The same, or the watch to enlist with.
    fn look(&mut self, spare: &mut Option<Arc<Watch>>) -> Look<Self::Next>;

    /// Makes the guard, when nothing of this is needed any more.
    fn guard(self, next: Self::Next) -> Self::Guard;

    /// The last waiter of a watch gave up. Removes the watch, if it is still the current one.
    fn forget(&mut self, _: &Arc<Watch>) {}

    /// Whether it may be over, as far as can be seen at no cost.
    fn may_be_over(&self) -> bool {
        true
    }
}

/// A request for what comes after the end of something.
#[derive(Debug)]
pub struct Watching<W: Watched> {
    /// Gone when it was answered.
    watched: Option<W>,
    /// With which it is enlisted.
    watch: Option<Arc<Watch>>,
}

impl<W: Watched> Watching<W> {
    pub(crate) fn acquire(watched: W) -> Acquire<Self> {
        Acquire::new(Self { watched: Some(watched), watch: None })
    }

    fn watched(&mut self) -> &mut W {
        self.watched.as_mut().expect("an Acquire is not polled again after it was ready")
    }
}

impl<W: Watched> Acquisition for Watching<W> {
    type Guard = W::Guard;
    type Timed = Result<W::Guard, TimedOut>;
    type Grant = W::Next;

    fn take(&mut self) -> Option<W::Next> {
        self.watched().next()
    }

    fn step(&mut self, mut node: Pin<&mut Node>, task: &Waker) -> Option<W::Next> {
        let mut wakes = Wakes::default();
        // A waiter that was notified needs no waker any more.
        let next = if self.watch.is_some() { self.watched().next() } else { None };
        // Cloned, woken and dropped outside the locks: wakers are user code.
        let mut waker = next.is_none().then(|| task.clone());
        if let Some(watch) = self.watch.take() {
            watch.leave(node.as_mut(), &mut wakes);
        }
        let mut spare = None;
        let outcome = match next {
            Some(next) => Some(next),
            None => loop {
                match self.watched().look(&mut spare) {
                    Look::Over(next) => break Some(next),
                    Look::Wait(watch) if watch.enlist(node.as_mut(), &mut waker) => {
                        self.watch = Some(watch);
                        break None;
                    }
                    Look::Wait(_) => {}
                    Look::NeedsWatch => spare = Some(Arc::new(Watch::new())),
                }
            },
        };
        if let Some(waker) = waker {
            wakes.discard(waker);
        }
        wakes.wake();
        wakes.finish();
        outcome
    }

    fn guard(&mut self, next: W::Next) -> W::Guard {
        self.watched.take().expect("it was granted through this request").guard(next)
    }

    fn in_time(guard: Option<W::Guard>) -> Self::Timed {
        guard.ok_or(TimedOut::NEW)
    }

    fn leave(&mut self, node: Pin<&mut Node>, _: End) {
        let Some(watch) = self.watch.take() else { return };
        let mut wakes = Wakes::default();
        if watch.leave(node, &mut wakes) {
            self.watched().forget(&watch);
        }
        wakes.wake();
        wakes.finish();
    }

    fn looks_free(&self) -> bool {
        self.watched.as_ref().is_some_and(W::may_be_over)
    }
}
