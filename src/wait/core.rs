//! A counting semaphore with a line: the machine inside `Mutex`, `RwLock` and `Semaphore`.

use std::fmt;
use std::pin::Pin;
use std::task::Waker;

use super::line::{Line, Step, Waiting, WordCell};
use super::list::Node;
use super::policy::{OVERTAKE_LIMIT, Refusal, Word};
use super::wakes::Wakes;
use crate::sync::{AtomicUsize, Mutex, Ordering};

/// An atomic state word, and the line of those who wait for its permits.
pub struct Core {
    word: AtomicUsize,
    line: Mutex<Line>,
}

impl Core {
    #[cfg(not(latchwork_loom))]
    pub(crate) const fn new(permits: usize) -> Self {
        Self { word: AtomicUsize::new(Word::free(permits).0), line: Mutex::new(Line::new()) }
    }

    #[cfg(latchwork_loom)]
    pub(crate) fn new(permits: usize) -> Self {
        Self { word: AtomicUsize::new(Word::free(permits).0), line: Mutex::new(Line::new()) }
    }

    /// A newcomer's attempt, which stands back behind waiters as the policy says.
    ///
    /// Who takes the `whole` expects to find it free and swaps at once: to look first would fetch the
    /// word's cache line twice when another core has it, a quarter of the time of a contended lock.
    #[inline]
    pub(crate) fn take(&self, need: usize, whole: bool) -> bool {
        let mut seen = if whole { Word::free(need) } else { Word(self.word.load(Ordering::Relaxed)) };
        loop {
            // The clock is not read here: where the policy asks for it, the slow path decides.
            match seen.take(need, false, || true) {
                Ok(next) => match self.exchange(seen, next) {
                    Ok(()) => return true,
                    Err(now) => seen = now,
                },
                Err(Refusal::Short) => return false,
                Err(Refusal::Reserved) => return seen.overtaken() < OVERTAKE_LIMIT && self.take_slow(need),
            }
        }
    }

    /// A `try_` call's attempt: it never waits, so it does not stand back either.
    #[inline]
    pub(crate) fn barge(&self, need: usize) -> bool {
        let mut seen = Word(self.word.load(Ordering::Relaxed));
        while let Some(next) = seen.barge(need) {
            match self.exchange(seen, next) {
                Ok(()) => return true,
                Err(now) => seen = now,
            }
        }
        false
    }

    /// One attempt of the waiter that owns `node`; see [`Line::step`].
    #[cold]
    pub(crate) fn step(&self, mut node: Pin<&mut Node>, need: usize, task: &Waker) -> Result<(), Waiting> {
        let mut wakes = Wakes::default();
        // Wakers are cloned, woken and dropped outside the internal lock: they are user code.
        let mut spare = if node.is_enlisted() { None } else { Some(task.clone()) };
        let outcome = loop {
            match self.line.lock().step(&self.word, node.as_mut(), need, task, &mut spare, &mut wakes) {
                Step::Taken => break Ok(()),
                Step::Refused(waiting) => break Err(waiting),
                Step::NeedsWaker => {}
            }
            spare = Some(task.clone());
        };
        if let Some(spare) = spare {
            wakes.discard(spare);
        }
        self.flush(&mut wakes);
        // No guard comes of a step that panics.
        wakes.finish_or(|| {
            if outcome.is_ok() {
                self.release(need);
            }
        });
        outcome
    }

    /// The owner of `node` gives up.
    #[cold]
    pub(crate) fn leave(&self, node: Pin<&mut Node>, need: usize) {
        let mut wakes = Wakes::default();
        self.line.lock().leave(&self.word, node, need, &mut wakes);
        self.flush(&mut wakes);
        wakes.finish();
    }

    /// Gives `permits` back, and tells whoever waits for them. No ownership is handed over: the
    /// permits are in the word, and whoever comes first takes them.
    #[inline]
    pub(crate) fn release(&self, permits: usize) {
        let before = Word(self.word.fetch_add(Word::delta(permits), Ordering::Release));
        if before.is_queued() {
            self.tell(permits);
        }
    }

    /// Permits that can be taken now.
    pub(crate) fn available(&self) -> usize {
        self.word.get().permits()
    }

    /// How many wait.
    pub(crate) fn waiters(&self) -> usize {
        if self.word.get().is_waited_for() { self.line.lock().len() } else { 0 }
    }

    #[inline]
    fn exchange(&self, seen: Word, next: Word) -> Result<(), Word> {
        self.word
            .compare_exchange_weak(seen.0, next.0, Ordering::Acquire, Ordering::Relaxed)
            .map(drop)
            .map_err(Word)
    }

    #[cold]
    fn take_slow(&self, need: usize) -> bool {
        self.line.lock().take(&self.word, need)
    }

    #[cold]
    fn tell(&self, permits: usize) {
        let mut wakes = Wakes::default();
        self.line.lock().tell(&self.word, permits, &mut wakes);
        self.flush(&mut wakes);
        wakes.finish();
    }

    /// Wakes batch after batch, each outside the internal lock.
    fn flush(&self, wakes: &mut Wakes) {
        while let Some(rest) = wakes.wake() {
            self.line.lock().tell(&self.word, rest, wakes);
        }
    }
}

impl fmt::Debug for Core {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = self.word.get();
        f.debug_struct("Core")
            .field("available", &word.permits())
            .field("waited_for", &word.is_waited_for())
            .finish()
    }
}

/// Whatever has a [`Core`].
pub trait AsCore {
    /// The core.
    #[doc(hidden)]
    fn core(&self) -> &Core;
}
