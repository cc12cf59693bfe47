//! Locks in the hands of two or three threads, checked for linearizability.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use fastrand::Rng;
use latchwork::{KeyedLock, Mutex, RwLock, Semaphore};

use crate::history::{self, EntryOf, Recorder, gather};

/// What is done to a lock that protects a number.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Call {
    Lock,
    TryLock,
    Share,
    TryShare,
    Unlock,
    Unshare,
}

/// What it answered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Answer {
    /// Held, with the number found; exclusive holders then count it up.
    Held(u64),
    Busy,
    Done,
}

type Entry = EntryOf<Spec>;

/// A lock as one thread alone would see it.
#[derive(Clone, Copy, Default)]
struct Spec {
    alone: bool,
    sharers: usize,
    number: u64,
}

impl history::Spec for Spec {
    type Call = Call;
    type Answer = Answer;

    fn step(mut self, call: &Call, answer: &Answer) -> Option<Self> {
        let (call, answer) = (*call, *answer);
        let fits = match call {
            Call::Lock | Call::TryLock => !self.alone && self.sharers == 0,
            Call::Share | Call::TryShare => !self.alone,
            Call::Unlock | Call::Unshare => true,
        };
        match (call, answer) {
            (Call::Lock | Call::TryLock, Answer::Held(seen)) if fits && seen == self.number => {
                self.alone = true;
                self.number += 1;
            }
            (Call::Share | Call::TryShare, Answer::Held(seen)) if fits && seen == self.number => {
                self.sharers += 1;
            }
            (Call::TryLock | Call::TryShare, Answer::Busy) if !fits => {}
            (Call::Unlock, Answer::Done) => self.alone = false,
            (Call::Unshare, Answer::Done) => self.sharers -= 1,
            _ => return None,
        }
        Some(self)
    }
}

fn is_linear(history: &[Entry], spec: Spec) -> bool {
    history::is_linear(history, &spec)
}

