//! The setters of [`RetryPolicy`]: its own documentation has an example of them.

use std::mem::ManuallyDrop;
use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use parking_lot::Mutex;

use super::backoff::{Backoff, Jitter};
use super::budget::Budget;
use super::classify::{ByTrait, Classifier, OnGiveUp, OnRetry};
use super::clock::Clock;
use super::error::RetryError;
use super::observe::{Retrying, WithoutLock};
use super::policy::RetryPolicy;
use super::shared::Shared;
use super::stats::RetryStats;
use crate::verdict::{RetryKind, Verdict};

impl<C> RetryPolicy<C> {
    /// Sets how many attempts are made at most; the first call is one of them. 4 by default.
    ///
    /// # Panics
    ///
    /// Panics with 0: the first call always runs.
    #[must_use]
    pub const fn max_attempts(mut self, attempts: u32) -> Self {
        assert!(attempts > 0, "max_attempts must be at least 1: the first call is an attempt");
        self.max_attempts = attempts;
        self
    }

    /// Sets the wait before the first retry, before it is spread. 100 ms by default.
    ///
    /// After [`Throttled`](RetryKind::Throttled) it is 1 s, if that is longer: see [`backoff_for`](Self::backoff_for).
    #[must_use]
    pub const fn base_delay(mut self, delay: Duration) -> Self {
        self.schedules.general = self.schedules.general.base_delay(delay);
        self
    }

    /// Sets the longest wait, at which the waits stop growing. 5 s by default.
    #[must_use]
    pub const fn max_delay(mut self, delay: Duration) -> Self {
        self.schedules.general = self.schedules.general.max_delay(delay);
        self
    }

    /// Sets the factor by which each wait exceeds the previous one. 2 by default; with 1 all waits are equal.
    ///
    /// # Panics
    ///
    /// Panics if it is less than 1, infinite, or not a number.
    #[must_use]
    pub const fn multiplier(mut self, multiplier: f64) -> Self {
        self.schedules.general = self.schedules.general.multiplier(multiplier);
        self
    }

    /// Sets how waits are spread. [`Jitter::Full`] by default.
    #[must_use]
    pub const fn jitter(mut self, jitter: Jitter) -> Self {
        self.schedules.general.jitter = jitter;
        self
    }

    /// Sets the waits after errors of one kind, in place of the policy's.
    ///
    /// The number of the retry counts, whatever the earlier errors were. The policy's [`seed`](Self::seed) counts, not that
    /// of `backoff`.
    ///
    /// By default [`Throttled`](RetryKind::Throttled) errors have the policy's waits with a base delay of 1 s, or of the
    /// policy's if that is longer. The AWS SDKs wait so since November 2026.
    #[must_use]
    pub const fn backoff_for(mut self, kind: RetryKind, backoff: Backoff) -> Self {
        self.schedules.by_kind[kind.index()] = Some(backoff.schedule);
        self
    }

