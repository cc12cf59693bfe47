//! Wakers carried out of an internal lock, to be woken and dropped where user code may do anything.

use std::any::Any;
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
        for waker in self.batch[..self.len].iter_mut().filter_map(Option::take) {
            if let Err(panic) = catch_unwind(AssertUnwindSafe(|| waker.wake())) {
                self.panic.get_or_insert(panic);
            }
        }
        self.len = 0;
        if let Some(old) = self.old.take() {
            self.discard(old);
        }
        self.rest.take()
    }

    /// Drops a waker that was not needed.
    pub(crate) fn discard(&mut self, waker: Waker) {
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| drop(waker))) {
            self.panic.get_or_insert(panic);
        }
    }

    pub(crate) fn has_panicked(&self) -> bool {
        self.panic.is_some()
    }

    /// Passes on a waker's panic, unless this thread is unwinding already.
    pub(crate) fn finish(&mut self) {
        if let Some(panic) = self.panic.take()
            && !std::thread::panicking()
        {
            resume_unwind(panic);
        }
    }
}
