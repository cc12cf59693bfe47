//! Wakers carried out of an internal lock, to be woken and dropped where user code may do anything.

use std::any::Any;
use std::mem::ManuallyDrop;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::task::Waker;

use super::helper;
use super::line::Line;
use crate::sync::Mutex;

/// How many waiters are notified under one hold of an internal lock.
const BATCH: usize = 16;

/// A batch of wakers, and the first panic that one of them raised: the others are woken all the same.
#[derive(Debug, Default)]
pub(crate) struct Wakes {
    /// The first `len` may be there. The others need not be looked at when this is dropped, which costs as much as
    /// making it.
    batch: [ManuallyDrop<Option<Waker>>; BATCH],
    len: usize,
    /// Wakers beyond a batch, where there is no coming back for the rest.
    more: Vec<Waker>,
    is_unfinished: bool,
    /// A line that has become crowded.
    crowded: Option<Arc<Mutex<Line>>>,
    /// A waker that is no longer needed, to be dropped with the batch.
    old: Option<Waker>,
    panic: Option<Box<dyn Any + Send>>,
}

impl Wakes {
    pub(crate) fn is_full(&self) -> bool {
        self.len == BATCH
    }

    /// Adds a notified waiter's waker.
    pub(crate) fn push(&mut self, waker: Option<Waker>) {
        if self.is_full() {
            self.more.extend(waker);
        } else {
            self.batch[self.len] = ManuallyDrop::new(waker);
            self.len += 1;
        }
    }

    /// Keeps a waker that is not needed any more, to be dropped with the batch.
    pub(crate) fn keep(&mut self, waker: Option<Waker>) {
        debug_assert!(self.old.is_none(), "one waiter leaves at a time");
        self.old = waker;
    }

    /// Calls the helper to a line that has become crowded, when the batch is woken.
    pub(crate) fn call_helper(&mut self, line: Arc<Mutex<Line>>) {
        self.crowded = Some(line);
    }

    /// Notes that the batch ran full: others must be notified when it is woken.
    pub(crate) fn come_back(&mut self) {
        self.is_unfinished = true;
    }

    /// Whether the batch ran full.
    pub(crate) fn is_unfinished(&self) -> bool {
        self.is_unfinished
    }

    /// Wakes the batch, outside every internal lock. Returns whether it ran full.
    pub(crate) fn wake(&mut self) -> bool {
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
        if let Some(line) = self.crowded.take() {
            helper::watch(line);
        }
        std::mem::take(&mut self.is_unfinished)
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

    /// Forgets a waker's panic: there is nobody to pass it on to, and to drop it might panic again.
    pub(crate) fn forget_panic(&mut self) {
        if let Some(panic) = self.panic.take() {
            let _ = ManuallyDrop::new(panic);
        }
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

impl Drop for Wakes {
    fn drop(&mut self) {
        for waker in &mut self.batch[..self.len] {
            drop(waker.take());
        }
    }
}
