//! [`RetryPolicy`]: how often, how long, and for which errors attempts are made again. Its setters are in
//! [`setters`](super::setters), calls by it in [`run`](super::run) and [`conflict`](super::conflict).

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use parking_lot::Mutex;

use super::backoff::Backoff;
use super::budget::Budget;
use super::classify::{ByFunction, ByTrait};
use super::clock::{Clock, SystemClock};
use super::observe::{Observer, LockObserver};
use super::shared::Shared;
use super::stats::RetryStats;
use crate::verdict::RetryKind;

/// How often, how long, and for which errors attempts are made again.
///
/// By default there are four attempts, the first call included. The waits are 100, 200 and 400 ms, and
/// [fully spread](super::Jitter::Full). Every [`RetryKind`] but a unique violation is retried. An error is classified
/// by its own [`Classify`](crate::verdict::Classify), by a function ([`classified_by`](Self::classified_by)),
/// or by a closure ([`classify_with`](Self::classify_with)).
///
/// A policy holds no state of a call: keep one, and share it. A success at the first attempt reads no clock (with a
/// [`deadline`](Self::deadline), once), draws no random number and allocates nothing.
///
/// # In a static
///
/// A policy can be a `static`: most setters are `const`. [`static_budget`](Self::static_budget) and
/// [`static_stats`](Self::static_stats) set what [`budget`](Self::budget) and [`stats`](Self::stats) set elsewhere. An
/// observer, a clock and a seed are allocated, so they need a [`LazyLock`](std::sync::LazyLock).
///
/// # Examples
///
/// ```
/// use std::{io, time::Duration};
/// use latchwork::retry::{Budget, ByFunction, Jitter, RetryStats, StopReason, VirtualClock};
/// use latchwork::{RetryPolicy, verdict::{RetryKind, Verdict}};
///
/// fn verdict(error: &io::Error) -> Verdict {
///     match error.kind() {
///         io::ErrorKind::ConnectionRefused => Verdict::Retry(RetryKind::Transient),
///         _ => Verdict::Stop,
///     }
/// }
///
/// static DATABASE: Budget = Budget::new(100);
/// static SAVES: RetryStats = RetryStats::new();
/// static SAVE: RetryPolicy<ByFunction<io::Error>> = RetryPolicy::classified_by(verdict)
///     .name("save card")
///     .max_attempts(5)
///     .base_delay(Duration::from_millis(10))
///     .max_delay(Duration::from_millis(30))
///     .multiplier(2)
///     .jitter(Jitter::None)
///     .deadline(Duration::from_secs(1))
///     .retry_kind(RetryKind::UniqueViolation, true)
///     .static_budget(&DATABASE)
///     .static_stats(&SAVES);
///
/// let clock = VirtualClock::new(); // for tests: waits pass at once
/// let policy = SAVE.clone().clock(clock.clone()).on_retry(|retry| assert_eq!(retry.name, "save card"));
/// let refused = || io::Error::from(io::ErrorKind::ConnectionRefused);
/// let error = policy.run_blocking(|_attempt| Err::<(), _>(refused())).unwrap_err();
/// assert_eq!((error.attempts, error.reason), (5, StopReason::AttemptsExhausted));
/// assert_eq!(clock.waits(), [10, 20, 30, 30].map(Duration::from_millis));
/// assert_eq!((DATABASE.tokens(), SAVES.counts().failed()), (80, 1));
/// ```
#[derive(Clone)]
pub struct RetryPolicy<C = ByTrait> {
    pub(super) backoff: Backoff,
    pub(super) max_attempts: u32,
    pub(super) deadline: Option<Duration>,
    /// By `RetryKind::index`.
    pub(super) retried: [bool; RetryKind::ALL.len()],
    pub(super) name: &'static str,
    pub(super) budget: Option<Shared<Budget>>,
    pub(super) stats: Option<Shared<RetryStats>>,
    pub(super) observer: Option<Arc<Observer>>,
    pub(super) lock_observer: Option<Arc<LockObserver>>,
    pub(super) clock: Option<Arc<dyn Clock>>,
    /// Makes the generator of each call, so that the waits are the same each time.
    pub(super) seeded: Option<Arc<Mutex<Rng>>>,
    pub(super) classifier: C,
}

impl RetryPolicy {
    /// Creates the default policy.
    #[must_use]
    pub const fn new() -> Self {
        Self::with_classifier(ByTrait)
    }

    /// Creates the default policy for errors that a function classifies: errors of other crates, for example.
    ///
    /// For a closure that captures something see [`classify_with`](Self::classify_with).
    #[must_use]
    pub const fn classified_by<E>(classify: ByFunction<E>) -> RetryPolicy<ByFunction<E>> {
        RetryPolicy::with_classifier(classify)
    }
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self::new()
    }
}

impl<C> RetryPolicy<C> {
    const fn with_classifier(classifier: C) -> Self {
        let mut retried = [true; RetryKind::ALL.len()];
        retried[RetryKind::UniqueViolation.index()] = false;
        Self {
            backoff: Backoff::new(),
            max_attempts: 4,
            deadline: None,
            retried,
            name: "retry",
            budget: None,
            stats: None,
            observer: None,
            lock_observer: None,
            clock: None,
            seeded: None,
            classifier,
        }
    }

    pub(super) fn retries(&self, kind: RetryKind) -> bool {
        self.retried[kind.index()]
    }

    pub(super) fn observer(&self) -> Option<&Observer> {
        self.observer.as_deref()
    }

    pub(super) fn lock_observer(&self) -> Option<&LockObserver> {
        self.lock_observer.as_deref()
    }

    pub(super) fn clock_in_use(&self) -> &dyn Clock {
        self.clock.as_deref().unwrap_or(&SystemClock)
    }

    /// Returns the waits of one call.
    pub(super) fn waits(&self) -> Backoff {
        let mut backoff = self.backoff.clone();
        if let Some(seeded) = &self.seeded {
            backoff.set_rng(|| seeded.lock().fork());
        }
        backoff
    }

    /// Panics at once, and not at the first retry, if there is no way to wait in a task. With the feature
    /// `tokio` it does so in debug builds only.
    #[inline]
    pub(super) fn report_misuse(&self) {
        if cfg!(any(debug_assertions, not(feature = "tokio"))) && self.clock.is_none() {
            SystemClock::report_misuse();
        }
    }
}

impl<C> fmt::Debug for RetryPolicy<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RetryPolicy")
            .field("name", &self.name)
            .field("max_attempts", &self.max_attempts)
            .field("backoff", &self.backoff)
            .field("deadline", &self.deadline)
            .field("budget", &self.budget)
            .finish_non_exhaustive()
    }
}
