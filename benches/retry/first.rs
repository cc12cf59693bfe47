//! What a policy costs when nothing has to be retried.

use std::hint::black_box;
use std::time::Duration;

use backon::{BlockingRetryable, Retryable};
use latchwork::{
    RetryPolicy,
    retry::{Budget, RetryStats},
};
use tokio::runtime::Runtime;
use tokio_retry2::Retry;

use crate::harness::{Measure, Report};
use crate::timed::{time, time_async};
use crate::work::{self, Work};

const BASE: Duration = Duration::from_millis(100);

pub(crate) fn run(report: &mut Report, runtime: &Runtime) {
    from_threads(report);
    from_tasks(report, runtime);
    attached(report, runtime);
}

fn from_threads(report: &mut Report) {
    let (ours, backon, constant) = (work::ours(BASE), work::backon(BASE), work::backon_constant(BASE));
    let measure = Measure::new("Retry, first attempt succeeds, from a thread")
        .run("latchwork", |ops| blocking(&ours, ops))
        .run("backon, constant", |ops| {
            let mut work = Work::new(0);
            time(ops, || {
                let retry = (|| work.attempt()).retry(black_box(constant));
                retry.when(work::Failed::passes).call()
            })
        })
        .goal(1.0)
        .run("backon, exponential", |ops| {
            let mut work = Work::new(0);
            time(ops, || {
                let retry = (|| work.attempt()).retry(black_box(backon));
                retry.when(work::Failed::passes).call()
            })
        })
        .run("loop by hand", |ops| {
            let mut work = Work::new(0);
            time(ops, || work::by_hand(black_box(BASE), || work.attempt()))
        })
        .run("bare call", |ops| {
            let mut work = Work::new(0);
            time(ops, || work.attempt())
        });
    report.add(measure);
}

fn from_tasks(report: &mut Report, runtime: &Runtime) {
    let (ours, waits) = (work::ours(BASE), work::tokio_retry2(BASE));
    let (backon, constant) = (work::backon(BASE), work::backon_constant(BASE));
    let measure = Measure::new("Retry, first attempt succeeds, from a task")
        .run("latchwork", |ops| in_task(&ours, runtime, ops))
        .run("backon, constant", |ops| {
            let mut work = Work::new(0);
            time_async(runtime, ops, async || {
                let attempt = || std::future::ready(work.attempt());
                attempt.retry(black_box(constant)).when(work::Failed::passes).await
            })
        })
        .goal(1.0)
        .run("backon, exponential", |ops| {
            let mut work = Work::new(0);
            time_async(runtime, ops, async || {
                let attempt = || std::future::ready(work.attempt());
                attempt.retry(black_box(backon)).when(work::Failed::passes).await
            })
        })
        .run("tokio-retry2", |ops| {
            let mut work = Work::new(0);
            time_async(runtime, ops, async || {
                let attempt = || std::future::ready(work.attempt().map_err(work::classified));
                Retry::spawn(black_box(waits.clone()), attempt).await
            })
        })
        .run("loop by hand", |ops| {
            let mut work = Work::new(0);
            time_async(runtime, ops, async || {
                work::by_hand_async(black_box(BASE), || std::future::ready(work.attempt())).await
            })
        })
        .run("bare call", |ops| {
            let mut work = Work::new(0);
            time_async(runtime, ops, async || std::future::ready(work.attempt()).await)
        });
    report.add(measure);
}

/// What the extras of a policy add to it.
fn attached(report: &mut Report, runtime: &Runtime) {
    static STATS: RetryStats = RetryStats::new();
    static FULL: Budget = Budget::new(100);
    let policies = [
        ("latchwork", work::ours(BASE)),
        ("with stats", work::ours(BASE).stats(&STATS)),
        ("with budget", work::ours(BASE).budget(&FULL)),
        ("with stats and budget", work::ours(BASE).stats(&STATS).budget(&FULL)),
        ("with deadline", work::ours(BASE).deadline(Duration::from_secs(10))),
    ];
    let mut threads = Measure::new("Retry, first attempt succeeds, from a thread, with extras");
    let mut tasks = Measure::new("Retry, first attempt succeeds, from a task, with extras");
    for (name, policy) in &policies {
        threads = threads.run(*name, |ops| blocking(policy, ops));
        tasks = tasks.run(*name, |ops| in_task(policy, runtime, ops));
    }
    report.add(threads);
    report.add(tasks);
}

fn blocking(policy: &RetryPolicy, ops: u64) -> f64 {
    let mut work = Work::new(0);
    time(ops, || black_box(policy).run_blocking(|_| work.attempt()))
}

fn in_task(policy: &RetryPolicy, runtime: &Runtime, ops: u64) -> f64 {
    let mut work = Work::new(0);
    time_async(runtime, ops, async || black_box(policy).run(|_| std::future::ready(work.attempt())).await)
}
