//! A semaphore with fewer permits than there are tasks that want one.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;

use futures::FutureExt;
use tokio::runtime::Runtime;
use tokio::task::yield_now;

use crate::free::SaaPermit;
use crate::harness::crowd::{self, AsTask, Stop};
use crate::harness::{Measure, Report, Round};

const PERMITS: usize = 4;

pub(crate) fn run(report: &mut Report, runtime: &Runtime) {
    let measure = Measure::new("Semaphore, 4 permits, 64 tasks holding one across a yield, 2 workers")
        .fixed(crowd::ROUND)
        .also("greediest × mean")
        .run("latchwork", |ms| tasks(runtime, latchwork::Semaphore::new(PERMITS), ms))
        .run("tokio", |ms| tasks(runtime, tokio::sync::Semaphore::new(PERMITS), ms))
        .goal(1.0)
        .run("saa", |ms| tasks(runtime, saa::Semaphore::with_permits(PERMITS), ms))
        .run("async-lock", |ms| tasks(runtime, async_lock::Semaphore::new(PERMITS), ms));
    report.add(measure);
}

fn tasks<S: Permits>(runtime: &Runtime, semaphore: S, ms: u64) -> Round {
    let (semaphore, holders) = (Arc::new(semaphore), Arc::new(AtomicUsize::new(0)));
    let stop = Stop::default();
    let tasks = (0..64).map(|_| -> AsTask {
        let (semaphore, holders, stop) = (semaphore.clone(), holders.clone(), stop.clone());
        async move {
            let mut made = 0;
            while !stop.is_set() {
                let permit = semaphore.acquire().await;
                let others = holders.fetch_add(1, Relaxed);
                assert!(others < PERMITS, "more holders than permits");
                yield_now().await;
                holders.fetch_sub(1, Relaxed);
                drop(permit);
                made += 1;
            }
            made
        }
        .boxed()
    });
    let tasks = tasks.collect();
    crowd::run(runtime, (stop, ms), Vec::new(), tasks).greediest()
}

/// A semaphore for tasks.
trait Permits: Send + Sync + 'static {
    fn acquire(&self) -> impl Future<Output = impl Send> + Send;
}

impl Permits for latchwork::Semaphore {
    fn acquire(&self) -> impl Future<Output = impl Send> + Send {
        Self::acquire(self)
    }
}

impl Permits for tokio::sync::Semaphore {
    fn acquire(&self) -> impl Future<Output = impl Send> + Send {
        Self::acquire(self)
    }
}

impl Permits for async_lock::Semaphore {
    fn acquire(&self) -> impl Future<Output = impl Send> + Send {
        Self::acquire(self)
    }
}

impl Permits for saa::Semaphore {
    async fn acquire(&self) -> impl Send {
        self.acquire_async().await;
        SaaPermit(self)
    }
}
