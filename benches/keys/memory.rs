//! What keyed locks allocate, and what they leave behind.

use std::future::Future;
use std::iter;
use std::pin::pin;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Barrier};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::sleep;
use std::time::Duration;

use futures::FutureExt;
use tokio::runtime::Runtime;

use crate::counting::{allocations, growth, so_far};
use crate::harness::crowd::{self, OnThread, Stop};
use crate::harness::{Measure, Report, Round};
use crate::peers::{Awaits, BatchLock, Floor, LockMap, Lockable, Ours, Waits};
use crate::peers::{lock_map as any_lock_map, ours as any_ours};

/// How many operations come before the steady state.
const WARM_UP: u64 = 1000;

fn ours() -> Ours {
    any_ours()
}

fn lock_map() -> LockMap {
    any_lock_map()
}

fn floor() -> Floor {
    Floor::new()
}

pub(crate) fn run(report: &mut Report, runtime: &Runtime) {
    let measure = Measure::new("Allocations per lock, u64 key, free")
        .unit("count")
        .fixed(100_000)
        .run("latchwork", |ops| free(&ours(), ops))
        .bound(0.0)
        .run("floor", |ops| free(&floor(), ops))
        .run("lockmap", |ops| free(&lock_map(), ops))
        .run("batch-lock", |ops| free(&BatchLock::new(), ops))
        .run("lockable", |ops| free(&Lockable::new(), ops));
    report.add(measure);

    let measure = Measure::new("Allocations per lock, u64 key, a task waits for another")
        .unit("count")
        .fixed(100_000)
        .run("latchwork", |ops| tasks_in_turn(&ours(), ops))
        .bound(0.0)
        .run("lockable", |ops| tasks_in_turn(&Lockable::new(), ops));
    report.add(measure);

    let measure = Measure::new("Allocations per lock, u64 key, 4 threads on one key")
        .unit("count")
        .fixed(100_000)
        .run("latchwork", |ops| hot_threads(runtime, ours(), ops))
        .bound(0.0)
        .run("lockmap", |ops| hot_threads(runtime, lock_map(), ops))
        .run("batch-lock", |ops| hot_threads(runtime, BatchLock::new(), ops))
        .run("lockable", |ops| hot_threads(runtime, Lockable::new(), ops));
    report.add(measure);

    for (how_many, keys) in [("100 000", 100_000), ("1 000 000", 1_000_000)] {
        let measure = Measure::new(format!("Heap per held u64 key, {how_many} held"))
            .unit("bytes")
            .fixed(keys)
            .at_most_rounds(3)
            .run("latchwork", |keys| held(&ours(), keys).0)
            .bound(80.0)
            .run("floor", |keys| held(&floor(), keys).0)
            .run("lockmap", |keys| held(&lock_map(), keys).0)
            .run("batch-lock", |keys| held(&BatchLock::new(), keys).0)
            .run("lockable", |keys| held(&Lockable::new(), keys).0);
        report.add(measure);
    }

    let measure = Measure::new("Heap left per idle u64 key: 200 000 beside 100 000 once held")
        .unit("bytes")
        .also("left in all, bytes")
        .fixed(100_000)
        .run("latchwork", |keys| left(&ours(), &ours(), keys))
        .bound(0.0)
        .run("floor", |keys| left(&floor(), &floor(), keys))
        .run("lockmap", |keys| left(&lock_map(), &lock_map(), keys))
        .run("batch-lock", |keys| left(&BatchLock::new(), &BatchLock::new(), keys))
        .run("lockable", |keys| left(&Lockable::new(), &Lockable::new(), keys));
    report.add(measure);

    let measure = Measure::new("Heap left per waiter cancelled in the queue")
        .unit("bytes")
        .fixed(10_000)
        .run("latchwork", |waiters| cancelled(&ours(), waiters, false))
        .bound(0.0)
        .run("lockable", |waiters| cancelled(&Lockable::new(), waiters, false));
    report.add(measure);

    let measure = Measure::new("Heap left per waiter cancelled after its wake-up")
        .unit("bytes")
        .fixed(10_000)
        .run("latchwork", |waiters| cancelled(&ours(), waiters, true))
        .bound(0.0)
        .run("lockable", |waiters| cancelled(&Lockable::new(), waiters, true));
    report.add(measure);
}

