//! [`Schedule`]: the delays of a backoff, and how they become waits. [`Waits`]: those of one call.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use parking_lot::Mutex;

use super::backoff::Jitter;
use crate::verdict::RetryKind;

/// The first delay after throttling, if the policy's own is not longer: the server asks for fewer requests.
const THROTTLED_BASE: u64 = 1_000_000_000;

/// Waits behind a hint are spread over a tenth of it at least.
const HINT_SPREAD: u32 = 10;

#[derive(Clone, Copy, Debug)]
pub(super) struct Schedule {
    base: u64,
    cap: u64,
    /// Finite, and at least 1.
    multiplier: f64,
    pub(super) jitter: Jitter,
}

impl Schedule {
    pub(super) const fn new() -> Self {
        Self { base: 100_000_000, cap: 5_000_000_000, multiplier: 2.0, jitter: Jitter::Full }
    }

    pub(super) const fn base_delay(mut self, delay: Duration) -> Self {
        self.base = nanos(delay);
        self
    }

    pub(super) const fn max_delay(mut self, delay: Duration) -> Self {
        self.cap = nanos(delay);
        self
    }

    pub(super) const fn multiplier(mut self, multiplier: f64) -> Self {
        // Not `< 1.0`: that is false for what is no number.
        assert!(
            multiplier >= 1.0 && multiplier.is_finite(),
            "a backoff's multiplier must be a finite number of at least 1"
        );
        self.multiplier = multiplier;
        self
    }

    /// Returns this schedule as it is after throttling, if nothing else is set for that.
    pub(super) fn throttled(mut self) -> Self {
        self.base = self.base.max(THROTTLED_BASE);
        self
    }

    /// Returns the delay of a retry before it is spread.
    pub(super) fn delay(&self, retry: u32) -> u64 {
        let growths = retry.saturating_sub(1);
        let grown = if self.multiplier.fract() == 0.0 {
            // Floating-point numbers would round long delays.
            self.base.saturating_mul((self.multiplier as u64).saturating_pow(growths))
        } else {
            let factor = self.multiplier.powi(growths.try_into().unwrap_or(i32::MAX));
            (self.base as f64 * factor) as u64
        };
        grown.min(self.cap)
    }

    /// Returns the wait before a retry: never shorter than the hint, and spread behind it.
    ///
    /// One random number decides about both parts of the wait. So the waits of a seed are the same, with hints and
    /// without.
    pub(super) fn wait(&self, retry: u32, hint: Duration, spread: &mut Spread) -> Drawn {
        let delay = self.delay(retry);
        let share = match self.jitter {
            Jitter::None => {
                return Drawn { wait: Duration::from_nanos(delay).max(hint), hint, share: None };
            }
            _ => spread.share(),
        };
        let own = match self.jitter {
            Jitter::Equal => share.of(delay / 2, delay),
            Jitter::Decorrelated => {
                // From a base near the cap there would be no range left to draw from.
                let base = self.base.min(self.cap.div_ceil(3));
                let high = spread.previous.max(base).saturating_mul(3).min(self.cap);
                spread.previous = share.of(base.min(high), high);
                spread.previous
            }
            Jitter::None | Jitter::Full => share.of(0, delay),
        };
        let wait = hint.saturating_add(Duration::from_nanos(own).max(share.of_hint(hint)));
        Drawn { wait, hint, share: Some(share) }
    }
}

/// A wait before a retry, and what it was made of.
pub(super) struct Drawn {
    pub(super) wait: Duration,
    hint: Duration,
    /// What spread it, if anything did.
    share: Option<Share>,
}

impl Drawn {
    /// Returns the wait. If it would end too late and its hint would not, it is spread over the time that is left behind
    /// the hint: the spread must not cost a retry that the other side has offered in time.
    pub(super) fn within(self, left: Duration) -> Duration {
        let Self { wait, hint, share } = self;
        match left.checked_sub(hint) {
            Some(room) if wait > left && !hint.is_zero() => {
                hint + share.map_or(room, |share| Duration::from_nanos(share.of(0, nanos(room))))
            }
            _ => wait,
        }
    }
}

