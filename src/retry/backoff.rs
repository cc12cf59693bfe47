//! [`Backoff`]: how long to wait before each retry.

use std::time::Duration;

use fastrand::Rng;

use super::schedule::{Schedule, Spread};

/// How waits are spread, so that calls that failed together do not return together.
///
/// *d* is the delay of the schedule. It grows first, is then capped, and is spread last. So calls that have reached the
/// cap return at different times, too. The names are those of M. Brooker, "Exponential Backoff and Jitter" (AWS Architecture Blog, 2015).
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use latchwork::retry::{Backoff, Jitter};
///
/// let second = Duration::from_secs(1);
/// let backoff = Backoff::new().base_delay(second).max_delay(second);
/// assert!(backoff.clone().jitter(Jitter::Equal).take(100).all(|wait| wait >= second / 2 && wait <= second));
/// assert!(backoff.jitter(Jitter::None).take(100).all(|wait| wait == second));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
#[non_exhaustive]
pub enum Jitter {
    /// Exactly *d*. With a hint, exactly the longer one of the two: calls with the same hint return together.
    None,
    /// A random time from 0 to *d*: the best spread.
    #[default]
    Full,
    /// A random time from *d*/2 to *d*: never at once.
    Equal,
    /// A random time from the base delay to three times the previous wait, within the cap. A base delay above a third of
    /// the cap counts as a third of it, so that there is a range to draw from.
    Decorrelated,
}

/// The waits before one retry after the other: an endless iterator, with the same setters as a policy.
///
/// The schedule is `base_delay × multiplier^(n − 1)` for retry *n*, never more than `max_delay`, spread by
/// the [`Jitter`]. Numbers saturate, so it never overflows. By default it starts with
/// 100 ms, doubles, stops growing at 5 s, and is fully spread.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use latchwork::retry::{Backoff, Jitter};
///
/// let waits: Vec<_> = Backoff::new().jitter(Jitter::None).map(|wait| wait.as_millis()).take(7).collect();
/// assert_eq!(waits, [100, 200, 400, 800, 1600, 3200, 5000]);
///
/// let ms = Duration::from_millis;
/// let slow = Backoff::new().base_delay(ms(8)).multiplier(1.5).max_delay(ms(20)).seed(7);
/// assert_eq!([1, 2, 3, 4].map(|retry| slow.nominal(retry)), [8, 12, 18, 20].map(ms)); // before the spread
/// assert_eq!(slow.clone().take(5).collect::<Vec<_>>(), slow.take(5).collect::<Vec<_>>());
/// ```
#[derive(Clone, Debug)]
pub struct Backoff {
    pub(super) schedule: Schedule,
    spread: Spread,
    retry: u32,
}

impl Backoff {
    /// Creates the default schedule.
    #[must_use]
    pub const fn new() -> Self {
        Self { schedule: Schedule::new(), spread: Spread::new(), retry: 0 }
    }

    /// Sets the delay of the first retry, before it is spread. 100 ms by default.
    #[must_use]
    pub const fn base_delay(mut self, delay: Duration) -> Self {
        self.schedule = self.schedule.base_delay(delay);
        self
    }

    /// Sets the delay at which the schedule stops growing. 5 s by default. If it is less than the base delay,
    /// every retry has this delay.
    #[must_use]
    pub const fn max_delay(mut self, delay: Duration) -> Self {
        self.schedule = self.schedule.max_delay(delay);
        self
    }

    /// Sets the factor by which each delay exceeds the previous one. 2 by default; with 1 all delays are equal.
    ///
    /// # Panics
    ///
    /// Panics if it is less than 1, infinite, or not a number.
    #[must_use]
    pub const fn multiplier(mut self, multiplier: f64) -> Self {
        self.schedule = self.schedule.multiplier(multiplier);
        self
    }

    /// Sets how the delays are spread. [`Jitter::Full`] by default.
    #[must_use]
    pub const fn jitter(mut self, jitter: Jitter) -> Self {
        self.schedule.jitter = jitter;
        self
    }

    /// Sets the seed of the spread: the same seed draws the same waits.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.spread = Spread::from(Rng::with_seed(seed));
        self
    }

    /// Returns the delay of this retry before it is spread. Retries are numbered from 1. 0 is treated as 1.
    #[must_use]
    pub fn nominal(&self, retry: u32) -> Duration {
        Duration::from_nanos(self.schedule.delay(retry))
    }
}

impl Default for Backoff {
    fn default() -> Self {
        Self::new()
    }
}

impl Iterator for Backoff {
    type Item = Duration;

    /// Returns the wait before the next retry. There is always one.
    fn next(&mut self) -> Option<Duration> {
        self.retry = self.retry.saturating_add(1);
        Some(self.schedule.wait(self.retry, Duration::ZERO, &mut self.spread).wait)
    }
}
