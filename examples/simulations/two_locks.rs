//! An async lock for the endpoints, a thread lock for the workers, and one map that both "guard":
//! each side excludes its own kind and nobody else. The same with the semaphores.
//!
//! Safe Rust won't let two locks own one map, so the counts are atomics here. That is what keeps
//! the program defined; it does not make read, work, write one step.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::sync::{Condvar, Mutex, PoisonError};
use std::thread;

use crate::lab::{self, ANALYSES, CHECKPOINT, Gauge, Lab, SIMULATIONS};

pub(crate) struct TwoLocks {
    counts: HashMap<String, AtomicU64>,
    endpoints: tokio::sync::Mutex<()>,
    workers: Mutex<()>,
    endpoint_analyses: tokio::sync::Semaphore,
    worker_analyses: ThreadSemaphore,
    gauge: Gauge,
}

impl TwoLocks {
    pub(crate) fn new() -> Self {
        Self {
            counts: SIMULATIONS.map(|name| (name.to_owned(), AtomicU64::new(0))).into(),
            endpoints: tokio::sync::Mutex::new(()),
            workers: Mutex::new(()),
            endpoint_analyses: tokio::sync::Semaphore::new(ANALYSES),
            worker_analyses: ThreadSemaphore::new(ANALYSES),
            gauge: Gauge::default(),
        }
    }
}

impl Lab for TwoLocks {
    async fn step(&self, name: &str) -> Option<u64> {
        let _guard = self.endpoints.lock().await;
        let count = self.counts.get(name)?;
        let before = count.load(SeqCst);
        lab::work().await;
        count.store(before + 1, SeqCst);
        Some(before + 1)
    }

    fn step_blocking(&self, name: &str) -> Option<u64> {
        let _guard = self.workers.lock().unwrap_or_else(PoisonError::into_inner);
        let count = self.counts.get(name)?;
        let before = count.load(SeqCst);
        lab::work_blocking();
        count.store(before + 1, SeqCst);
        Some(before + 1)
    }

    fn checkpoint_blocking(&self) {
        let _guard = self.workers.lock().unwrap_or_else(PoisonError::into_inner);
        thread::sleep(CHECKPOINT);
    }

    async fn analyse(&self) {
        let _permit = self.endpoint_analyses.acquire().await.expect("it is never closed");
        self.gauge.analysis().await;
    }

    fn analyse_blocking(&self) {
        self.worker_analyses.acquire();
        self.gauge.analysis_blocking();
        self.worker_analyses.release();
    }

    fn total(&self) -> u64 {
        self.counts.values().map(|count| count.load(SeqCst)).sum()
    }

    fn most_analyses(&self) -> usize {
        self.gauge.most()
    }
}

/// The semaphore that `std` doesn't have.
struct ThreadSemaphore {
    free: Mutex<usize>,
    freed: Condvar,
}

impl ThreadSemaphore {
    fn new(permits: usize) -> Self {
        Self { free: Mutex::new(permits), freed: Condvar::new() }
    }

    fn acquire(&self) {
        let free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        let mut free = self.freed.wait_while(free, |free| *free == 0).unwrap_or_else(PoisonError::into_inner);
        *free -= 1;
    }

    fn release(&self) {
        *self.free.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        self.freed.notify_one();
    }
}
