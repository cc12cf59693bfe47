//! [`Backoff`]: how long to wait before each retry.

use std::time::Duration;

use fastrand::Rng;

/// How waits are spread, so that those who failed together do not come back together.
///
/// *d* is the delay that the schedule has come to: it grows first, is capped then, and is spread within the
/// cap last, so that also those who have reached the cap come back at different times. The
/// names are those of M. Brooker, "Exponential Backoff and Jitter" (AWS Architecture Blog, 2015).
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
    /// Anything from nothing to *d*: the best spread.
    #[default]
    Full,
    /// Anything from *d*/2 to *d*: never at once.
    Equal,
    /// Anything from the base delay to three times the wait before, within the cap.
    Decorrelated,
}

/// The waits before one retry after the other: an endless iterator, made by the same words as a policy.
///
/// The schedule is `base_delay × multiplier^(n − 1)` for retry *n*, never more than `max_delay`, spread by
/// the [`Jitter`]. Numbers saturate: there is no retry for which it overflows. By default it starts with
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
    /// The default schedule.
    ///
    /// # Examples
    ///
    /// ```
    /// assert_eq!(latchwork::retry::Backoff::new().nominal(1).as_millis(), 100);
    /// ```
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

    /// The delay of the first retry, before it is spread. 100 ms by default.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// let backoff = latchwork::retry::Backoff::new().base_delay(Duration::from_millis(7));
    /// assert_eq!(backoff.nominal(2).as_millis(), 14);
    /// ```
    #[must_use]
    pub const fn base_delay(mut self, delay: Duration) -> Self {
        self.base = nanos(delay);
        self
    }

    /// The delay beyond which the schedule does not grow. 5 s by default. If it is less than the base delay,
    /// it is the delay of every retry.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// let backoff = latchwork::retry::Backoff::new().max_delay(Duration::from_millis(150));
    /// assert_eq!(backoff.nominal(u32::MAX).as_millis(), 150);
    /// ```
    #[must_use]
    pub const fn max_delay(mut self, delay: Duration) -> Self {
        self.cap = nanos(delay);
        self
    }

    /// How many times the delay before each delay is. 2 by default; with 1 they are all the same.
    ///
    /// # Panics
    ///
    /// With 0.
    ///
    /// # Examples
    ///
    /// ```
    /// assert_eq!(latchwork::retry::Backoff::new().multiplier(3).nominal(3).as_millis(), 900);
    /// ```
    #[must_use]
    pub const fn multiplier(mut self, multiplier: u32) -> Self {
        assert!(multiplier > 0, "a backoff's multiplier must be at least 1");
        self.multiplier = multiplier;
        self
    }

    /// How the delays are spread. [`Jitter::Full`] by default.
    ///
    /// # Examples
    ///
    /// ```
    /// use latchwork::retry::{Backoff, Jitter};
    ///
    /// let mut waits = Backoff::new().jitter(Jitter::None);
    /// assert_eq!(waits.next(), Some(Backoff::new().nominal(1)));
    /// ```
    #[must_use]
    pub const fn jitter(mut self, jitter: Jitter) -> Self {
        self.jitter = jitter;
        self
    }

    /// Spreads by a generator that starts from `seed`, for waits that can be had again.
    ///
    /// # Examples
    ///
    /// ```
    /// let waits = |seed| latchwork::retry::Backoff::new().seed(seed).take(5).collect::<Vec<_>>();
    /// assert_eq!(waits(7), waits(7));
    /// assert_ne!(waits(7), waits(8));
    /// ```
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.rng = Some(Rng::with_seed(seed));
        self
    }

    /// The delay of this retry before it is spread; the first retry is 1, and 0 is taken for it.
    ///
    /// # Examples
    ///
    /// ```
    /// assert_eq!(latchwork::retry::Backoff::new().nominal(3).as_millis(), 400);
    /// ```
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

    /// The wait before the next retry. There is always one.
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

/// Beyond 584 years nobody waits for the difference.
const fn nanos(duration: Duration) -> u64 {
    let nanos = duration.as_nanos();
    if nanos > u64::MAX as u128 { u64::MAX } else { nanos as u64 }
}
