//! The setters of [`RetryPolicy`]: its own documentation has an example of them.

use std::mem::ManuallyDrop;
use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use parking_lot::Mutex;

use super::backoff::Jitter;
use super::budget::Budget;
use super::clock::Clock;
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
    #[must_use]
    pub const fn base_delay(mut self, delay: Duration) -> Self {
        self.backoff = self.backoff.base_delay(delay);
        self
    }

    /// Sets the longest wait, at which the waits stop growing. 5 s by default.
    #[must_use]
    pub const fn max_delay(mut self, delay: Duration) -> Self {
        self.backoff = self.backoff.max_delay(delay);
        self
    }

    /// Sets the factor by which each wait exceeds the previous one. 2 by default.
    ///
    /// # Panics
    ///
    /// Panics with 0.
    #[must_use]
    pub const fn multiplier(mut self, multiplier: u32) -> Self {
        self.backoff = self.backoff.multiplier(multiplier);
        self
    }

    /// Sets how waits are spread. [`Jitter::Full`] by default.
    #[must_use]
    pub const fn jitter(mut self, jitter: Jitter) -> Self {
        self.backoff = self.backoff.jitter(jitter);
        self
    }

    /// Sets the time, counted from the first call, after which no wait may end. A longer wait does not begin.
    ///
    /// An attempt under way is not interrupted, and its success counts. None by default.
    #[must_use]
    pub const fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = Some(deadline);
        self
    }

    /// Sets whether errors of this kind are retried. By default all are, except unique violations.
    #[must_use]
    pub const fn retry_kind(mut self, kind: RetryKind, retried: bool) -> Self {
        self.retried[kind.index()] = retried;
        self
    }

    /// Sets the bucket of tokens that retries are paid from: see [`Budget`]. None by default.
    #[must_use]
    pub fn budget(mut self, budget: impl Into<Shared<Budget>>) -> Self {
        self.budget = Some(budget.into());
        self
    }

    /// Sets the budget of a policy in a `static`.
    ///
    /// # Panics
    ///
    /// Panics if the policy has a budget already.
    #[must_use]
    pub const fn static_budget(mut self, budget: &'static Budget) -> Self {
        assert!(self.budget.is_none(), "the policy has a budget already");
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

    /// Sets the observer that is called before each wait: see [`Retrying`]. It is not called after the last failure.
    #[must_use]
    pub fn on_retry(mut self, observer: impl Fn(&Retrying) + Send + Sync + 'static) -> Self {
        self.observer = Some(Arc::new(observer));
        self
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

    /// Sets a closure that classifies errors, in place of the policy's classifier.
    #[must_use]
    pub fn classify_with<E, F: Fn(&E) -> Verdict>(self, classify: F) -> RetryPolicy<F> {
        RetryPolicy {
            backoff: self.backoff,
            max_attempts: self.max_attempts,
            deadline: self.deadline,
            retried: self.retried,
            name: self.name,
            budget: self.budget,
            stats: self.stats,
            observer: self.observer,
            lock_observer: self.lock_observer,
            clock: self.clock,
            seeded: self.seeded,
            classifier: classify,
        }
    }
}
