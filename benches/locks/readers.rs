//! One read-write lock, readers who want it all the time, and a writer once a millisecond.
//!
//! The writer's waits are figures of their own: a lock reads fast that never lets its writer in.

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::FutureExt;
use tokio::runtime::Runtime;
use tokio::task::yield_now;
use tokio::time::sleep;

use crate::harness::crowd::{self, AsTask, Stop};
use crate::harness::{Measure, Report, Round};
use crate::waits::Waits;

/// How long a round takes, in ms: the writer comes about as often.
const ROUND: u64 = 1000;

/// How many readers there are, and how many times each yields while it reads.
type Load = (u64, u64);

pub(crate) fn run(report: &mut Report, runtime: &Runtime) {
    for load @ (readers, yields) in [(16, 1), (2, 1), (4, 1), (64, 1), (16, 4)] {
        let times = if yields == 1 { "a yield".to_owned() } else { format!("{yields} yields") };
        let title = format!("RwLock, {readers} readers across {times}, a writer each ms, 2 workers");
        let measure = Measure::new(title)
            .fixed(ROUND)
            .at_most_rounds(5)
            .unit("reads/s")
            .also("writer's median, µs")
            .also("writer's p99, µs")
            .also("writes")
            .run("latchwork", |ms| mixed::<latchwork::RwLock<()>>(runtime, ms, load))
            .run("tokio", |ms| mixed::<tokio::sync::RwLock<()>>(runtime, ms, load))
            .goal_at_least(1.0)
            .goal_for("writer's median, µs", 1.5)
            .goal_for("writer's p99, µs", 1.5)
            .run("async-lock", |ms| mixed::<async_lock::RwLock<()>>(runtime, ms, load));
        report.add(measure);
    }
}

fn mixed<L: ReadsAndWrites>(runtime: &Runtime, ms: u64, (readers, yields): Load) -> Round {
    let (lock, stop) = (Arc::new(L::default()), Stop::default());
    let waits = Arc::new(parking_lot::Mutex::new(Waits::default()));
    let reader = |_| reader(lock.clone(), stop.clone(), yields);
    let mut members: Vec<AsTask> = (0..readers).map(reader).collect();
    members.push(writer(lock.clone(), stop.clone(), waits.clone()));
    let outcome = crowd::run(runtime, (stop, ms), Vec::new(), members);
    let mut waits = waits.lock();
    let reads = (outcome.total() - waits.count()) as f64;
    [reads / outcome.seconds(), waits.median(), waits.p99(), waits.count() as f64].into()
}

fn reader<L: ReadsAndWrites>(lock: Arc<L>, stop: Stop, yields: u64) -> AsTask {
    async move {
        let mut made = 0;
        while !stop.is_set() {
            let guard = lock.read().await;
            for _ in 0..yields {
                yield_now().await;
            }
            drop(guard);
            made += 1;
        }
        made
    }
    .boxed()
}

fn writer<L: ReadsAndWrites>(lock: Arc<L>, stop: Stop, waits: Arc<parking_lot::Mutex<Waits>>) -> AsTask {
    async move {
        let mut made = 0;
        while !stop.is_set() {
            let start = Instant::now();
            drop(lock.write().await);
            waits.lock().add(start);
            made += 1;
            sleep(Duration::from_millis(1)).await;
        }
        made
    }
    .boxed()
}

/// A read-write lock for tasks.
trait ReadsAndWrites: Default + Send + Sync + 'static {
    fn read(&self) -> impl Future<Output = impl Send> + Send;
    fn write(&self) -> impl Future<Output = impl Send> + Send;
}

impl ReadsAndWrites for latchwork::RwLock<()> {
    fn read(&self) -> impl Future<Output = impl Send> + Send {
        Self::read(self)
    }

    fn write(&self) -> impl Future<Output = impl Send> + Send {
        Self::write(self)
    }
}

impl ReadsAndWrites for tokio::sync::RwLock<()> {
    fn read(&self) -> impl Future<Output = impl Send> + Send {
        Self::read(self)
    }

    fn write(&self) -> impl Future<Output = impl Send> + Send {
        Self::write(self)
    }
}

impl ReadsAndWrites for async_lock::RwLock<()> {
    fn read(&self) -> impl Future<Output = impl Send> + Send {
        Self::read(self)
    }

    fn write(&self) -> impl Future<Output = impl Send> + Send {
        Self::write(self)
    }
}
