//! [`Publisher`]: what is published, and when.

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;
#[cfg(feature = "tokio")]
use std::time::Duration;

use super::names::{BUDGET, FLIGHT, LOCK, POLICY, describe_counts};
use super::source::{self, Source};
use crate::flight::SingleFlight;
use crate::keyed::{KeyedLock, KeyedSemaphore};
use crate::retry::{Budget, RetryPolicy, RetryStats, Shared};

/// How a keyed lock or semaphore gets its name.
pub(super) const KEYED: &str = "KeyedLock::builder().name(..)";

/// Writes the counters of locks, retries, budgets, flights and layers to the recorder of the
/// [`metrics`](https://docs.rs/metrics) facade. Clones publish the same sources.
///
/// Each method is named after the type that it publishes. Names become labels, and each is given once: to the lock, the
/// flights, the policy or the layer itself. They are `&'static str`, so the program bounds their number; keys are never
/// published. The first call publishes all counters, at zero if nothing was counted. So rates can be computed from the
/// first event on.
///
/// # Panics
///
/// Two sources of the same kind must not have the same name. Locks and semaphores are one kind.
///
/// # Examples
///
/// ```
/// use std::sync::Arc;
/// use latchwork::publish::Publisher;
/// use latchwork::{KeyedLock, RetryPolicy, retry::{Budget, RetryStats}};
///
/// static SAVES: RetryStats = RetryStats::new();
/// static SAVE: RetryPolicy = RetryPolicy::new().name("save card").static_stats(&SAVES);
/// static DATABASE: Budget = Budget::new(100);
///
/// let users = Arc::new(KeyedLock::<String>::builder().name("users").build());
/// let publisher = Publisher::new()
///     .keyed_lock(&users)
///     .retry_policy(&SAVE)
///     .budget("database", &DATABASE)
///     .source(|| metrics::gauge!("cards").set(7.0));
/// publisher.publish();
/// ```
#[derive(Clone, Default)]
pub struct Publisher {
    names: HashSet<(&'static str, &'static str)>,
    sources: Vec<Arc<dyn Source>>,
}

impl Publisher {
    /// Creates a publisher without sources.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Publishes a lock's counters, with the label `lock` and the lock's name. For times, see
    /// [`KeyedBuilder::publish_times`](crate::keyed::KeyedBuilder::publish_times).
    ///
    /// # Panics
    ///
    /// If the lock has no name, or the name is published already.
    #[must_use]
    #[track_caller]
    pub fn keyed_lock<K, S>(self, locks: impl Into<Shared<KeyedLock<K, S>>>) -> Self
    where
        K: Send + Sync + 'static,
        S: Send + Sync + 'static,
    {
        let locks = locks.into();
        let name = locks.name().unwrap_or_else(|| nameless("the lock", KEYED));
        self.named(LOCK, name, KEYED).source(move || source::keyed(name, &locks.counts()))
    }

    /// Publishes the counters of a keyed semaphore, under the names of those of a lock.
    ///
    /// # Panics
    ///
    /// If the semaphore has no name, or the name is published already.
    #[must_use]
    #[track_caller]
    pub fn keyed_semaphore<K, S>(self, semaphore: impl Into<Shared<KeyedSemaphore<K, S>>>) -> Self
    where
        K: Send + Sync + 'static,
        S: Send + Sync + 'static,
    {
        let semaphore = semaphore.into();
        let name = semaphore.name().unwrap_or_else(|| nameless("the semaphore", KEYED));
        self.named(LOCK, name, KEYED).source(move || source::keyed(name, &semaphore.counts()))
    }

    /// Publishes the outcomes of the calls of a policy, with the label `policy` and the policy's name. A policy
    /// without a name is published as "retry".
    ///
    /// # Panics
    ///
    /// If the policy has no [`stats`](RetryPolicy::stats), or its name is published already. For counters that several
    /// policies share, see [`retry_stats`](Self::retry_stats).
    #[must_use]
    #[track_caller]
    pub fn retry_policy<C>(self, policy: &RetryPolicy<C>) -> Self {
        let stats = policy.get_stats();
        let stats = stats.expect("the policy counts nothing: give it counters with RetryPolicy::stats(..)");
        self.retrying(policy.get_name(), "RetryPolicy::name(..)", stats.clone())
    }

