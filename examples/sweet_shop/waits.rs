//! How long requests wait for what keeps others away: a lock, a row, or the connection that writes.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

/// Shorter waits are not counted: they are what a free lock costs.
const NOTICED: Duration = Duration::from_millis(1);

pub(crate) struct Waits(Mutex<Histogram<u64>>);

impl Default for Waits {
    fn default() -> Self {
        Self(Mutex::new(Histogram::new_with_bounds(1, 60_000_000, 3).expect("up to a minute, 3 digits")))
    }
}

impl Waits {
    pub(crate) fn record(&self, waited: Duration) {
        self.with(|micros| micros.saturating_record(waited.as_micros() as u64));
    }

    /// Records how long this takes.
    pub(crate) async fn time<T>(&self, pending: impl Future<Output = T>) -> T {
        let start = Instant::now();
        let done = pending.await;
        self.record(start.elapsed());
        done
    }

    /// Returns how many waits there were of a millisecond and more.
    pub(crate) fn count(&self) -> u64 {
        self.with(|micros| micros.count_between(NOTICED.as_micros() as u64, micros.high()))
    }

    /// Returns the longest wait.
    pub(crate) fn longest(&self) -> Duration {
        Duration::from_micros(self.with(|micros| micros.max()))
    }

    fn with<T>(&self, f: impl FnOnce(&mut Histogram<u64>) -> T) -> T {
        f(&mut self.0.lock().expect("nothing panics while it is locked"))
    }
}
