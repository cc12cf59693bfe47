//! What a call allocates.
//!
//! The allocator counts by thread, in a plain cell: it costs the other measures next to nothing.

#![allow(unsafe_code)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::future::ready;
use std::time::Duration;

use backon::{BlockingRetryable, Retryable};
use latchwork::{Budget, RetryStats};
use tokio::runtime::Runtime;
use tokio_retry2::Retry;

use crate::harness::{Measure, Report};
use crate::work::{self, Failed, Work, time, time_async};

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

// SAFETY: everything is passed on to the system's allocator as it came; the cell needs no allocation.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: as the caller promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: as the caller promises.
        unsafe { System.dealloc(at, layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: as the caller promises.
        unsafe { System.realloc(at, layout, size) }
    }
}

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

/// Allocations while `calls` run, per call.
fn allocations(ops: u64, calls: impl FnOnce() -> f64) -> f64 {
    let before = ALLOCATIONS.get();
    calls();
    (ALLOCATIONS.get() - before) as f64 / ops as f64
}
