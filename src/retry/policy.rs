//! [`RetryPolicy`]: how often, how long, and for which errors attempts are made again. Its setters are in
//! [`setters`](super::setters), calls by it in [`run`](super::run) and [`conflict`](super::conflict).

use std::fmt;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use parking_lot::Mutex;

use super::budget::Budget;
use super::classify::{ByFunction, ByTrait};
use super::clock::{Clock, SystemClock};
use super::observe::{LockObserver, Warnings};
use super::schedule::{Schedules, Spread, Waits};
use super::shared::Shared;
use super::stats::RetryStats;
use super::too_dear::TooDear;
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
/// [`static_stats`](Self::static_stats) set what [`budget`](Self::budget) and [`stats`](Self::stats) set elsewhere. A
/// clock, a seed, a schedule and an observer need a [`LazyLock`](std::sync::LazyLock), as their setters are not `const`.
/// A [`Classifier`](super::Classifier) of your own can observe without one.
///
/// # One policy inside another
///
/// Retry in one place. If a function that retries four times is called by another that retries four times, there can be
/// sixteen attempts. A [`RetryError`](super::RetryError) stops the outer policy, as it classifies as
/// [`Verdict::Stop`](crate::verdict::Verdict::Stop). An error that was taken out of it, with
/// [`into_inner`](super::RetryError::into_inner), does not: use [`map`](super::RetryError::map) instead.
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
/// static DATABASE: Budget = Budget::new(500);
/// static SAVES: RetryStats = RetryStats::new();
/// static SAVE: RetryPolicy<ByFunction<io::Error>> = RetryPolicy::classified_by(verdict)
///     .name("save card")
///     .max_attempts(5)
///     .base_delay(Duration::from_millis(10))
///     .max_delay(Duration::from_millis(30))
///     .multiplier(2.0)
///     .jitter(Jitter::None)
///     .deadline(Duration::from_secs(1))
///     .retry_kind(RetryKind::UniqueViolation, true)
///     .static_budget(&DATABASE)
///     .static_stats(&SAVES);
///
/// let clock = VirtualClock::new(); // for tests: waits pass at once
/// let policy = SAVE.clone().clock(clock.clone()).on_retry(|retry| println!("{}", retry.error));
/// let refused = || io::Error::from(io::ErrorKind::ConnectionRefused);
/// let error = policy.run_blocking(|_attempt| Err::<(), _>(refused())).unwrap_err();
/// assert_eq!((error.attempts, error.reason), (5, StopReason::AttemptsExhausted));
/// assert_eq!(clock.waits(), [10, 20, 30, 30].map(Duration::from_millis));
/// assert_eq!((DATABASE.tokens(), SAVES.counts().failed()), (500 - 4 * 14, 1));
/// ```
#[derive(Clone)]
pub struct RetryPolicy<C = ByTrait> {
    pub(super) schedules: Schedules,
    pub(super) max_attempts: u32,
    pub(super) deadline: Option<Duration>,
    pub(super) max_hint: Duration,
    /// By `RetryKind::index`.
    pub(super) retried: [bool; RetryKind::ALL.len()],
    pub(super) name: &'static str,
    pub(super) budget: Option<Shared<Budget>>,
    /// What the budget can't pay. A `const` setter can't ask a budget that is counted.
    pub(super) too_dear: TooDear,
    pub(super) stats: Option<Shared<RetryStats>>,
    pub(super) lock_observer: Option<Arc<LockObserver>>,
    pub(super) warnings: Warnings,
    pub(super) clock: Option<Arc<dyn Clock>>,
    /// Makes the generator of each call, so that the waits are the same each time.
    pub(super) seeded: Option<Arc<Mutex<Rng>>>,
    pub(super) classifier: C,
}

impl RetryPolicy {
    /// Creates the default policy.
    #[must_use]
    pub const fn new() -> Self {
        Self::of(ByTrait)
    }

    /// Creates the default policy for errors that a function classifies: errors of other crates, for example.
    ///
    /// The policy has a type with a name, for a field or a `static`: `RetryPolicy<ByFunction<E>>`, which is
    /// `RetryPolicy<fn(&E) -> Verdict>`. For a closure that captures something see [`classify_with`](Self::classify_with).
    #[must_use]
    pub const fn classified_by<E>(classify: ByFunction<E>) -> RetryPolicy<ByFunction<E>> {
        RetryPolicy::of(classify)
    }

    /// Creates the default policy with a [`Classifier`](super::Classifier) of your own.
    #[must_use]
    pub const fn with_classifier<C>(classifier: C) -> RetryPolicy<C> {
        RetryPolicy::of(classifier)
    }
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self::new()
    }
}

impl<C> RetryPolicy<C> {
    const fn of(classifier: C) -> Self {
        let mut retried = [true; RetryKind::ALL.len()];
        retried[RetryKind::UniqueViolation.index()] = false;
        Self {
            schedules: Schedules::new(),
            max_attempts: 4,
            deadline: None,
            max_hint: Duration::from_secs(300),
            retried,
            name: "retry",
            budget: None,
            too_dear: TooDear::NONE,
            stats: None,
            lock_observer: None,
            warnings: Warnings::new(),
            clock: None,
            seeded: None,
            classifier,
        }
    }

    /// Returns the policy's name: see [`name`](Self::name).
    #[must_use]
    pub const fn get_name(&self) -> &'static str {
        self.name
    }

    /// Returns the policy's counters, if it keeps any: see [`stats`](Self::stats).
    #[must_use]
    pub const fn get_stats(&self) -> Option<&Shared<RetryStats>> {
        self.stats.as_ref()
    }

    /// Returns the policy's budget, if it has one: see [`budget`](Self::budget).
    #[must_use]
    pub const fn get_budget(&self) -> Option<&Shared<Budget>> {
        self.budget.as_ref()
    }

    pub(super) fn retries(&self, kind: RetryKind) -> bool {
        self.retried[kind.index()]
    }

    pub(super) fn lock_observer(&self) -> Option<&LockObserver> {
        self.lock_observer.as_deref()
    }

    pub(super) fn clock_in_use(&self) -> &dyn Clock {
        self.clock.as_deref().unwrap_or(&SystemClock)
    }

    /// Returns the waits of one call.
    pub(super) fn waits(&self) -> Waits {
        let spread = self.seeded.as_ref().map_or(Spread::new(), |seeded| seeded.lock().fork().into());
        self.schedules.start(spread)
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

// A panic leaves no policy half done. The state of a call is in its session. The generator of seeds and the limit of warnings
// are locked for one step each, in which no user code runs. Clocks, schedules and observers are shared among threads, so they
// protect their own state.
impl<C: UnwindSafe> UnwindSafe for RetryPolicy<C> {}
impl<C: RefUnwindSafe> RefUnwindSafe for RetryPolicy<C> {}

impl<C> fmt::Debug for RetryPolicy<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RetryPolicy")
            .field("name", &self.name)
            .field("max_attempts", &self.max_attempts)
            .field("schedules", &self.schedules)
            .field("deadline", &self.deadline)
            .field("budget", &self.budget)
            .finish_non_exhaustive()
    }
}