    /// Publishes the outcomes of retried calls that one or several policies have counted, with the label
    /// `policy="name"`.
    ///
    /// # Panics
    ///
    /// If the name is published already.
    #[must_use]
    #[track_caller]
    pub fn retry_stats(self, name: &'static str, stats: impl Into<Shared<RetryStats>>) -> Self {
        self.retrying(name, "Publisher::retry_stats(name, ..)", stats.into())
    }

    #[track_caller]
    fn retrying(self, name: &'static str, how: &str, stats: Shared<RetryStats>) -> Self {
        self.named(POLICY, name, how).source(move || source::retries(name, &stats.counts()))
    }

    /// Publishes the tokens of a budget, with the label `budget="name"`.
    ///
    /// # Panics
    ///
    /// If the name is published already.
    #[must_use]
    #[track_caller]
    pub fn budget(self, name: &'static str, budget: impl Into<Shared<Budget>>) -> Self {
        let budget = budget.into();
        self.named(BUDGET, name, "Publisher::budget(name, ..)").source(move || source::budget(name, &budget))
    }

    /// Publishes the counters of flights, with the label `flight` and their name.
    ///
    /// # Panics
    ///
    /// If the flights have no name, or the name is published already.
    #[must_use]
    #[track_caller]
    pub fn single_flight<K, V, S>(self, flights: &SingleFlight<K, V, S>) -> Self
    where
        K: Send + Sync + 'static,
        V: Send + Sync + 'static,
        S: Clone + Send + Sync + 'static,
    {
        let how = "SingleFlight::named(..)";
        let name = flights.name().unwrap_or_else(|| nameless("the flight", how));
        self.flying(name, how, flights)
    }

    #[track_caller]
    pub(super) fn flying<K, V, S>(
        self,
        name: &'static str,
        how: &str,
        flights: &SingleFlight<K, V, S>,
    ) -> Self
    where
        K: Send + Sync + 'static,
        V: Send + Sync + 'static,
        S: Clone + Send + Sync + 'static,
    {
        let flights = flights.clone();
        self.named(FLIGHT, name, how).source(move || source::flights(name, &flights.counts()))
    }

    /// Publishes another source: a closure, or a type that implements [`Source`].
    #[must_use]
    pub fn source(mut self, source: impl Source + 'static) -> Self {
        self.sources.push(Arc::new(source));
        self
    }

    /// Writes the current values to the current recorder. Call it before each scrape, or periodically. Calling it twice
    /// counts nothing twice.
    pub fn publish(&self) {
        describe_counts();
        for source in &self.sources {
            source.publish();
        }
    }

    /// Publishes at once, and then once in each `period`, until it is dropped. It is for recorders that push. For
    /// recorders that are scraped, call [`publish`](Self::publish) before each scrape.
    ///
    /// # Panics
    ///
    /// If the period is zero, or if it is polled outside a tokio runtime with its time driver enabled.
    ///
    /// # Cancel safety
    ///
    /// It may be dropped at any point.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use latchwork::publish::Publisher;
    ///
    /// # latchwork::__example!(async {
    /// let publisher = Publisher::new().source(|| metrics::gauge!("cards").set(7.0));
    /// let task = tokio::spawn(async move { publisher.publish_every(Duration::from_secs(10)).await });
    /// task.abort();
    /// assert!(task.await.unwrap_err().is_cancelled());
    /// # });
    /// ```
    #[cfg(feature = "tokio")]
    pub async fn publish_every(&self, period: Duration) {
        let mut ticks = tokio::time::interval(period);
        // After a stall, one call is enough.
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            self.publish();
        }
    }

    /// Notes a name, which `how` gives to a source.
    #[track_caller]
    pub(super) fn named(mut self, label: &'static str, name: &'static str, how: &str) -> Self {
        assert!(
            self.names.insert((label, name)),
            "{label} {name:?} is published already: give one of them another name with {how}"
        );
        self
    }
}

/// Panics for a source without a name, as the label would say nothing.
#[track_caller]
pub(super) fn nameless(what: &str, how: &str) -> ! {
    panic!("{what} has no name to be published by: give it one with {how}");
}

impl fmt::Debug for Publisher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Publisher").field("sources", &self.sources.len()).finish_non_exhaustive()
    }
}