    /// Sets an own schedule, in place of the policy's base delay, longest wait, multiplier and jitter.
    ///
    /// `waits` is called for each call that has to wait, and makes its waits. They are used as they are. Behind a hint
    /// ([`Verdict::RetryAfter`]) a random part of a tenth of the hint comes on top. When they end, the call fails with [`AttemptsExhausted`](super::StopReason::AttemptsExhausted), also before the policy's
    /// [`max_attempts`](Self::max_attempts). Kinds of errors with a [backoff](Self::backoff_for) of their own keep it.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use latchwork::{Busy, KeyedLock, RetryPolicy, retry::VirtualClock};
    ///
    /// let (clock, locks) = (VirtualClock::new(), KeyedLock::<u32>::new());
    /// let policy = RetryPolicy::new().schedule(|| [1, 1, 2].map(Duration::from_secs)).clock(clock.clone());
    /// let _held = locks.try_lock(7)?;
    /// assert!(policy.run_blocking(|_| locks.try_lock(7).map(drop)).is_err());
    /// assert_eq!(clock.waits(), [1, 1, 2].map(Duration::from_secs));
    /// # Ok::<(), Busy>(())
    /// ```
    #[must_use]
    pub fn schedule<I>(mut self, waits: impl Fn() -> I + Send + Sync + 'static) -> Self
    where
        I: IntoIterator<Item = Duration, IntoIter: Send + 'static>,
    {
        self.schedules.own = Some(Arc::new(move || Mutex::new(Box::new(waits().into_iter()))));
        self
    }

    /// Sets the longest hint that a call follows. 5 minutes by default.
    ///
    /// An error may ask for a wait: see [`Verdict::RetryAfter`]. A call never retries earlier than that. If
    /// the hint is longer than `limit`, the call fails with [`HintTooLong`](super::StopReason::HintTooLong) at once.
    #[must_use]
    pub const fn max_hint(mut self, limit: Duration) -> Self {
        self.max_hint = limit;
        self
    }

    /// Sets the time, counted from the first call, after which no wait may end. A longer wait does not begin.
    ///
    /// If an error asks for a wait ([`Verdict::RetryAfter`]) that ends in time, the call waits: it spreads its wait over the
    /// time that is left behind the hint.
    ///
    /// An attempt under way is not interrupted, and its success counts. None by default.
    #[must_use]
    pub const fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = Some(deadline);
        self
    }

    /// Sets whether errors of this kind are retried. By default all are, except unique violations.
    ///
    /// # Panics
    ///
    /// Panics if the policy has a [budget](Self::budget) that can't pay for a retry of this kind.
    #[must_use]
    pub const fn retry_kind(mut self, kind: RetryKind, retried: bool) -> Self {
        self.retried[kind.index()] = retried;
        self.too_dear.refuse(&self.retried);
        self
    }

    /// Sets the bucket of tokens that retries are paid from: see [`Budget`]. None by default.
    ///
    /// # Panics
    ///
    /// Panics if the policy retries a kind whose price is higher than the budget's capacity: such a retry could never be
    /// made. Call [`retry_kind`](Self::retry_kind) before to turn kinds off.
    #[must_use]
    pub fn budget(mut self, budget: impl Into<Shared<Budget>>) -> Self {
        let budget = budget.into();
        self.too_dear = budget.too_dear();
        self.too_dear.refuse(&self.retried);
        self.budget = Some(budget);
        self
    }

    /// Sets the budget of a policy in a `static`.
    ///
    /// # Panics
    ///
    /// Panics where [`budget`](Self::budget) does, and if the policy has a budget already. In a `static` that is an error of
    /// the compiler.
    #[must_use]
    pub const fn static_budget(mut self, budget: &'static Budget) -> Self {
        assert!(self.budget.is_none(), "the policy has a budget already");
        self.too_dear = budget.too_dear();
        self.too_dear.refuse(&self.retried);
        // A const fn can't drop the old value; it is `None`.
        let _none = ManuallyDrop::new(self.budget.replace(Shared::Static(budget)));
        self
    }

    /// Sets the counters to keep: see [`RetryStats`]. None by default.
    #[must_use]
    pub fn stats(mut self, stats: impl Into<Shared<RetryStats>>) -> Self {
        self.stats = Some(stats.into());
        self
    }

    /// Sets the counters of a policy in a `static`.
    ///
    /// # Panics
    ///
    /// Panics if the policy has counters already.
    #[must_use]
    pub const fn static_stats(mut self, stats: &'static RetryStats) -> Self {
        assert!(self.stats.is_none(), "the policy has counters already");
        // As in `static_budget`.
        let _none = ManuallyDrop::new(self.stats.replace(Shared::Static(stats)));
        self
    }

    /// Sets the name of the policy in its errors and events. "retry" by default.
    #[must_use]
    pub const fn name(mut self, name: &'static str) -> Self {
        self.name = name;
        self
    }

