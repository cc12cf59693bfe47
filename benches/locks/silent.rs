//! A lock past silent waiters: futures that were polled while it was held, and are kept without being polled again.
//!
//! Tokio's and saa's locks belong to such a waiter from then on, and nobody else ever has them: they are not
//! measured.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Waker};
use std::thread::sleep;
use std::time::{Duration, Instant};

use futures::executor::block_on;

use crate::harness::{Measure, Report, Round, per_op};
use crate::peers::{AsyncLock, Awaits, Ours, Waits as WaitsFor};
use crate::waits::Waits;

pub(crate) fn run(report: &mut Report) {
    let measure = Measure::new("Mutex, taken by a thread each ms, past a silent waiter: median acquisition")
        .fixed(200)
        .unit("µs")
        .also("longest, µs")
        .run("latchwork", each_ms::<Ours>)
        .run("async-lock", each_ms::<AsyncLock>);
    report.add(measure);

    let measure = Measure::new("Mutex, 5000 newcomers, one after the other, past 10 000 silent waiters")
        .fixed(10_000)
        .at_most_rounds(3)
        .unit("µs each")
        .also("longest, µs")
        .run("latchwork", newcomers::<Ours>)
        .run("async-lock", newcomers::<AsyncLock>);
    report.add(measure);
}

fn each_ms<L: WaitsFor + Awaits>(times: u64) -> Round {
    let lock = L::new();
    let silent = silent(&lock, 1);
    let mut waits = Waits::default();
    for _ in 0..times {
        sleep(Duration::from_millis(1));
        let start = Instant::now();
        drop(lock.wait());
        waits.add(start);
    }
    drop(silent);
    [waits.median(), waits.longest()].into()
}

fn newcomers<L: WaitsFor + Awaits>(waiters: u64) -> Round {
    let lock = L::new();
    let silent = silent(&lock, waiters);
    let mut waits = Waits::default();
    let first = Instant::now();
    for _ in 0..5000 {
        let start = Instant::now();
        drop(lock.wait());
        waits.add(start);
    }
    let each = per_op(first.elapsed(), waits.count()) / 1000.0;
    drop(silent);
    [each, waits.longest()].into()
}

/// Waiters that were polled once, while the lock was held. It is free now.
fn silent<L: Awaits>(lock: &L, waiters: u64) -> Vec<Pin<Box<dyn Future<Output = impl Send> + '_>>> {
    let guard = block_on(lock.lock());
    let mut context = Context::from_waker(Waker::noop());
    let mut waiter = || {
        let mut waiter = Box::pin(lock.lock());
        assert!(waiter.as_mut().poll(&mut context).is_pending(), "the lock is held");
        waiter as _
    };
    let silent = (0..waiters).map(|_| waiter()).collect();
    drop(guard);
    silent
}
