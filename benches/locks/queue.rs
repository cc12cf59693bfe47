//! Long queues: joining, being polled in one, leaving it, and how long it takes to drain it.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Wake, Waker};

use futures::executor::block_on;
use futures::stream::{FuturesUnordered, StreamExt};

use crate::harness::{Measure, Report, Round, Watch, per_op};
use crate::peers::{AsyncLock, Awaits, Ours, Saa, Tokio};

/// A queue that fits the nearer caches.
const QUEUE: u64 = 1000;

pub(crate) fn run(report: &mut Report) {
    let measure = Measure::new("Mutex, draining 16 000 waiters, × the time for 4 000")
        .unit("×")
        .also("ns per waiter")
        .fixed(4000)
        .run("latchwork", drain::<Ours>)
        .bound(5.0)
        .run("tokio", drain::<Tokio>)
        .run("saa", drain::<Saa>)
        .run("async-lock", drain::<AsyncLock>);
    report.add(measure);

    type Stage = fn(&Stages) -> f64;
    let stages: [(&str, Stage); 3] = [
        ("first poll of a waiter", |stages| stages.first),
        ("next poll of a waiter", |stages| stages.again),
        ("dropping a waiter", |stages| stages.leaving),
    ];
    for (what, stage) in stages {
        let measure = Measure::new(format!("Mutex, held: {what}, {QUEUE} in the queue"))
            .run("latchwork", |ops| stage(&poll::<Ours>(ops)))
            .bound(1000.0)
            .run("tokio", |ops| stage(&poll::<Tokio>(ops)))
            .run("saa", |ops| stage(&poll::<Saa>(ops)))
            .run("async-lock", |ops| stage(&poll::<AsyncLock>(ops)));
        report.add(measure);
    }
}

fn drain<L: Awaits>(waiters: u64) -> Round {
    let (few, many) = (drain_once::<L>(waiters), drain_once::<L>(4 * waiters));
    [4.0 * many / few, many].into()
}

/// Time per waiter from the release that starts it all to the last waiter's.
fn drain_once<L: Awaits>(waiters: u64) -> f64 {
    let lock = L::new();
    let lock = &lock;
    let guard = block_on(lock.lock());
    let mut queue: FuturesUnordered<_> =
        (0..waiters).map(|_| async move { drop(lock.lock().await) }).collect();
    block_on(async { assert!(futures::poll!(queue.next()).is_pending(), "the lock is held") });
    let watch = Watch::start();
    drop(guard);
    let drained = block_on(queue.count());
    assert_eq!(drained as u64, waiters);
    per_op(watch.elapsed(), waiters)
}

/// Nanoseconds a waiter.
#[derive(Default)]
struct Stages {
    first: f64,
    again: f64,
    leaving: f64,
}

/// A waker with a count of references to keep, as a task's has.
struct Task;

impl Wake for Task {
    fn wake(self: Arc<Self>) {}
}

fn poll<L: Awaits>(ops: u64) -> Stages {
    let waker = Waker::from(Arc::new(Task));
    let mut context = Context::from_waker(&waker);
    let turns = ops.div_ceil(QUEUE);
    let mut sum = Stages::default();
    for _ in 0..turns {
        let lock = L::new();
        let guard = block_on(lock.lock());
        let mut queue: Vec<Pin<Box<dyn Future<Output = _> + '_>>> =
            (0..QUEUE).map(|_| Box::pin(lock.lock()) as _).collect();
        let mut poll = || {
            let watch = Watch::start();
            for waiter in &mut queue {
                assert!(waiter.as_mut().poll(&mut context).is_pending(), "the lock is held");
            }
            per_op(watch.elapsed(), QUEUE * turns)
        };
        sum.first += poll();
        sum.again += poll();
        let watch = Watch::start();
        queue.drain(..).for_each(drop);
        sum.leaving += per_op(watch.elapsed(), QUEUE * turns);
        drop(guard);
    }
    sum
}