    /// Sets an observer that is called before each wait, with the error: see [`Retrying`]. It is not called after the last
    /// failure: see [`on_give_up`](Self::on_give_up).
    ///
    /// The observer may borrow from its surroundings, and becomes a part of the policy's type. To add one to a policy in a
    /// `static` for some calls, clone the policy. For errors of several types, or a type with a name, see [`Classifier`].
    #[must_use]
    pub fn on_retry<E, F>(self, observer: F) -> RetryPolicy<OnRetry<C, F>>
    where
        C: Classifier<E>,
        F: Fn(&Retrying<'_, E>),
    {
        self.map_classifier(|classifier| OnRetry { classifier, observer })
    }

    /// Sets an observer that is called when a call fails, whatever the reason. It gets the error that the call returns.
    ///
    /// As that of [`on_retry`](Self::on_retry), the observer may borrow, and becomes a part of the policy's type.
    ///
    /// # Examples
    ///
    /// ```
    /// use latchwork::{Busy, KeyedLock, RetryPolicy, retry::RetryError};
    ///
    /// let (locks, gave_up) = (KeyedLock::<u32>::new(), std::cell::Cell::new(0));
    /// let policy = RetryPolicy::new().max_attempts(1);
    /// let policy = policy.on_give_up(|error: &RetryError<Busy>| gave_up.set(error.attempts));
    /// let _held = locks.try_lock(7)?;
    /// assert!(policy.run_blocking(|_| locks.try_lock(7).map(drop)).is_err());
    /// assert_eq!(gave_up.get(), 1);
    /// # Ok::<(), Busy>(())
    /// ```
    #[must_use]
    pub fn on_give_up<E, F>(self, observer: F) -> RetryPolicy<OnGiveUp<C, F>>
    where
        C: Classifier<E>,
        F: Fn(&RetryError<E>),
    {
        self.map_classifier(|classifier| OnGiveUp { classifier, observer })
    }

    /// Sets the observer that is called for each attempt without its lock: see [`WithoutLock`].
    ///
    /// It is called before the attempt if the lock can't be acquired, and after it if the lock was lost meanwhile.
    #[must_use]
    pub fn on_without_lock(mut self, observer: impl Fn(&WithoutLock<'_>) + Send + Sync + 'static) -> Self {
        self.lock_observer = Some(Arc::new(observer));
        self
    }

    /// Sets the clock to wait by: see [`Clock`]. By default tokio's in tasks (feature `tokio`), and that of `std` on
    /// threads.
    #[must_use]
    pub fn clock(mut self, clock: impl Clock + 'static) -> Self {
        self.clock = Some(Arc::new(clock));
        self
    }

    /// Sets a seed for the spread of the waits: the same sequence of calls draws the same waits.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seeded = Some(Arc::new(Mutex::new(Rng::with_seed(seed))));
        self
    }

    fn map_classifier<D>(self, f: impl FnOnce(C) -> D) -> RetryPolicy<D> {
        RetryPolicy {
            schedules: self.schedules,
            max_attempts: self.max_attempts,
            deadline: self.deadline,
            max_hint: self.max_hint,
            retried: self.retried,
            name: self.name,
            budget: self.budget,
            too_dear: self.too_dear,
            stats: self.stats,
            lock_observer: self.lock_observer,
            warnings: self.warnings,
            clock: self.clock,
            seeded: self.seeded,
            classifier: f(self.classifier),
        }
    }
}

impl RetryPolicy {
    /// Sets a closure that classifies errors, in place of their own [`Classify`](crate::verdict::Classify).
    ///
    /// Call it before [`on_retry`](Self::on_retry) and [`on_give_up`](Self::on_give_up). The closure becomes a part of the
    /// policy's type. For a type with a name see [`classified_by`](Self::classified_by).
    #[must_use]
    pub fn classify_with<E, F: Fn(&E) -> Verdict>(self, classify: F) -> RetryPolicy<F> {
        self.map_classifier(|ByTrait| classify)
    }
}
