//! A counting semaphore with a line: the machine inside `Mutex`, `RwLock` and `Semaphore`.

use std::fmt;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::Waker;

use super::line::{Line, Pool, Step};
use super::list::Node;
use super::policy::{Refusal, Word};
use super::wakes::Wakes;
use crate::error::Busy;
use crate::sync::{AtomicUsize, Mutex, Ordering};

/// An atomic state word, and the line of waiters for its permits.
pub struct Core {
    permits: Permits,
    /// Made when a caller has to wait for the first time. The helper may still use it after this lock has moved.
    line: OnceLock<Arc<Mutex<Line>>>,
}

struct Permits {
    word: AtomicUsize,
    /// How many there are in all; written under the line's lock.
    total: AtomicUsize,
}

impl Pool for Permits {
    fn word(&self) -> Word {
        Word(self.word.load(Ordering::Relaxed))
    }

    fn swap(&self, seen: Word, next: Word) -> bool {
        self.word.compare_exchange(seen.0, next.0, Ordering::Acquire, Ordering::Relaxed).is_ok()
    }

    fn total(&self) -> usize {
        self.total.load(Ordering::Relaxed)
    }
}

impl Core {
    #[cfg(not(latchwork_loom))]
    pub(crate) const fn new(permits: usize) -> Self {
        let word = AtomicUsize::new(Word::free(permits).0);
        Self { permits: Permits { word, total: AtomicUsize::new(permits) }, line: OnceLock::new() }
    }

    #[cfg(latchwork_loom)]
    pub(crate) fn new(permits: usize) -> Self {
        let word = AtomicUsize::new(Word::free(permits).0);
        Self { permits: Permits { word, total: AtomicUsize::new(permits) }, line: OnceLock::new() }
    }

    /// A newcomer's attempt, which stands back behind waiters as the policy says.
    #[inline]
    pub(crate) fn take(&self, need: usize, whole: bool) -> bool {
        self.take_as_newcomer(need, whole).is_ok()
    }

    /// A `try_` call's attempt: a newcomer's that does not wait.
    #[inline]
    pub(crate) fn try_take(&self, need: usize, whole: bool) -> bool {
        match self.take_as_newcomer(need, whole) {
            Ok(()) => true,
            Err(Refusal::Short) => false,
            Err(Refusal::Reserved) => self.try_take_slow(need),
        }
    }

    /// One that takes the `whole` expects to find it free and swaps at once: to look first would fetch the
    /// word's cache line twice when another core has it, a quarter of the time of a contended lock.
    #[inline]
    fn take_as_newcomer(&self, need: usize, whole: bool) -> Result<(), Refusal> {
        let mut seen = if whole {
            match self.swap(Word::free(need), Word::free(0)) {
                Ok(()) => return Ok(()),
                Err(now) => now,
            }
        } else {
            self.permits.word()
        };
        loop {
            match self.swap(seen, seen.take(need)?) {
                Ok(()) => return Ok(()),
                Err(now) => seen = now,
            }
        }
    }

    #[inline]
    fn swap(&self, seen: Word, next: Word) -> Result<(), Word> {
        self.permits
            .word
            .compare_exchange_weak(seen.0, next.0, Ordering::Acquire, Ordering::Relaxed)
            .map(drop)
            .map_err(Word)
    }

    #[cold]
    fn try_take_slow(&self, need: usize) -> bool {
        let mut wakes = Wakes::default();
        let taken = self.with_line(&mut wakes, |line, wakes| line.try_take(&self.permits, need, wakes));
        self.flush(&mut wakes);
        self.finish(&mut wakes, taken, need);
        taken
    }

    /// Makes one attempt for the waiter that owns `node`; see [`Line::step`]. A newcomer does not enlist behind
    /// `max_waiters` others.
    #[cold]
    pub(crate) fn step(
        &self,
        mut node: Pin<&mut Node>,
        need: usize,
        task: &Waker,
        max_waiters: usize,
    ) -> Option<Result<(), Busy>> {
        let mut wakes = Wakes::default();
        let is_newcomer = !node.is_enlisted();
        // Wakers are cloned, woken and dropped outside the internal lock: they are user code.
        let mut spare = is_newcomer.then(|| task.clone());
        let outcome = loop {
            let step = self.with_line(&mut wakes, |line, wakes| {
                // In the same critical section that enlists, so that there are never more.
                if is_newcomer && line.len() >= max_waiters {
                    let taken = line.try_take(&self.permits, need, wakes);
                    return if taken { Ok(Step::Taken) } else { Err(Busy::new(line.len(), None)) };
                }
                Ok(line.step(&self.permits, node.as_mut(), need, task, &mut spare, wakes))
            });
            match step {
                Ok(Step::Taken) => break Some(Ok(())),
                Ok(Step::Refused) => break None,
                Ok(Step::NeedsWaker) => spare = Some(task.clone()),
                Err(busy) => break Some(Err(busy)),
            }
        };
        if let Some(spare) = spare {
            wakes.discard(spare);
        }
        self.flush(&mut wakes);
        self.finish(&mut wakes, matches!(outcome, Some(Ok(()))), need);
        outcome
    }

