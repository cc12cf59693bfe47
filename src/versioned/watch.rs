//! Waiting until a version is no longer the current one: a broadcast that happens once.

use std::pin::Pin;
use std::sync::Arc;
use std::task::Waker;

use crate::sync::Mutex;
use crate::wait::{Acquire, End, List, Node, Request, Waiting, Wakes};

/// Those who wait for the end of one version of one value.
pub(super) struct Watch {
    inside: Mutex<Inside>,
}

struct Inside {
    /// The version has ended: nobody enlists any more.
    is_over: bool,
    waiters: List,
}

impl Watch {
    fn new() -> Self {
        Self { inside: Mutex::new(Inside { is_over: false, waiters: List::new() }) }
    }

    /// Tells everybody, outside every lock. Each batch's panics are kept in `wakes`, for the caller to
    /// pass on when it has finished.
    pub(super) fn end(&self, wakes: &mut Wakes) {
        loop {
            let mut inside = self.inside.lock();
            inside.is_over = true;
            while !wakes.is_full() && !inside.waiters.is_empty() {
                wakes.push(inside.waiters.tell_front());
            }
            let is_done = inside.waiters.is_empty();
            drop(inside);
            wakes.wake();
            if is_done {
                return;
            }
        }
    }

    /// Ends a watch that nobody waits on. Says whether it did. Called with the value's lock held, so that
    /// nobody comes in between who was sent here by the value.
    pub(super) fn close_if_idle(&self) -> bool {
        let mut inside = self.inside.lock();
        inside.is_over |= inside.waiters.is_empty();
        inside.is_over
    }

    /// Enlists `node` with the waker, which it takes, or says that it is over.
    fn enlist(&self, node: Pin<&mut Node>, waker: &mut Option<Waker>) -> bool {
        let mut inside = self.inside.lock();
        if inside.is_over {
            return false;
        }
        let waker = waker.take().expect("a waiter enlists once a step");
        inside.waiters.push_back(node, 0, 0, waker);
        true
    }

    /// Takes `node` off. Says whether it leaves a watch behind that nobody waits on.
    fn leave(&self, node: Pin<&mut Node>, wakes: &mut Wakes) -> bool {
        let mut inside = self.inside.lock();
        wakes.keep(inside.waiters.remove(node));
        !inside.is_over && inside.waiters.is_empty()
    }
}

/// Ends the version of what was replaced or removed, and drops it. Called outside the lock: wakers and the
/// drop of values and keys are user code.
pub(super) fn finish<T>(old: T, watch: Option<Arc<Watch>>) {
    let mut wakes = Wakes::default();
    if let Some(watch) = watch {
        watch.end(&mut wakes);
    }
    drop(old);
    wakes.finish();
}

/// What was found where somebody is to wait for a change.
pub(super) enum Look<T> {
    /// It is another version already.
    Changed(T),
    /// It is the same, and this is its watch.
    Same(Arc<Watch>),
    /// It is the same, and has no watch: one must be passed. (To allocate it takes too long under a lock.)
    NeedsWatch,
}

/// One version of one value, to be waited on.
pub(super) trait Version {
    /// What comes after it.
    type Next;

    /// What is there, if it is another version.
    fn next(&self) -> Option<Self::Next>;

    /// The same, or the watch to enlist with.
    fn look(&self, spare: &mut Option<Arc<Watch>>) -> Look<Self::Next>;

    /// Takes an idle watch away, if the value still has it.
    fn forget(&self, watch: &Arc<Watch>);

    /// Whether it may have changed, as far as can be seen at no cost.
    fn may_have_changed(&self) -> bool {
        true
    }
}

/// A request for what comes after one version.
pub(super) struct Changed<V> {
    /// Gone when it was answered.
    version: Option<V>,
    /// With which it is enlisted.
    watch: Option<Arc<Watch>>,
}

impl<V: Version> Changed<V> {
    pub(super) fn acquire(version: V) -> Acquire<Self> {
        Acquire::new(Self { version: Some(version), watch: None })
    }

    fn version(&self) -> &V {
        self.version.as_ref().expect("an Acquire is not polled again after it was ready")
    }
}

impl<V: Version> Request for Changed<V> {
    type Guard = V::Next;
    type Grant = V::Next;

    fn take(&mut self) -> Option<V::Next> {
        self.version().next()
    }

    fn step(&mut self, mut node: Pin<&mut Node>, task: &Waker) -> Result<V::Next, Waiting> {
        let mut wakes = Wakes::default();
        // Cloned, woken and dropped outside the locks: wakers are user code.
        let mut waker = Some(task.clone());
        if let Some(watch) = self.watch.take() {
            watch.leave(node.as_mut(), &mut wakes);
        }
        let mut spare = None;
        let outcome = loop {
            match self.version().look(&mut spare) {
                Look::Changed(next) => break Ok(next),
                Look::Same(watch) if watch.enlist(node.as_mut(), &mut waker) => {
                    self.watch = Some(watch);
                    break Err(Waiting::Queued);
                }
                Look::Same(_) => {}
                Look::NeedsWatch => spare = Some(Arc::new(Watch::new())),
            }
        };
        if let Some(waker) = waker {
            wakes.discard(waker);
        }
        wakes.wake();
        wakes.finish();
        outcome
    }

    fn guard(&mut self, next: V::Next) -> V::Next {
        self.version = None;
        next
    }

    fn leave(&mut self, node: Pin<&mut Node>, _: End) {
        let Some(watch) = self.watch.take() else { return };
        let mut wakes = Wakes::default();
        if watch.leave(node, &mut wakes) {
            self.version().forget(&watch);
        }
        wakes.wake();
        wakes.finish();
    }

    fn looks_free(&self) -> bool {
        self.version().may_have_changed()
    }
}
