//! How long acquisitions took, one by one.

use std::time::{Duration, Instant};

/// Times of acquisitions, and their quantiles in µs.
#[derive(Default)]
pub(crate) struct Waits(Vec<Duration>);

impl Waits {
    /// Adds the time since `start`.
    pub(crate) fn add(&mut self, start: Instant) {
        self.0.push(start.elapsed());
    }

    pub(crate) fn count(&self) -> u64 {
        self.0.len() as u64
    }

    pub(crate) fn median(&mut self) -> f64 {
        self.quantile(0.5)
    }

    pub(crate) fn p99(&mut self) -> f64 {
        self.quantile(0.99)
    }

    pub(crate) fn longest(&mut self) -> f64 {
        self.quantile(1.0)
    }

    fn quantile(&mut self, part: f64) -> f64 {
        self.0.sort_unstable();
        let at = (self.0.len().saturating_sub(1) as f64 * part) as usize;
        self.0.get(at).map_or(f64::NAN, |wait| wait.as_nanos() as f64 / 1000.0)
    }
}
