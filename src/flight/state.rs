//! One flight: its lead, the line of the calls that joined it, and its value.

use std::cell::Cell;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Waker;

use crate::sync::Mutex;
use crate::wait::{Line, Node, Pool, Step, Wakes, Word};

/// The work for one key, from its first leader until there is a value. The table, the leader and each call that
/// joined keep it.
pub(super) struct Flight<V> {
    inside: Mutex<Inside<V>>,
}

struct Inside<V> {
    lead: Lead,
    /// Made when a call enlists for the first time. The helper may look at it when the flight is over.
    line: Option<Arc<Mutex<Line>>>,
    /// The end of the flight: no call leads or enlists after it.
    value: Option<Arc<V>>,
}

/// The lead is a permit of which there is one, as in a mutex. The flight's lock guards its word.
struct Lead(Cell<Word>);

impl Pool for Lead {
    fn word(&self) -> Word {
        self.0.get()
    }

    fn swap(&self, _: Word, next: Word) -> bool {
        self.0.set(next);
        true
    }

    fn total(&self) -> usize {
        1
    }
}

/// What a call that joined finds.
#[derive(Debug)]
pub enum Found<V> {
    /// The lead, which now belongs to the call.
    Lead,
    Value(Arc<V>),
}

impl<V> Inside<V> {
    /// Runs `act` on the line. What it puts into `wakes` is woken after the flight's lock is released.
    fn with_line<R>(&mut self, wakes: &mut Wakes, act: impl FnOnce(&mut Line, &Lead, &mut Wakes) -> R) -> R {
        let shared = self.line.get_or_insert_with(|| Arc::new(Mutex::new(Line::new())));
        let mut line = shared.lock();
        let outcome = act(&mut line, &self.lead, wakes);
        // A call that was notified may be silent. While a call leads, no notified call is waited for.
        if line.begin_watch_of_notified() {
            wakes.call_helper(shared.clone());
        }
        outcome
    }
}

impl<V> Flight<V> {
    /// Creates a flight that the caller leads.
    pub(super) fn led() -> Self {
        let lead = Lead(Cell::new(Word::free(0)));
        Self { inside: Mutex::new(Inside { lead, line: None, value: None }) }
    }

    /// Makes a newcomer's attempt: returns the value, or the lead if that is free. As at every lock, a newcomer may have
    /// to let waiters go first.
    pub(super) fn take(&self) -> Option<Found<V>> {
        let inside = self.inside.lock();
        if let Some(value) = &inside.value {
            return Some(Found::Value(value.clone()));
        }
        let next = inside.lead.word().take(1).ok()?;
        inside.lead.0.set(next);
        Some(Found::Lead)
    }

    /// Makes one attempt of the call that owns `node`: returns the value, or the lead if it is the call's turn. Otherwise
    /// the call is enlisted, and will be woken.
    pub(super) fn step(&self, mut node: Pin<&mut Node>, task: &Waker) -> Option<Found<V>> {
        // Wakers are cloned, woken and dropped outside the locks: they are user code.
        let mut waker = if node.is_enlisted() { None } else { Some(task.clone()) };
        let value = {
            let inside = self.inside.lock();
            let line = inside.line.as_ref().map(|line| line.lock());
            match (&inside.value, line) {
                (Some(value), Some(mut line)) if node.is_enlisted() => {
                    waker = line.dismissed(node.as_mut());
                    Some(value.clone())
                }
                (None, Some(mut line)) => {
                    // Most of the calls that join: others wait already.
                    if line.enlist_behind(&inside.lead, node.as_mut(), 1, &mut waker) {
                        return None;
                    }
                    None
                }
                (value, _) => value.clone(),
            }
        };
        let Some(value) = value else { return self.step_slow(node, task, waker) };
        if let Some(waker) = waker {
            let mut wakes = Wakes::default();
            wakes.discard(waker);
            wakes.finish();
        }
        Some(Found::Value(value))
    }

    #[cold]
    fn step_slow(
        &self,
        mut node: Pin<&mut Node>,
        task: &Waker,
        mut spare: Option<Waker>,
    ) -> Option<Found<V>> {
        let mut wakes = Wakes::default();
        let found = loop {
            {
                let mut inside = self.inside.lock();
                if let Some(value) = inside.value.clone() {
                    if node.is_enlisted() {
                        inside.with_line(&mut wakes, |line, _, wakes| wakes.keep(line.dismissed(node)));
                    }
                    break Some(Found::Value(value));
                }
                let step = inside.with_line(&mut wakes, |line, lead, wakes| {
                    line.step(lead, node.as_mut(), 1, task, &mut spare, wakes)
                });
                match step {
                    Step::Taken => break Some(Found::Lead),
                    Step::Refused => break None,
                    Step::NeedsWaker => {}
                }
            }
            spare = Some(task.clone());
        };
        if let Some(spare) = spare {
            wakes.discard(spare);
        }
        wake(&mut wakes);
        // A call that panics does not lead, so the lead goes back.
        wakes.finish_or(|| {
            if matches!(found, Some(Found::Lead)) {
                let mut wakes = Wakes::default();
                self.abort(&mut wakes);
                wake(&mut wakes);
                wakes.forget_panic();
            }
        });
        found
    }

    /// Takes the call that owns `node` out of the line. If it was notified, the next one is notified.
    pub(super) fn leave(&self, node: Pin<&mut Node>) {
        let mut wakes = Wakes::default();
        self.inside.lock().with_line(&mut wakes, |line, lead, wakes| line.leave(lead, node, wakes));
        wake(&mut wakes);
        wakes.finish();
    }

    /// Ends a lead without a value, and notifies the call whose turn it is. Its waker is in `wakes`.
    pub(super) fn abort(&self, wakes: &mut Wakes) {
        let mut inside = self.inside.lock();
        let free = inside.lead.word().give(1);
        inside.lead.0.set(free);
        if free.must_look() {
            inside.with_line(wakes, |line, lead, wakes| line.released(lead, wakes));
        }
    }

    /// Ends the flight with its value, and wakes all calls. Their panics are kept in `wakes`: the caller passes them on
    /// when it has finished.
    pub(super) fn land(&self, value: Arc<V>, wakes: &mut Wakes) {
        let mut value = Some(value);
        loop {
            let is_done = {
                let mut inside = self.inside.lock();
                if let Some(value) = value.take() {
                    inside.value = Some(value);
                }
                // Without a line no call has enlisted, and none will: the value is there.
                inside.line.is_none() || inside.with_line(wakes, |line, _, wakes| line.dismiss(wakes))
            };
            wakes.wake();
            if is_done {
                return;
            }
        }
    }
}

/// Wakes the call that was notified, outside the locks.
fn wake(wakes: &mut Wakes) {
    let is_unfinished = wakes.wake();
    debug_assert!(!is_unfinished, "one lead is offered to one call at a time");
}
