//! Histories of a few threads, checked for linearizability.
//!
//! Each call is recorded with the moments of a common counter at which it began and ended. A history
//! is fine if its calls can be put in one order that one thread alone would have been answered in the
//! same way, and in which no call stands before one that had ended when it began. The search is the
//! one of Wing and Gong, "Testing and verifying concurrent objects" (1993).

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier};
use std::thread;

/// A call and what it answered.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry<C, A> {
    pub(crate) call: C,
    pub(crate) answer: A,
    pub(crate) begin: usize,
    pub(crate) end: usize,
}

/// The object as one thread alone would see it.
pub(crate) trait Spec: Clone {
    type Call: Clone;
    type Answer: Clone;

    /// The state after a call, if it may be answered so.
    fn step(self, call: &Self::Call, answer: &Self::Answer) -> Option<Self>;
}

pub(crate) type EntryOf<S> = Entry<<S as Spec>::Call, <S as Spec>::Answer>;

/// Whether the calls that are left can be put in order from `spec` on.
pub(crate) fn is_linear<S: Spec>(history: &[EntryOf<S>], spec: &S) -> bool {
    let Some(first_end) = history.iter().map(|entry| entry.end).min() else { return true };
    (0..history.len()).filter(|&at| history[at].begin < first_end).any(|at| {
        let Some(next) = spec.clone().step(&history[at].call, &history[at].answer) else { return false };
        let mut rest = history.to_vec();
        rest.swap_remove(at);
        is_linear(&rest, &next)
    })
}

/// One thread's part of a history.
pub(crate) struct Recorder<C, A> {
    clock: Arc<AtomicUsize>,
    entries: Vec<Entry<C, A>>,
}

impl<C, A: Clone> Recorder<C, A> {
    /// Makes a call and takes down what it answered.
    pub(crate) fn record(&mut self, call: C, make: impl FnOnce(&C) -> A) -> A {
        let begin = self.now();
        let answer = make(&call);
        let end = self.now();
        self.entries.push(Entry { call, answer: answer.clone(), begin, end });
        answer
    }

    pub(crate) fn now(&self) -> usize {
        self.clock.fetch_add(1, Ordering::SeqCst)
    }

    /// Takes down a call that was made elsewhere.
    pub(crate) fn push(&mut self, entry: Entry<C, A>) {
        self.entries.push(entry);
    }
}

/// The history of so many threads that start together and play each its part.
pub(crate) fn gather<C: Send + 'static, A: Send + 'static>(
    threads: u64,
    play: impl Fn(u64, &mut Recorder<C, A>) + Clone + Send + 'static,
) -> Vec<Entry<C, A>> {
    let (clock, start) = (Arc::new(AtomicUsize::new(0)), Arc::new(Barrier::new(threads as usize)));
    let players: Vec<_> = (0..threads)
        .map(|thread| {
            let (clock, start, play) = (clock.clone(), start.clone(), play.clone());
            thread::spawn(move || {
                let mut recorder = Recorder { clock, entries: Vec::new() };
                start.wait();
                play(thread, &mut recorder);
                recorder.entries
            })
        })
        .collect();
    players.into_iter().flat_map(|player| player.join().expect("it does not panic")).collect()
}
