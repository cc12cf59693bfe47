//! [`Backoff`]: how long to wait before each retry.

use std::time::Duration;

use fastrand::Rng;

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
    /// Exactly *d*.
    None,
    /// A random time from 0 to *d*: the best spread.
    #[default]
    Full,
    /// A random time from *d*/2 to *d*: never at once.
    Equal,
    /// A random time from the base delay to three times the previous wait, within the cap.
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
/// let slow = Backoff::new().base_delay(ms(7)).multiplier(3).max_delay(ms(100)).seed(7);
/// assert_eq!([1, 2, 3, 4].map(|retry| slow.nominal(retry)), [7, 21, 63, 100].map(ms)); // before the spread
/// assert_eq!(slow.clone().take(5).collect::<Vec<_>>(), slow.take(5).collect::<Vec<_>>());
/// ```
#[derive(Clone, Debug)]
pub struct Backoff {
    base: u64,
    cap: u64,
    multiplier: u32,
    jitter: Jitter,
    retry: u32,
    previous: u64,
    rng: Option<Rng>,
}

impl Backoff {
    /// Creates the default schedule.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            base: 100_000_000,
            cap: 5_000_000_000,
            multiplier: 2,
            jitter: Jitter::Full,
            retry: 0,
            previous: 0,
            rng: None,
        }
    }

    /// Sets the delay of the first retry, before it is spread. 100 ms by default.
    #[must_use]
    pub const fn base_delay(mut self, delay: Duration) -> Self {
        self.base = nanos(delay);
        self
    }

    /// Sets the delay at which the schedule stops growing. 5 s by default. If it is less than the base delay,
    /// every retry has this delay.
    #[must_use]
    pub const fn max_delay(mut self, delay: Duration) -> Self {
        self.cap = nanos(delay);
        self
    }

    /// Sets the factor by which each delay exceeds the previous one. 2 by default; with 1 all delays are equal.
    ///
    /// # Panics
    ///
    /// Panics with 0.
    #[must_use]
    pub const fn multiplier(mut self, multiplier: u32) -> Self {
        assert!(multiplier > 0, "a backoff's multiplier must be at least 1");
        self.multiplier = multiplier;
        self
    }

    /// Sets how the delays are spread. [`Jitter::Full`] by default.
    #[must_use]
    pub const fn jitter(mut self, jitter: Jitter) -> Self {
        self.jitter = jitter;
        self
    }

    /// Sets the seed of the spread: the same seed draws the same waits.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.rng = Some(Rng::with_seed(seed));
        self
    }

    /// Returns the delay of this retry before it is spread. Retries are numbered from 1. 0 is treated as 1.
    #[must_use]
    pub fn nominal(&self, retry: u32) -> Duration {
        Duration::from_nanos(self.capped(retry))
    }

    pub(super) fn set_rng(&mut self, rng: impl FnOnce() -> Rng) {
        if self.rng.is_none() {
            self.rng = Some(rng());
        }
    }

    fn capped(&self, retry: u32) -> u64 {
        let grown = u64::from(self.multiplier).saturating_pow(retry.saturating_sub(1));
        self.base.saturating_mul(grown).min(self.cap)
    }

    fn draw(&mut self, low: u64, high: u64) -> u64 {
        self.rng.get_or_insert_with(Rng::new).u64(low..=high)
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
        let delay = self.capped(self.retry);
        let wait = match self.jitter {
            Jitter::None => delay,
            Jitter::Full => self.draw(0, delay),
            Jitter::Equal => self.draw(delay / 2, delay),
            Jitter::Decorrelated => {
                let high = self.previous.max(self.base).saturating_mul(3).min(self.cap);
                self.previous = self.draw(self.base.min(high), high);
                self.previous
            }
        };
        Some(Duration::from_nanos(wait))
    }
}

/// Saturates at 584 years.
const fn nanos(duration: Duration) -> u64 {
    let nanos = duration.as_nanos();
    if nanos > u64::MAX as u128 { u64::MAX } else { nanos as u64 }
}
