//! One lock and many who want it all the time, to add one to a number or to hold it across a yield.
//!
//! The greediest member's share is a second figure: a lock is fast that lets one member have it nearly
//! always.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use futures::FutureExt;
use tokio::runtime::Runtime;
use tokio::task::yield_now;

use crate::harness::crowd::{self, AsTask, OnThread, Outcome, Stop, count};
use crate::harness::{Measure, Report, Round};
use crate::peers::{AsyncLock, Awaits, Ours, ParkingLot, Saa, Std, Tokio, Waits, Xutex};

pub(crate) fn run(report: &mut Report, runtime: &Runtime) {
    let measure = Measure::new("Mutex, 2 threads hammering")
        .fixed(crowd::ROUND)
        .also("greediest × mean")
        .run("latchwork", |ms| threads::<Ours>(runtime, ms).greediest())
        .run("parking_lot", |ms| threads::<ParkingLot>(runtime, ms).greediest())
        .goal(1.0)
        .run("saa", |ms| threads::<Saa>(runtime, ms).greediest())
        .run("std", |ms| threads::<Std>(runtime, ms).greediest())
        .run("async-lock", |ms| threads::<AsyncLock>(runtime, ms).greediest())
        .run("xutex", |ms| threads::<Xutex>(runtime, ms).greediest())
        .run("tokio", |ms| threads::<Tokio>(runtime, ms).greediest());
    report.add(measure);

    let measure = Measure::new("Mutex, 64 tasks hammering, 2 workers")
        .fixed(crowd::ROUND)
        .also("greediest × mean")
        .bound_for("greediest × mean", 0.0..=4.0)
        .run("latchwork", |ms| tasks::<Ours>(runtime, ms, false).greediest())
        .run("tokio", |ms| tasks::<Tokio>(runtime, ms, false).greediest())
        .goal(0.5)
        .run("saa", |ms| tasks::<Saa>(runtime, ms, false).greediest())
        .run("async-lock", |ms| tasks::<AsyncLock>(runtime, ms, false).greediest())
        .run("xutex", |ms| tasks::<Xutex>(runtime, ms, false).greediest());
    report.add(measure);

    let measure = Measure::new("Mutex, 64 tasks holding it across a yield, 2 workers")
        .fixed(crowd::ROUND)
        .also("greediest × mean")
        .run("latchwork", |ms| tasks::<Ours>(runtime, ms, true).greediest())
        .run("tokio", |ms| tasks::<Tokio>(runtime, ms, true).greediest())
        .goal(1.0)
        .run("saa", |ms| tasks::<Saa>(runtime, ms, true).greediest())
        .run("async-lock", |ms| tasks::<AsyncLock>(runtime, ms, true).greediest())
        .run("xutex", |ms| tasks::<Xutex>(runtime, ms, true).greediest());
    report.add(measure);

    let measure = Measure::new("Mutex, 1 thread and 32 tasks hammering")
        .fixed(crowd::ROUND)
        .also("thread's share, %")
        .run("latchwork", |ms| mixed::<Ours>(runtime, ms))
        .run("tokio", |ms| mixed::<Tokio>(runtime, ms))
        .run("saa", |ms| mixed::<Saa>(runtime, ms))
        .run("async-lock", |ms| mixed::<AsyncLock>(runtime, ms))
        .run("xutex", |ms| mixed::<Xutex>(runtime, ms));
    report.add(measure);
}

fn threads<L: Waits>(runtime: &Runtime, ms: u64) -> Outcome {
    let (lock, stop) = (Arc::new(L::new()), Stop::default());
    let members = (0..2).map(|_| on_thread(lock.clone(), stop.clone())).collect();
    let outcome = crowd::run(runtime, (stop, ms), members, Vec::new());
    outcome.checked(lock.wait().load(Relaxed))
}

fn tasks<L: Awaits>(runtime: &Runtime, ms: u64, yields: bool) -> Outcome {
    let (lock, stop) = (Arc::new(L::new()), Stop::default());
    let members = (0..64).map(|_| as_task(lock.clone(), stop.clone(), yields)).collect();
    let outcome = crowd::run(runtime, (stop, ms), Vec::new(), members);
    outcome.checked(runtime.block_on(lock.lock()).load(Relaxed))
}

fn mixed<L: Waits + Awaits>(runtime: &Runtime, ms: u64) -> Round {
    let (lock, stop) = (Arc::new(L::new()), Stop::default());
    let thread = on_thread(lock.clone(), stop.clone());
    let members = (0..32).map(|_| as_task(lock.clone(), stop.clone(), false)).collect();
    let outcome = crowd::run(runtime, (stop, ms), vec![thread], members);
    let outcome = outcome.checked(lock.wait().load(Relaxed));
    let share = outcome.counts[0] as f64 / outcome.total() as f64;
    [outcome.per_op(), share * 100.0].into()
}

fn on_thread<L: Waits>(lock: Arc<L>, stop: Stop) -> OnThread {
    Box::new(move || {
        let mut made = 0;
        while !stop.is_set() {
            count(&lock.wait());
            made += 1;
        }
        made
    })
}

pub(crate) fn as_task<L: Awaits>(lock: Arc<L>, stop: Stop, yields: bool) -> AsTask {
    async move {
        let mut made = 0;
        while !stop.is_set() {
            let guard = lock.lock().await;
            count(&guard);
            if yields {
                yield_now().await;
            }
            drop(guard);
            made += 1;
        }
        made
    }
    .boxed()
}
