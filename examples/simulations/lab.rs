//! What endpoints and workers ask of a lab, whichever locks it uses, and how long their work takes.

use std::hint::spin_loop;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::thread;
use std::time::{Duration, Instant};

/// The simulations there are.
pub(crate) const SIMULATIONS: [&str; 3] = ["climate", "folding", "traffic"];

/// How many analyses may run at the same time, in tasks and threads together.
pub(crate) const ANALYSES: usize = 4;

/// How long a worker's checkpoint holds the map. Endpoints have to wait; the event loop must not.
pub(crate) const CHECKPOINT: Duration = Duration::from_millis(20);

const ANALYSIS: Duration = Duration::from_millis(2);
const STEP: Duration = Duration::from_micros(20);

/// Counts the steps of each simulation, and bounds the analyses that run at the same time.
pub(crate) trait Lab: Send + Sync + 'static {
    /// Counts a step from an endpoint; `None` if there is no such simulation.
    fn step(&self, name: &str) -> impl Future<Output = Option<u64>> + Send;

    /// Counts a step from a worker thread; `None` if there is no such simulation.
    fn step_blocking(&self, name: &str) -> Option<u64>;

    /// Keeps the map to itself for [`CHECKPOINT`], on a worker thread.
    fn checkpoint_blocking(&self);

    /// Runs an analysis from an endpoint.
    fn analyse(&self) -> impl Future<Output = ()> + Send;

    /// Runs an analysis from a worker thread.
    fn analyse_blocking(&self);

    /// All steps in the map, when everybody is done.
    fn total(&self) -> u64;

    /// The most analyses that ever ran at the same time.
    fn most_analyses(&self) -> usize;
}

/// What a step does between its read and its write, in a task: here others may run.
pub(crate) async fn work() {
    tokio::task::yield_now().await;
}

/// What a step does between its read and its write, on a thread.
pub(crate) fn work_blocking() {
    let start = Instant::now();
    while start.elapsed() < STEP {
        spin_loop();
    }
}

/// Measures how many analyses run at the same time. It bounds nothing: that is the lab's business.
#[derive(Default)]
pub(crate) struct Gauge {
    now: AtomicUsize,
    most: AtomicUsize,
}

impl Gauge {
    pub(crate) async fn analysis(&self) {
        self.begin();
        tokio::time::sleep(ANALYSIS).await;
        self.end();
    }

    pub(crate) fn analysis_blocking(&self) {
        self.begin();
        thread::sleep(ANALYSIS);
        self.end();
    }

    pub(crate) fn most(&self) -> usize {
        self.most.load(SeqCst)
    }

    fn begin(&self) {
        let now = self.now.fetch_add(1, SeqCst) + 1;
        self.most.fetch_max(now, SeqCst);
    }

    fn end(&self) {
        self.now.fetch_sub(1, SeqCst);
    }
}
