//! What a call allocates.

use std::future::ready;
use std::time::Duration;

use backon::{BlockingRetryable, Retryable};
use latchwork::retry::{Budget, RetryStats};
use tokio::runtime::Runtime;
use tokio_retry2::Retry;

use crate::counting::allocations;
use crate::harness::{Measure, Report};
use crate::timed::{time, time_async};
use crate::work::{self, Failed, Work};

pub(crate) fn run(report: &mut Report, runtime: &Runtime) {
    static STATS: RetryStats = RetryStats::new();
    static FULL: Budget = Budget::new(100);
    let base = Duration::from_millis(100);
    let ours = work::ours(base).stats(&STATS).budget(&FULL);
    let (backon, waits) = (work::backon(base), work::tokio_retry2(base));

    let measure = Measure::new("Allocations per call, first attempt succeeds, from a thread")
        .unit("count")
        .fixed(100_000)
        .run("latchwork, stats and budget", |ops| {
            let mut work = Work::new(0);
            allocations(ops, || time(ops, || ours.run_blocking(|_| work.attempt())))
        })
        .bound(0.0)
        .run("backon", |ops| {
            let mut work = Work::new(0);
            let call = || (|| work.attempt()).retry(backon).when(Failed::passes).call();
            allocations(ops, || time(ops, call))
        });
    report.add(measure);

    let measure = Measure::new("Allocations per call, first attempt succeeds, from a task")
        .unit("count")
        .fixed(100_000)
        .run("latchwork, stats and budget", |ops| {
            let mut work = Work::new(0);
            let call = async || ours.run(|_| ready(work.attempt())).await;
            allocations(ops, || time_async(runtime, ops, call))
        })
        .bound(0.0)
        .run("backon", |ops| {
            let mut work = Work::new(0);
            let call = async || (|| ready(work.attempt())).retry(backon).when(Failed::passes).await;
            allocations(ops, || time_async(runtime, ops, call))
        })
        .run("tokio-retry2", |ops| {
            let mut work = Work::new(0);
            let call = async || {
                let attempt = || ready(work.attempt().map_err(work::classified));
                Retry::spawn(waits.clone(), attempt).await
            };
            allocations(ops, || time_async(runtime, ops, call))
        });
    report.add(measure);
}
