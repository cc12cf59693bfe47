//! A thread among tasks: it wakes up later than they come back, and must have its turns all the same.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::thread::sleep;
use std::time::{Duration, Instant};

use tokio::runtime::Runtime;

use crate::crowded::as_task;
use crate::harness::crowd::{self, OnThread, Stop, count};
use crate::harness::{Measure, Report, Round};
use crate::peers::{AsyncLock, Awaits, Ours, Tokio, Waits as WaitsFor};
use crate::waits::Waits;

pub(crate) fn run(report: &mut Report, runtime: &Runtime) {
    let measure =
        Measure::new("Mutex, 1 thread that holds it 1 ms among 32 tasks that hold it across a yield, 3 s")
            .fixed(3000)
            .at_most_rounds(3)
            .unit("the thread's turns")
            .also("longest wait, µs")
            .also("median wait, µs")
            .also("the tasks' turns")
            .run("latchwork", |ms| turns::<Ours>(runtime, ms))
            .run("tokio", |ms| turns::<Tokio>(runtime, ms))
            .goal_at_least(0.8)
            .goal_for("longest wait, µs", 1.5)
            .run("async-lock", |ms| turns::<AsyncLock>(runtime, ms));
    report.add(measure);
}

fn turns<L: WaitsFor + Awaits>(runtime: &Runtime, ms: u64) -> Round {
    let (lock, stop) = (Arc::new(L::new()), Stop::default());
    let waits = Arc::new(parking_lot::Mutex::new(Waits::default()));
    let thread: OnThread = Box::new({
        let (lock, stop, waits) = (lock.clone(), stop.clone(), waits.clone());
        move || {
            let mut waits = waits.lock();
            while !stop.is_set() {
                let start = Instant::now();
                let guard = lock.wait();
                waits.add(start);
                count(&guard);
                sleep(Duration::from_millis(1));
            }
            waits.count()
        }
    });
    let tasks = (0..32).map(|_| as_task(lock.clone(), stop.clone(), true)).collect();
    let outcome = crowd::run(runtime, (stop, ms), vec![thread], tasks);
    let outcome = outcome.checked(lock.wait().load(Relaxed));
    let (turns, mut waits) = (outcome.counts[0], waits.lock());
    let tasks = (outcome.total() - turns) as f64;
    [turns as f64, waits.longest(), waits.median(), tasks].into()
}