/// A lock on a number; the guards do what `Spec` says.
trait Number: Send + Sync {
    /// Takes it alone or shared, counts up if alone, and returns the number found with the guard.
    fn take(&self, shared: bool, trying: bool) -> Option<(u64, Box<dyn Guard + '_>)>;
}

trait Guard {}
impl<G> Guard for G {}

/// The number beside a lock that has no value of its own. Relaxed: the lock has to do the rest.
#[derive(Default)]
struct Beside<L> {
    lock: L,
    number: AtomicUsize,
}

impl<L> Beside<L> {
    fn visit(&self, shared: bool) -> u64 {
        let seen = self.number.load(Ordering::Relaxed);
        self.number.store(seen + usize::from(!shared), Ordering::Relaxed);
        seen as u64
    }
}

impl Number for Mutex<u64> {
    fn take(&self, _: bool, trying: bool) -> Option<(u64, Box<dyn Guard + '_>)> {
        let mut guard = if trying { self.try_lock().ok()? } else { self.lock().wait() };
        *guard += 1;
        Some((*guard - 1, Box::new(guard)))
    }
}

impl Number for RwLock<u64> {
    fn take(&self, shared: bool, trying: bool) -> Option<(u64, Box<dyn Guard + '_>)> {
        if shared {
            let guard = if trying { self.try_read().ok()? } else { self.read().wait() };
            return Some((*guard, Box::new(guard)));
        }
        let mut guard = if trying { self.try_write().ok()? } else { self.write().wait() };
        *guard += 1;
        Some((*guard - 1, Box::new(guard)))
    }
}

impl Number for Beside<Semaphore> {
    fn take(&self, _: bool, trying: bool) -> Option<(u64, Box<dyn Guard + '_>)> {
        let permit = if trying { self.lock.try_acquire().ok()? } else { self.lock.acquire().wait() };
        Some((self.visit(false), Box::new(permit)))
    }
}

impl Number for Beside<KeyedLock<u32>> {
    fn take(&self, shared: bool, trying: bool) -> Option<(u64, Box<dyn Guard + '_>)> {
        let guard = match (shared, trying) {
            (true, true) => self.lock.try_lock_shared(1).ok()?,
            (true, false) => self.lock.lock_shared(1).wait(),
            (false, true) => self.lock.try_lock(1).ok()?,
            (false, false) => self.lock.lock(1).wait(),
        };
        // Sharers do not write: nobody else may be counting up meanwhile.
        let seen = if shared { self.number.load(Ordering::Relaxed) as u64 } else { self.visit(false) };
        Some((seen, Box::new(guard)))
    }
}

/// Runs one thread's part, recording what it does.
fn play(lock: &dyn Number, shares: bool, seed: u64, recorder: &mut Recorder<Call, Answer>) {
    let mut rng = Rng::with_seed(seed);
    for _ in 0..4 {
        let (shared, trying) = (shares && rng.bool(), rng.bool());
        let begin = recorder.now();
        let taken = lock.take(shared, trying);
        let end = recorder.now();
        let call = match (shared, trying) {
            (true, true) => Call::TryShare,
            (true, false) => Call::Share,
            (false, true) => Call::TryLock,
            (false, false) => Call::Lock,
        };
        let answer = taken.as_ref().map_or(Answer::Busy, |(seen, _)| Answer::Held(*seen));
        recorder.push(Entry { call, answer, begin, end });
        if taken.is_some() {
            // So that the others come in between, which two processors seldom do by themselves.
            if rng.bool() {
                thread::yield_now();
            }
            let call = if shared { Call::Unshare } else { Call::Unlock };
            recorder.record(call, |_| {
                drop(taken);
                Answer::Done
            });
        }
    }
}

/// Whether a `try_` call may have been refused for the sake of a waiter, for whom the lock was reserved.
fn is_polite(entry: &Entry, history: &[Entry]) -> bool {
    let waits = |other: &Entry| {
        matches!(other.call, Call::Lock | Call::Share) && other.begin < entry.end && entry.begin < other.end
    };
    entry.answer == Answer::Busy && history.iter().any(waits)
}

/// Many short histories, each on a new lock. Returns how many answers were `Busy`.
fn check<N: Number + 'static>(make: fn() -> N, shares: bool) {
    const HISTORIES: u64 = 1000;
    let busy: usize = (0..HISTORIES)
        .map(|round| {
            let lock = Arc::new(make());
            let history = gather(2 + round % 2, move |thread, recorder| {
                play(&*lock, shares, round * 3 + thread, recorder);
            });
            let exact: Vec<Entry> =
                history.iter().filter(|entry| !is_polite(entry, &history)).copied().collect();
            assert!(is_linear(&exact, Spec::default()), "no order explains {exact:#?}");
            history.iter().filter(|entry| entry.answer == Answer::Busy).count()
        })
        .sum();
    println!("{busy} calls were refused");
}

#[test]
fn a_mutex_is_linearizable() {
    check(Mutex::<u64>::default, false);
}

#[test]
fn a_rwlock_is_linearizable() {
    check(RwLock::<u64>::default, true);
}

#[test]
fn a_semaphore_of_one_is_linearizable() {
    check(|| Beside { lock: Semaphore::new(1), number: AtomicUsize::new(0) }, false);
}

#[test]
fn a_key_is_linearizable() {
    check(Beside::<KeyedLock<u32>>::default, true);
}

#[test]
fn the_checker_tells_good_histories_from_bad_ones() {
    let entry = |call, answer, begin, end| Entry { call, answer, begin, end };
    let (lock, held, done) = (Call::Lock, Answer::Held, Answer::Done);
    let good = [
        // The second call began before the unlock and ended after it.
        entry(lock, held(0), 0, 1),
        entry(Call::TryLock, Answer::Busy, 2, 3),
        entry(lock, held(1), 4, 7),
        entry(Call::Unlock, done, 5, 6),
        entry(Call::Unlock, done, 8, 9),
    ];
    assert!(is_linear(&good, Spec::default()));
    let bad: [&[Entry]; 4] = [
        &[entry(lock, held(0), 0, 1), entry(lock, held(1), 2, 3)],
        &[entry(Call::TryLock, Answer::Busy, 0, 1)],
        &[entry(lock, held(0), 0, 1), entry(Call::Unlock, done, 2, 3), entry(lock, held(0), 4, 5)],
        &[entry(Call::Share, held(0), 0, 3), entry(lock, held(0), 1, 2), entry(Call::Unshare, done, 4, 5)],
    ];
    for history in bad {
        assert!(!is_linear(history, Spec::default()), "{history:?}");
    }
}
