//! Histories of two or three threads, checked for linearizability.
//!
//! Each call is recorded with the moments of a global counter at which it began and ended. A history
//! is fine if its calls can be put in one order that a single-threaded lock would have answered in the
//! same way, and in which no call stands before one that had ended when it began. The search is the
//! one of Wing and Gong, "Testing and verifying concurrent objects" (1993).

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier};
use std::thread;

use fastrand::Rng;
use latchwork::{KeyedLock, Mutex, RwLock, Semaphore};

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

#[derive(Clone, Copy, Debug)]
struct Entry {
    call: Call,
    answer: Answer,
    begin: usize,
    end: usize,
}

/// A lock as one thread alone would see it.
#[derive(Clone, Copy, Default)]
struct Spec {
    alone: bool,
    sharers: usize,
    number: u64,
}

impl Spec {
    /// The state after a call, if it may be answered so.
    fn step(mut self, call: Call, answer: Answer) -> Option<Self> {
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

/// Whether the calls that are left can be put in order from `spec` on.
fn is_linear(history: &[Entry], spec: Spec) -> bool {
    let Some(first_end) = history.iter().map(|entry| entry.end).min() else { return true };
    (0..history.len()).filter(|&at| history[at].begin < first_end).any(|at| {
        let Some(next) = spec.step(history[at].call, history[at].answer) else { return false };
        let mut rest = history.to_vec();
        rest.swap_remove(at);
        is_linear(&rest, next)
    })
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
        let permit = if trying { self.lock.try_acquire(1).ok()? } else { self.lock.acquire().wait() };
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
fn play(lock: &dyn Number, shares: bool, seed: u64, clock: &AtomicUsize) -> Vec<Entry> {
    let mut rng = Rng::with_seed(seed);
    let mut entries = Vec::new();
    let now = || clock.fetch_add(1, Ordering::SeqCst);
    for _ in 0..4 {
        let (shared, trying) = (shares && rng.bool(), rng.bool());
        let begin = now();
        let taken = lock.take(shared, trying);
        let end = now();
        let call = match (shared, trying) {
            (true, true) => Call::TryShare,
            (true, false) => Call::Share,
            (false, true) => Call::TryLock,
            (false, false) => Call::Lock,
        };
        let answer = taken.as_ref().map_or(Answer::Busy, |(seen, _)| Answer::Held(*seen));
        entries.push(Entry { call, answer, begin, end });
        if taken.is_some() {
            // So that the others come in between, which two processors seldom do by themselves.
            if rng.bool() {
                thread::yield_now();
            }
            let begin = now();
            drop(taken);
            let call = if shared { Call::Unshare } else { Call::Unlock };
            entries.push(Entry { call, answer: Answer::Done, begin, end: now() });
        }
    }
    entries
}

/// Many short histories, each on a new lock. Returns how many answers were `Busy`.
fn check<N: Number + 'static>(make: fn() -> N, shares: bool) {
    const HISTORIES: u64 = 1000;
    let busy: usize = (0..HISTORIES)
        .map(|round| {
            let threads = 2 + round % 2;
            let (lock, clock) = (Arc::new(make()), Arc::new(AtomicUsize::new(0)));
            let start = Arc::new(Barrier::new(threads as usize));
            let players: Vec<_> = (0..threads)
                .map(|thread| {
                    let (lock, clock, start) = (lock.clone(), clock.clone(), start.clone());
                    thread::spawn(move || {
                        start.wait();
                        play(&*lock, shares, round * 3 + thread, &clock)
                    })
                })
                .collect();
            let history: Vec<_> =
                players.into_iter().flat_map(|player| player.join().expect("it does not panic")).collect();
            assert!(is_linear(&history, Spec::default()), "no order explains {history:#?}");
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
