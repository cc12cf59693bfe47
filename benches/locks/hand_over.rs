//! From one holder's release to the moment when a waiter that has gone to sleep has the lock.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::time::{Duration, Instant};

use futures::FutureExt;
use tokio::runtime::Runtime;

use crate::harness::crowd::{self, AsTask, OnThread, Stop};
use crate::harness::{Measure, Report};
use crate::peers::{AsyncLock, Awaits, Ours, ParkingLot, Saa, Std, Tokio, Waits};

/// How long a waiter is given to fall asleep.
const ASLEEP: Duration = Duration::from_micros(100);

pub(crate) fn run(report: &mut Report, runtime: &Runtime) {
    let measure = Measure::new("Mutex, hand-over to a parked waiter, thread → thread")
        .run("latchwork", |ops| Relay::<Ours>::threads(runtime, ops))
        .run("tokio", |ops| Relay::<Tokio>::threads(runtime, ops))
        .run("parking_lot", |ops| Relay::<ParkingLot>::threads(runtime, ops))
        .run("std", |ops| Relay::<Std>::threads(runtime, ops))
        .run("saa", |ops| Relay::<Saa>::threads(runtime, ops))
        .run("async-lock", |ops| Relay::<AsyncLock>::threads(runtime, ops));
    report.add(measure);

    let measure = Measure::new("Mutex, hand-over to a parked waiter, thread → task")
        .run("latchwork", |ops| Relay::<Ours>::thread_to_task(runtime, ops))
        .run("tokio", |ops| Relay::<Tokio>::thread_to_task(runtime, ops))
        .run("saa", |ops| Relay::<Saa>::thread_to_task(runtime, ops))
        .run("async-lock", |ops| Relay::<AsyncLock>::thread_to_task(runtime, ops));
    report.add(measure);

    let measure = Measure::new("Mutex, hand-over to a parked waiter, task → thread")
        .run("latchwork", |ops| Relay::<Ours>::task_to_thread(runtime, ops))
        .run("tokio", |ops| Relay::<Tokio>::task_to_thread(runtime, ops))
        .run("saa", |ops| Relay::<Saa>::task_to_thread(runtime, ops))
        .run("async-lock", |ops| Relay::<AsyncLock>::task_to_thread(runtime, ops));
    report.add(measure);
}

/// A holder and a waiter, and the steps of their play: hand-over `n` is steps `3n` (the holder is
/// about to lock), `3n + 1` (it has the lock) and `3n + 2` (the waiter goes in).
struct Relay<L> {
    lock: L,
    step: AtomicU64,
    start: Instant,
    /// When the holder let go, in ns since `start`.
    released: AtomicU64,
    ops: u64,
    latencies: parking_lot::Mutex<Vec<u64>>,
}

impl<L: Waits> Relay<L> {
    fn new(ops: u64) -> Arc<Self> {
        Arc::new(Self {
            lock: L::new(),
            step: AtomicU64::new(0),
            start: Instant::now(),
            released: AtomicU64::new(0),
            ops,
            latencies: parking_lot::Mutex::new(Vec::new()),
        })
    }

    fn threads(runtime: &Runtime, ops: u64) -> f64 {
        let relay = Self::new(ops);
        crowd::run(
            runtime,
            (Stop::default(), 0),
            vec![relay.clone().thread_holds(), relay.clone().thread_waits()],
            Vec::new(),
        );
        relay.median()
    }

    fn thread_holds(self: Arc<Self>) -> OnThread {
        Box::new(move || {
            for n in 0..self.ops {
                self.reached(3 * n);
                let guard = self.lock.wait();
                self.go(3 * n + 1);
                self.reached(3 * n + 2);
                self.stamp_after_a_while();
                drop(guard);
            }
            self.ops
        })
    }

    fn thread_waits(self: Arc<Self>) -> OnThread {
        Box::new(move || {
            for n in 0..self.ops {
                self.reached(3 * n + 1);
                self.go(3 * n + 2);
                let guard = self.lock.wait();
                self.measure();
                drop(guard);
                self.go(3 * n + 3);
            }
            self.ops
        })
    }

    fn is_reached(&self, step: u64) -> bool {
        self.step.load(Acquire) == step
    }

    fn reached(&self, step: u64) {
        while !self.is_reached(step) {
            std::thread::yield_now();
        }
    }

    fn go(&self, step: u64) {
        self.step.store(step, Release);
    }

    fn now(&self) -> u64 {
        self.start.elapsed().as_nanos() as u64
    }

    /// Lets the waiter fall asleep. This keeps the holder's processor busy and nothing else: a task
    /// that yields would keep waking the other workers, and the waiter would have to wait for them.
    fn stamp_after_a_while(&self) {
        let seen = Instant::now();
        while seen.elapsed() < ASLEEP {
            std::hint::spin_loop();
        }
        self.released.store(self.now(), Relaxed);
    }

    fn measure(&self) {
        let latency = self.now() - self.released.load(Relaxed);
        self.latencies.lock().push(latency);
    }

    fn median(&self) -> f64 {
        let mut latencies = self.latencies.lock();
        latencies.sort_unstable();
        latencies[latencies.len() / 2] as f64
    }
}

impl<L: Waits + Awaits> Relay<L> {
    fn thread_to_task(runtime: &Runtime, ops: u64) -> f64 {
        let relay = Self::new(ops);
        crowd::run(
            runtime,
            (Stop::default(), 0),
            vec![relay.clone().thread_holds()],
            vec![relay.clone().task_waits()],
        );
        relay.median()
    }

    fn task_to_thread(runtime: &Runtime, ops: u64) -> f64 {
        let relay = Self::new(ops);
        crowd::run(
            runtime,
            (Stop::default(), 0),
            vec![relay.clone().thread_waits()],
            vec![relay.clone().task_holds()],
        );
        relay.median()
    }

    fn task_holds(self: Arc<Self>) -> AsTask {
        async move {
            for n in 0..self.ops {
                self.comes(3 * n).await;
                let guard = self.lock.lock().await;
                self.go(3 * n + 1);
                self.comes(3 * n + 2).await;
                self.stamp_after_a_while();
                drop(guard);
            }
            self.ops
        }
        .boxed()
    }

    fn task_waits(self: Arc<Self>) -> AsTask {
        async move {
            for n in 0..self.ops {
                self.comes(3 * n + 1).await;
                self.go(3 * n + 2);
                let guard = self.lock.lock().await;
                self.measure();
                drop(guard);
                self.go(3 * n + 3);
            }
            self.ops
        }
        .boxed()
    }

    async fn comes(&self, step: u64) {
        while !self.is_reached(step) {
            tokio::task::yield_now().await;
        }
    }
}
