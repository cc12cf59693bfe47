//! Wakers carried out of an internal lock, to be woken and dropped where user code may do anything.

use std::any::Any;
use std::mem::ManuallyDrop;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::task::Waker;

/// How many waiters are told under one hold of an internal lock.
const BATCH: usize = 8;

/// A batch of wakers, and the first panic that one of them raised: the others are woken all the same.
#[derive(Debug, Default)]
pub(crate) struct Wakes {
    batch: [Option<Waker>; BATCH],
    len: usize,
    rest: Option<usize>,
    /// Wakers beyond a batch, where there is no coming back for the rest.
    more: Vec<Waker>,
    /// A waker that is no longer needed, to be dropped with the batch.
    old: Option<Waker>,
    panic: Option<Box<dyn Any + Send>>,
}

impl Wakes {
    pub(crate) fn is_full(&self) -> bool {
        self.len == BATCH
    }

    /// Adds a told waiter's waker. There must be room.
    pub(crate) fn push(&mut self, waker: Option<Waker>) {
        self.batch[self.len] = waker;
        self.len += 1;
    }

    /// Adds a waker, whether there is room or not.
    pub(crate) fn push_more(&mut self, waker: Waker) {
        self.more.push(waker);
    }

    /// Keeps a waker that is not needed any more, to be dropped with the batch.
    pub(crate) fn keep(&mut self, waker: Option<Waker>) {
        debug_assert!(self.old.is_none(), "one waiter leaves at a time");
        self.old = waker;
    }

    /// Notes that the batch ran full with so many permits still to be offered.
    pub(crate) fn rest(&mut self, permits: usize) {
        self.rest = Some(permits);
    }

    /// Whether the batch ran full.
    pub(crate) fn is_unfinished(&self) -> bool {
        self.rest.is_some()
    }

    /// Wakes the batch, outside every internal lock. Says how many permits are to be offered to the next one.
    pub(crate) fn wake(&mut self) -> Option<usize> {
        for at in 0..self.len {
            if let Some(waker) = self.batch[at].take() {
                self.run(|| waker.wake());
            }
        }
        self.len = 0;
        for waker in std::mem::take(&mut self.more) {
            self.run(|| waker.wake());
        }
        if let Some(old) = self.old.take() {
            self.discard(old);
        }
        self.rest.take()
    }

    /// Drops a waker that was not needed.
    pub(crate) fn discard(&mut self, waker: Waker) {
        self.run(|| drop(waker));
    }

    /// Passes on a waker's panic, after `undo`. While this thread is unwinding already neither happens.
    pub(crate) fn finish_or(&mut self, undo: impl FnOnce()) {
        let Some(panic) = self.panic.take() else { return };
        if std::thread::panicking() {
            let _ = ManuallyDrop::new(panic);
        } else {
            undo();
            resume_unwind(panic);
        }
    }

    /// Passes on a waker's panic, unless this thread is unwinding already.
    pub(crate) fn finish(&mut self) {
        self.finish_or(|| ());
    }

    /// Runs user code, keeps the first panic, and lets further ones be: to drop them might panic again.
    fn run(&mut self, code: impl FnOnce()) {
        if let Err(panic) = catch_unwind(AssertUnwindSafe(code)) {
            match self.panic {
                None => self.panic = Some(panic),
                Some(_) => {
                    let _ = ManuallyDrop::new(panic);
                }
            }
        }
    }
}
