//! One lock and one semaphore for both sides: tasks `.await` them, threads `.wait()` for them.

use std::collections::HashMap;
use std::thread;

use latchwork::{Mutex, Semaphore};

use crate::lab::{self, ANALYSES, CHECKPOINT, Gauge, Lab, SIMULATIONS};

pub(crate) struct Shared {
    counts: Mutex<HashMap<String, u64>>,
    analyses: Semaphore,
    gauge: Gauge,
}

impl Shared {
    pub(crate) fn new() -> Self {
        let counts = SIMULATIONS.map(|name| (name.to_owned(), 0)).into();
        Self { counts: Mutex::new(counts), analyses: Semaphore::new(ANALYSES), gauge: Gauge::default() }
    }
}

impl Lab for Shared {
    async fn step(&self, name: &str) -> Option<u64> {
        let mut counts = self.counts.lock().await;
        let before = *counts.get(name)?;
        lab::work().await;
        counts.insert(name.to_owned(), before + 1);
        Some(before + 1)
    }

    fn step_blocking(&self, name: &str) -> Option<u64> {
        let mut counts = self.counts.lock().wait();
        let before = *counts.get(name)?;
        lab::work_blocking();
        counts.insert(name.to_owned(), before + 1);
        Some(before + 1)
    }

    fn checkpoint_blocking(&self) {
        let _counts = self.counts.lock().wait();
        thread::sleep(CHECKPOINT);
    }

    async fn analyse(&self) {
        let _permit = self.analyses.acquire().await;
        self.gauge.analysis().await;
    }

    fn analyse_blocking(&self) {
        let _permit = self.analyses.acquire().wait();
        self.gauge.analysis_blocking();
    }

    fn total(&self) -> u64 {
        self.counts.try_lock().expect("everybody is done").values().sum()
    }

    fn most_analyses(&self) -> usize {
        self.gauge.most()
    }
}
