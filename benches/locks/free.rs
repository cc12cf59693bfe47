//! What it costs to lock and unlock when nobody else does.

use std::hint::black_box;

use latchwork::{RwLock, Semaphore};
use tokio::runtime::Runtime;

use crate::harness::{Measure, Report, Watch, per_op};
use crate::peers::{AsyncLock, Awaits, Ours, ParkingLot, Saa, Std, Tokio, Waits, Xutex};

pub(crate) fn run(report: &mut Report, runtime: &Runtime) {
    let measure = Measure::new("Mutex, lock + unlock, free, from a thread")
        .run("latchwork", mutex::<Ours>)
        .run("parking_lot", mutex::<ParkingLot>)
        .goal(1.0)
        .run("std", mutex::<Std>)
        .run("saa", mutex::<Saa>)
        .run("xutex", mutex::<Xutex>)
        .run("async-lock", mutex::<AsyncLock>)
        .run("tokio", mutex::<Tokio>);
    report.add(measure);

    let measure = Measure::new("Mutex, lock + unlock, free, from a task")
        .run("latchwork", |ops| runtime.block_on(async_mutex::<Ours>(ops)))
        .run("saa", |ops| runtime.block_on(async_mutex::<Saa>(ops)))
        .goal(1.0)
        .run("xutex", |ops| runtime.block_on(async_mutex::<Xutex>(ops)))
        .run("async-lock", |ops| runtime.block_on(async_mutex::<AsyncLock>(ops)))
        .run("tokio", |ops| runtime.block_on(async_mutex::<Tokio>(ops)));
    report.add(measure);

    rw_lock(report);
    semaphore(report, runtime);
}

fn mutex<L: Waits>(ops: u64) -> f64 {
    let lock = L::new();
    free(ops, || lock.wait())
}

async fn async_mutex<L: Awaits>(ops: u64) -> f64 {
    let lock = L::new();
    free_async(ops, async || lock.lock().await).await
}

fn rw_lock(report: &mut Report) {
    let (ours, parking_lot) = (RwLock::new(0), parking_lot::RwLock::new(0));
    let (std, tokio) = (std::sync::RwLock::new(0), tokio::sync::RwLock::new(0));
    let async_lock = async_lock::RwLock::new(0);
    let measure = Measure::new("RwLock, read + unlock, free, from a thread")
        .run("latchwork", |ops| free(ops, || ours.read().wait()))
        .run("parking_lot", |ops| free(ops, || parking_lot.read()))
        .goal(1.0)
        .run("std", |ops| free(ops, || std.read()))
        .run("async-lock", |ops| free(ops, || async_lock.read_blocking()))
        .run("tokio", |ops| free(ops, || tokio.blocking_read()));
    report.add(measure);
    let measure = Measure::new("RwLock, write + unlock, free, from a thread")
        .run("latchwork", |ops| free(ops, || ours.write().wait()))
        .run("parking_lot", |ops| free(ops, || parking_lot.write()))
        .run("std", |ops| free(ops, || std.write()))
        .run("async-lock", |ops| free(ops, || async_lock.write_blocking()))
        .run("tokio", |ops| free(ops, || tokio.blocking_write()));
    report.add(measure);
}

fn semaphore(report: &mut Report, runtime: &Runtime) {
    let (ours, saa) = (Semaphore::new(4), saa::Semaphore::with_permits(4));
    let (tokio, async_lock) = (tokio::sync::Semaphore::new(4), async_lock::Semaphore::new(4));
    let measure = Measure::new("Semaphore, acquire + release, free, from a task")
        .run("latchwork", |ops| runtime.block_on(free_async(ops, async || ours.acquire().await)))
        .run("saa", |ops| {
            runtime.block_on(free_async(ops, async || {
                saa.acquire_async().await;
                SaaPermit(&saa)
            }))
        })
        .run("async-lock", |ops| runtime.block_on(free_async(ops, async || async_lock.acquire().await)))
        .run("tokio", |ops| runtime.block_on(free_async(ops, async || tokio.acquire().await)));
    report.add(measure);
}

/// saa's semaphore has no guard: this is one.
pub(crate) struct SaaPermit<'a>(pub(crate) &'a saa::Semaphore);

impl Drop for SaaPermit<'_> {
    fn drop(&mut self) {
        self.0.release();
    }
}

fn free<G>(ops: u64, mut acquire: impl FnMut() -> G) -> f64 {
    let watch = Watch::start();
    for _ in 0..ops {
        black_box(&acquire());
    }
    per_op(watch.elapsed(), ops)
}

async fn free_async<G>(ops: u64, mut acquire: impl AsyncFnMut() -> G) -> f64 {
    let watch = Watch::start();
    for _ in 0..ops {
        black_box(&acquire().await);
    }
    per_op(watch.elapsed(), ops)
}