    /// The owner of `node` gives up.
    #[cold]
    pub(crate) fn leave(&self, node: Pin<&mut Node>) {
        let mut wakes = Wakes::default();
        self.with_line(&mut wakes, |line, wakes| line.leave(&self.permits, node, wakes));
        self.flush(&mut wakes);
        wakes.finish();
    }

    /// Gives `permits` back, and notifies waiters for them. Ownership is not handed over: the permits are in the word, and
    /// the next caller takes them, or the one for which they are reserved.
    #[inline]
    pub(crate) fn release(&self, permits: usize) {
        let before = Word(self.permits.word.fetch_add(Word::delta(permits), Ordering::Release));
        if before.is_queued() {
            self.released(before.give(permits));
        }
    }

    /// Returns how many permits can be taken now.
    pub(crate) fn available(&self) -> usize {
        self.permits.word().permits()
    }

    /// Returns how many permits there are in all.
    pub(crate) fn total(&self) -> usize {
        self.permits.total()
    }

    /// Returns how many wait.
    pub(crate) fn waiters(&self) -> usize {
        self.line.get().map_or(0, |line| line.lock().len())
    }

    /// Returns the error of a `try_` call that was refused.
    #[cold]
    pub(crate) fn busy(&self) -> Busy {
        Busy::new(self.waiters(), None)
    }

    /// Adds `permits` to those that there are. Returns `false`, and adds none, if they would be more than `most`.
    pub(crate) fn grow(&self, permits: usize, most: usize) -> bool {
        let mut wakes = Wakes::default();
        let grown = self.with_line(&mut wakes, |line, wakes| {
            let total = self.total().checked_add(permits).filter(|total| *total <= most);
            if let Some(total) = total {
                self.permits.total.store(total, Ordering::Relaxed);
                self.permits.word.fetch_add(Word::delta(permits), Ordering::Release);
                line.grown(&self.permits, wakes);
            }
            total.is_some()
        });
        self.flush(&mut wakes);
        wakes.finish();
        grown
    }

    /// Removes `permits` that the caller holds from the total.
    pub(crate) fn shrink(&self, permits: usize) {
        let mut wakes = Wakes::default();
        self.with_line(&mut wakes, |line, wakes| {
            self.permits.total.store(self.total() - permits, Ordering::Relaxed);
            // Waiters that want more than there is now must no longer block the others.
            line.settle(&self.permits, wakes);
        });
        self.flush(&mut wakes);
        wakes.finish();
    }

    /// Takes up to `permits` that nobody holds out of those that there are, also if they are reserved for a waiter.
    /// Returns how many.
    pub(crate) fn shrink_available(&self, permits: usize) -> usize {
        let mut wakes = Wakes::default();
        let taken = self.with_line(&mut wakes, |line, wakes| {
            let taken = loop {
                let seen = self.permits.word();
                let taken = seen.permits().min(permits);
                if self.permits.swap(seen, seen.take_turn(taken)) {
                    break taken;
                }
            };
            self.permits.total.store(self.total() - taken, Ordering::Relaxed);
            // As in `shrink`. A waiter that was notified of these permits comes in vain, as if another had taken them.
            line.settle(&self.permits, wakes);
            taken
        });
        self.flush(&mut wakes);
        wakes.finish();
        taken
    }

    /// Permits were given back to a word with a queue, which is `word` since.
    #[cold]
    fn released(&self, word: Word) {
        if !word.must_look() {
            return;
        }
        let mut wakes = Wakes::default();
        self.with_line(&mut wakes, |line, wakes| line.released(&self.permits, wakes));
        self.flush(&mut wakes);
        wakes.finish();
    }

    /// Does something under the line's lock. Everything in `wakes` is for after it.
    fn with_line<R>(&self, wakes: &mut Wakes, act: impl FnOnce(&mut Line, &mut Wakes) -> R) -> R {
        let shared = self.line.get_or_init(|| Arc::new(Mutex::new(Line::new())));
        let mut line = shared.lock();
        let outcome = act(&mut line, wakes);
        if line.begin_watch() {
            wakes.call_helper(shared.clone());
        }
        outcome
    }

    /// Wakes batch after batch, each outside the internal lock.
    fn flush(&self, wakes: &mut Wakes) {
        while wakes.wake() {
            self.with_line(wakes, |line, wakes| line.settle(&self.permits, wakes));
        }
    }

    /// Passes on a waker's panic. No guard comes of an attempt that panics, so what it took goes back.
    fn finish(&self, wakes: &mut Wakes, taken: bool, need: usize) {
        wakes.finish_or(|| {
            if taken {
                self.release(need);
            }
        });
    }
}

impl fmt::Debug for Core {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = self.permits.word();
        f.debug_struct("Core")
            .field("available", &word.permits())
            .field("waited_for", &word.is_waited_for())
            .finish()
    }
}

// A core holds no user values, and every panic leaves it consistent.
impl UnwindSafe for Core {}
impl RefUnwindSafe for Core {}

/// Has a [`Core`].
pub trait AsCore {
    /// Returns the core.
    #[doc(hidden)]
    fn core(&self) -> &Core;
}
