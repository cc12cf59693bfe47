//! What a retry costs apart from its wait, and the waits themselves.

use std::future::ready;
use std::hint::black_box;
use std::time::{Duration, Instant};

use backon::{BackoffBuilder, BlockingRetryable, Retryable};
use latchwork::retry::Backoff;
use tokio::runtime::Runtime;
use tokio_retry2::Retry;

use crate::harness::{Measure, Report, Watch, per_op};
use crate::timed::{time, time_async};
use crate::work::{self, ATTEMPTS, Work};

pub(crate) fn run(report: &mut Report, runtime: &Runtime) {
    one_failure(report, runtime);
    waits(report);
}

/// The first attempt fails, and the second comes at once.
fn one_failure(report: &mut Report, runtime: &Runtime) {
    let ours = work::ours(Duration::ZERO);
    let (backon, constant) = (work::backon(Duration::ZERO), work::backon_constant(Duration::ZERO));
    let measure = Measure::new("Retry, one failure and no delay, from a thread")
        .run("latchwork", |ops| {
            let mut work = Work::new(1);
            time(ops, || black_box(&ours).run_blocking(|_| work.attempt()))
        })
        .run("backon, constant", |ops| {
            let mut work = Work::new(1);
            time(ops, || {
                let retry = (|| work.attempt()).retry(black_box(constant));
                retry.when(work::Failed::passes).call()
            })
        })
        .goal(1.0)
        .run("backon, exponential", |ops| {
            let mut work = Work::new(1);
            time(ops, || {
                let retry = (|| work.attempt()).retry(black_box(backon));
                retry.when(work::Failed::passes).call()
            })
        })
        .run("loop by hand", |ops| {
            let mut work = Work::new(1);
            time(ops, || work::by_hand(black_box(Duration::ZERO), || work.attempt()))
        });
    report.add(measure);

    // Backon can go without tokio's timer, which has a measure of its own.
    let measure = Measure::new("Retry, one failure and no delay, from a task")
        .run("latchwork", |ops| {
            let mut work = Work::new(1);
            time_async(runtime, ops, async || black_box(&ours).run(|_| ready(work.attempt())).await)
        })
        .run("backon, constant, no timer", |ops| {
            let mut work = Work::new(1);
            time_async(runtime, ops, async || {
                let attempt = || ready(work.attempt());
                let retry = attempt.retry(black_box(constant)).when(work::Failed::passes);
                retry.sleep(|_| ready(())).await
            })
        })
        .goal(1.0)
        .run("backon, exponential, no timer", |ops| {
            let mut work = Work::new(1);
            time_async(runtime, ops, async || {
                let attempt = || ready(work.attempt());
                let retry = attempt.retry(black_box(backon)).when(work::Failed::passes);
                retry.sleep(|_| ready(())).await
            })
        })
        .run("loop by hand", |ops| {
            let mut work = Work::new(1);
            time_async(runtime, ops, async || {
                work::by_hand_async(black_box(Duration::ZERO), || ready(work.attempt())).await
            })
        });
    report.add(measure);

    // Tokio's timer makes a wait of nothing last until its next tick, up to a ms, which is no processor time.
    let waits = work::tokio_retry2(Duration::ZERO);
    let measure =
        Measure::new("Retry, one failure and no delay, from a task, with each one's timer, wall time")
            .run("latchwork", |ops| {
                let mut work = Work::new(1);
                on_the_wall(ops, |ops| {
                    time_async(runtime, ops, async || black_box(&ours).run(|_| ready(work.attempt())).await)
                })
            })
            .run("backon, constant", |ops| {
                let mut work = Work::new(1);
                on_the_wall(ops, |ops| {
                    time_async(runtime, ops, async || {
                        let attempt = || ready(work.attempt());
                        attempt.retry(black_box(constant)).when(work::Failed::passes).await
                    })
                })
            })
            .run("tokio-retry2", |ops| {
                let mut work = Work::new(1);
                on_the_wall(ops, |ops| {
                    time_async(runtime, ops, async || {
                        let attempt = || ready(work.attempt().map_err(work::classified));
                        Retry::spawn(black_box(waits.clone()), attempt).await
                    })
                })
            });
    report.add(measure);
}

/// The wall time of calls that may wait.
fn on_the_wall(ops: u64, calls: impl FnOnce(u64) -> f64) -> f64 {
    let start = Instant::now();
    calls(ops);
    per_op(start.elapsed(), ops)
}

fn waits(report: &mut Report) {
    let base = Duration::from_millis(100);
    let (ours, backon) = (Backoff::new(), work::backon(base));
    let measure = Measure::new("Backoff made, and its first three waits drawn, each")
        .run("latchwork", |calls| first_waits(calls, || black_box(&ours).clone()))
        .run("backon", |calls| first_waits(calls, || black_box(backon).build()));
    report.add(measure);

    let (mut ours, mut backon) = (Backoff::new(), backon.without_max_times().build());
    let measure = Measure::new("Backoff, a wait drawn once it is at the cap")
        .run("latchwork", |ops| next_waits(ops, black_box(&mut ours)))
        .run("backon", |ops| next_waits(ops, black_box(&mut backon)));
    report.add(measure);
}

fn first_waits<B: Iterator<Item = Duration>>(calls: u64, mut make: impl FnMut() -> B) -> f64 {
    let waits = u64::from(ATTEMPTS - 1);
    let watch = Watch::start();
    for _ in 0..calls {
        let mut backoff = make();
        for _ in 0..waits {
            assert!(black_box(backoff.next()).is_some(), "there are three waits");
        }
    }
    per_op(watch.elapsed(), calls * waits)
}

fn next_waits(ops: u64, backoff: &mut impl Iterator<Item = Duration>) -> f64 {
    let watch = Watch::start();
    for _ in 0..ops {
        assert!(black_box(backoff.next()).is_some(), "there is no end of waits");
    }
    per_op(watch.elapsed(), ops)
}
