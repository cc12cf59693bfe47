//! The locks that the actors share, what they protect, and what can be done with them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use fastrand::Rng;
use latchwork::{KeyedLock, KeyedSemaphore, Mutex, RwLock, Semaphore};

use crate::plain::Plain;

pub(crate) const KEYS: usize = 6;
pub(crate) const PERMITS: usize = 3;
pub(crate) const SEATS: usize = 2;

/// What an actor acquires.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Op {
    Mutex,
    Read,
    Write,
    WriteThenRead,
    Permits(usize),
    Key(usize),
    KeyShared(usize),
    /// Three keys, named in some order, maybe the same twice.
    Keys([usize; 3]),
    Seats(usize, usize),
}

impl Op {
    pub(crate) fn code(self) -> usize {
        match self {
            Op::Mutex => 0,
            Op::Read => 1,
            Op::Write => 2,
            Op::WriteThenRead => 3,
            Op::Permits(count) => 10 + count,
            Op::Key(key) => 20 + key,
            Op::KeyShared(key) => 30 + key,
            Op::Keys([a, b, c]) => 1000 + 100 * a + 10 * b + c,
            Op::Seats(key, count) => 100 + 10 * key + count,
        }
    }

    pub(crate) fn from_code(code: usize) -> Self {
        match code {
            0 => Op::Mutex,
            1 => Op::Read,
            2 => Op::Write,
            3 => Op::WriteThenRead,
            10..20 => Op::Permits(code - 10),
            20..30 => Op::Key(code - 20),
            30..40 => Op::KeyShared(code - 30),
            100..200 => Op::Seats(code / 10 % 10, code % 10),
            _ => Op::Keys([code / 100 % 10, code / 10 % 10, code % 10]),
        }
    }
}

/// How it waits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum How {
    Wait,
    Try,
    /// For so many microseconds.
    Timeout(u32),
    /// It is polled once and then given up.
    Cancel,
    /// It is polled once and kept, while its owner does other things with the same locks.
    Silent,
}

impl How {
    pub(crate) fn code(self) -> u32 {
        match self {
            How::Wait => 0,
            How::Try => 1,
            How::Cancel => 2,
            How::Silent => 3,
            How::Timeout(micros) => 4 + micros,
        }
    }

    pub(crate) fn from_code(code: u32) -> Self {
        match code {
            0 => How::Wait,
            1 => How::Try,
            2 => How::Cancel,
            3 => How::Silent,
            _ => How::Timeout(code - 4),
        }
    }

    pub(crate) fn pick(rng: &mut Rng) -> Self {
        match rng.u32(..10) {
            0 => How::Try,
            1 => How::Cancel,
            2 => How::Timeout(rng.u32(..150)),
            3 if rng.u32(..20) == 0 => How::Silent,
            _ => How::Wait,
        }
    }
}

/// What it does with what it has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Then {
    Drop,
    Yield,
    Panic,
    /// The guard is dropped by another thread.
    Send,
}

impl Then {
    pub(crate) fn pick(rng: &mut Rng) -> Self {
        match rng.u32(..40) {
            0 => Then::Panic,
            1 => Then::Send,
            2..8 => Then::Yield,
            _ => Then::Drop,
        }
    }
}

/// What there is to choose from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Menu {
    All,
    Mutex,
    RwLock,
    Semaphore,
    Keys,
}

impl Menu {
    pub(crate) fn pick(self, rng: &mut Rng) -> Op {
        let menu = match self {
            Menu::All => {
                const EACH: [Menu; 4] = [Menu::Mutex, Menu::RwLock, Menu::Semaphore, Menu::Keys];
                EACH[rng.usize(..4)]
            }
            one => one,
        };
        let mut key = || rng.usize(..KEYS);
        let keys = [key(), key(), key()];
        match (menu, rng.u32(..8)) {
            (Menu::Mutex, _) => Op::Mutex,
            (Menu::RwLock, 0..5) => Op::Read,
            (Menu::RwLock, 5) => Op::WriteThenRead,
            (Menu::RwLock, _) => Op::Write,
            (Menu::Semaphore, _) => Op::Permits(rng.usize(..=PERMITS)),
            (_, 0..2) => Op::KeyShared(keys[0]),
            (_, 2..4) => Op::Seats(keys[0], rng.usize(..=SEATS)),
            (_, 4) => Op::Keys(keys),
            _ => Op::Key(keys[0]),
        }
    }
}

/// The locks, what they protect, and how often each was counted up by whom held it alone.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) mutex: Arc<Mutex<u64>>,
    pub(crate) rwlock: Arc<RwLock<(u64, u64)>>,
    pub(crate) semaphore: Arc<Semaphore>,
    pub(crate) keys: Arc<KeyedLock<usize>>,
    pub(crate) seats: Arc<KeyedSemaphore<usize>>,
    pub(crate) values: [Plain; KEYS],
    pub(crate) fences: [AtomicU64; KEYS],
    pub(crate) permits_out: AtomicUsize,
    pub(crate) seats_out: [AtomicUsize; KEYS],
    pub(crate) done: Done,
}

#[derive(Debug, Default)]
pub(crate) struct Done {
    pub(crate) mutex: AtomicU64,
    pub(crate) rwlock: AtomicU64,
    pub(crate) values: [AtomicU64; KEYS],
}

impl World {
    pub(crate) fn new() -> Self {
        Self {
            mutex: Arc::default(),
            rwlock: Arc::default(),
            semaphore: Arc::new(Semaphore::new(PERMITS)),
            // Few shards, so that keys meet.
            keys: Arc::new(KeyedLock::builder().shards(2).track_callers(true).build()),
            seats: Arc::new(KeyedLock::builder().shards(2).track_times(true).build_semaphore(SEATS)),
            values: Default::default(),
            fences: Default::default(),
            permits_out: AtomicUsize::new(0),
            seats_out: Default::default(),
            done: Done::default(),
        }
    }

    /// When everybody has gone: every count is exact, and nothing is held or waited for.
    pub(crate) fn check(&self) {
        let done = |count: &AtomicU64| count.load(Ordering::Relaxed);
        assert_eq!(*self.mutex.try_lock().expect("nobody holds it"), done(&self.done.mutex));
        let both = *self.rwlock.try_write().expect("nobody holds it");
        assert_eq!(both, (done(&self.done.rwlock), done(&self.done.rwlock)));
        assert_eq!((self.semaphore.available(), self.semaphore.total()), (PERMITS, PERMITS));
        assert_eq!((self.keys.len(), self.seats.len()), (0, 0));
        for (value, count) in self.values.iter().zip(&self.done.values) {
            assert_eq!(value.get(), done(count));
        }
        let (keys, seats) = (self.keys.counts(), self.seats.counts());
        assert!(keys.acquired >= self.done.values.iter().map(done).sum());
        assert_eq!((keys.waiting, seats.waiting), (0, 0));
        assert!(keys.waited >= keys.cancelled + keys.timed_out);
        assert!(seats.waited >= seats.cancelled + seats.timed_out);
    }
}