fn free(table: &impl Waits, ops: u64) -> f64 {
    let lock_all = |ops| {
        for turn in 0..ops {
            drop(table.wait(&(turn % WARM_UP)));
        }
    };
    lock_all(WARM_UP);
    allocations(ops, || lock_all(ops))
}

/// A waker with a count of references to keep, as a task's has.
struct Task;

impl Wake for Task {
    fn wake(self: Arc<Self>) {}
}

/// Two tasks, without a runtime: one holds the key when the other asks, then lets go.
fn tasks_in_turn(table: &impl Awaits, ops: u64) -> f64 {
    let waker = Waker::from(Arc::new(Task));
    let mut context = Context::from_waker(&waker);
    let mut take_turns = |turns| {
        let mut holder = table.lock(7).now_or_never();
        for _ in 0..turns {
            let mut waiter = pin!(table.lock(7));
            assert!(waiter.as_mut().poll(&mut context).is_pending(), "the key is held");
            drop(holder.take());
            let Poll::Ready(guard) = waiter.as_mut().poll(&mut context) else { panic!("the key is free") };
            holder = Some(guard);
        }
    };
    take_turns(WARM_UP);
    allocations(ops, || take_turns(ops))
}

/// The first operation of each thread is made to wait: what a thread needs for that, it keeps.
fn hot_threads<T: Waits>(runtime: &Runtime, table: T, ops: u64) -> f64 {
    let (table, made) = (Arc::new(table), Arc::new(AtomicU64::new(0)));
    let held = Arc::new(Barrier::new(5));
    let holder: OnThread = Box::new({
        let (table, held) = (table.clone(), held.clone());
        move || {
            let guard = table.wait(&7);
            held.wait();
            sleep(Duration::from_millis(20));
            drop(guard);
            0
        }
    });
    let share = ops.div_ceil(4);
    let threads = (0..4).map(|_| -> OnThread {
        let (table, made, held) = (table.clone(), made.clone(), held.clone());
        Box::new(move || {
            let lock_all = |ops| {
                for _ in 0..ops {
                    drop(table.wait(&7));
                }
            };
            held.wait();
            lock_all(WARM_UP);
            let before = so_far();
            lock_all(share);
            made.fetch_add(so_far() - before, Relaxed);
            share
        })
    });
    crowd::run(runtime, (Stop::default(), 0), iter::once(holder).chain(threads).collect(), Vec::new());
    made.load(Relaxed) as f64 / ops as f64
}

/// Bytes per key while all of `keys` are held, and bytes in all once none is.
fn held(table: &impl Waits, keys: u64) -> (f64, f64) {
    let keys: Vec<u64> = (0..keys).map(|key| key * 7919).collect();
    let mut guards = Vec::with_capacity(keys.len());
    let (left, held) = growth(|| {
        let (held, ()) = growth(|| guards.extend(keys.iter().map(|key| table.wait(key))));
        guards.clear();
        held
    });
    (held / keys.len() as f64, left)
}

/// What each key adds to what is left, and what a burst leaves in all, which may be a constant.
fn left<T: Waits>(small: &T, large: &T, keys: u64) -> Round {
    let (few, many) = (held(small, keys).1, held(large, 2 * keys).1);
    [(many - few) / keys as f64, many].into()
}

/// Waiters on a key each, dropped while it is held, or after the holder let go and woke them.
fn cancelled(table: &impl Awaits, waiters: u64, woken: bool) -> f64 {
    let waker = Waker::from(Arc::new(Task));
    let mut context = Context::from_waker(&waker);
    let mut cancel = |keys: std::ops::Range<u64>| {
        for key in keys {
            let mut holder = table.lock(key).now_or_never();
            let mut waiter = pin!(table.lock(key));
            assert!(waiter.as_mut().poll(&mut context).is_pending(), "the key is held");
            if woken {
                holder = None;
            }
            waiter.set(table.lock(key));
            drop(holder);
        }
    };
    cancel(0..WARM_UP);
    growth(|| cancel(WARM_UP..WARM_UP + waiters)).0 / waiters as f64
}