/// What the waits of one call draw from.
#[derive(Clone, Debug)]
pub(super) struct Spread {
    /// The last decorrelated wait.
    previous: u64,
    rng: Option<Rng>,
}

impl Spread {
    pub(super) const fn new() -> Self {
        Self { previous: 0, rng: None }
    }

    fn share(&mut self) -> Share {
        Share(self.rng.get_or_insert_with(Rng::new).u64(..))
    }
}

impl From<Rng> for Spread {
    fn from(rng: Rng) -> Self {
        Self { previous: 0, rng: Some(rng) }
    }
}

/// A random part of a whole, in 2⁻⁶⁴.
#[derive(Clone, Copy)]
struct Share(u64);

impl Share {
    /// Returns the number at this part of the way from `low` to `high`. Both ends are possible.
    fn of(self, low: u64, high: u64) -> u64 {
        let numbers = u128::from(high - low) + 1;
        // Less than `numbers`, since the part is less than the whole.
        low + ((u128::from(self.0) * numbers) >> 64) as u64
    }

    /// Returns the shortest wait behind a hint. Otherwise calls with the same long hint would return too close together.
    fn of_hint(self, hint: Duration) -> Duration {
        Duration::from_nanos(self.of(0, nanos(hint / HINT_SPREAD)))
    }
}

/// An own schedule: it makes the waits of a call.
pub(super) type Factory = dyn Fn() -> Own + Send + Sync;

/// Waits of an own schedule. The lock is never taken: it only makes a session `Sync`, which the iterator need not be.
pub(super) type Own = Mutex<Box<dyn Iterator<Item = Duration> + Send>>;

/// The schedules of a policy.
#[derive(Clone)]
pub(super) struct Schedules {
    pub(super) general: Schedule,
    /// By `RetryKind::index`.
    pub(super) by_kind: [Option<Schedule>; RetryKind::ALL.len()],
    /// In place of the general one.
    pub(super) own: Option<Arc<Factory>>,
}

impl Schedules {
    pub(super) const fn new() -> Self {
        Self { general: Schedule::new(), by_kind: [None; RetryKind::ALL.len()], own: None }
    }

    /// Starts the waits of one call.
    pub(super) fn start(&self, spread: Spread) -> Waits {
        Waits { spread, own: self.own.as_ref().map(|make| make()) }
    }
}

impl fmt::Debug for Schedules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Schedules");
        shown.field("general", &self.general).field("has_own", &self.own.is_some()).finish_non_exhaustive()
    }
}

/// The waits of one call.
pub(super) struct Waits {
    spread: Spread,
    own: Option<Own>,
}

impl Waits {
    /// Returns the wait before a retry, or `None` if the policy's own schedule has ended.
    pub(super) fn next(
        &mut self,
        by: &Schedules,
        retry: u32,
        kind: RetryKind,
        hint: Duration,
    ) -> Option<Drawn> {
        let schedule = match (by.by_kind[kind.index()], &mut self.own) {
            (Some(schedule), _) => schedule,
            (None, Some(own)) => {
                let own = own.get_mut().next()?;
                if hint.is_zero() {
                    return Some(Drawn { wait: own, hint, share: None });
                }
                // Own waits are the same for all calls, so they spread nothing themselves.
                let share = self.spread.share();
                let wait = hint.saturating_add(own).saturating_add(share.of_hint(hint));
                return Some(Drawn { wait, hint, share: Some(share) });
            }
            (None, None) if kind == RetryKind::Throttled => by.general.throttled(),
            (None, None) => by.general,
        };
        Some(schedule.wait(retry, hint, &mut self.spread))
    }
}

/// Saturates at 584 years.
pub(super) const fn nanos(duration: Duration) -> u64 {
    let nanos = duration.as_nanos();
    if nanos > u64::MAX as u128 { u64::MAX } else { nanos as u64 }
}
