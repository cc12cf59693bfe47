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
use crate::retry::{Budget, RetryStats, Shared};

/// Writes the counters of locks, retries, budgets, flights and layers to the recorder of the
/// [`metrics`](https://docs.rs/metrics) facade. Clones publish the same sources.
///
/// Names become labels. They are `&'static str`, so the program bounds their number; keys are never published. The first
/// call publishes all counters, at zero if nothing was counted. So rates can be computed from the first event on.
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
/// use latchwork::{KeyedLock, retry::{Budget, RetryStats}};
///
/// static SAVES: RetryStats = RetryStats::new();
/// static DATABASE: Budget = Budget::new(100);
///
/// let users = Arc::new(KeyedLock::<String>::new());
/// let publisher = Publisher::new()
///     .locks("users", &users)
///     .retries("save card", &SAVES)
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

    /// Publishes a lock's counters, with the label `lock="name"`. For times, see [`times`](super::times).
    #[must_use]
    pub fn locks<K, S>(self, name: &'static str, locks: impl Into<Shared<KeyedLock<K, S>>>) -> Self
    where
        K: Send + Sync + 'static,
        S: Send + Sync + 'static,
    {
        let locks = locks.into();
        self.named(LOCK, name).source(move || source::keyed(name, &locks.counts()))
    }

    /// Publishes the counters of a keyed semaphore, under the names of those of a lock.
    #[must_use]
    pub fn semaphore<K, S>(
        self,
        name: &'static str,
        semaphore: impl Into<Shared<KeyedSemaphore<K, S>>>,
    ) -> Self
    where
        K: Send + Sync + 'static,
        S: Send + Sync + 'static,
    {
        let semaphore = semaphore.into();
        self.named(LOCK, name).source(move || source::keyed(name, &semaphore.counts()))
    }

    /// Publishes the outcomes of retried calls, with the label `policy="name"`.
    #[must_use]
    pub fn retries(self, name: &'static str, stats: impl Into<Shared<RetryStats>>) -> Self {
        let stats = stats.into();
        self.named(POLICY, name).source(move || source::retries(name, &stats.counts()))
    }

    /// Publishes the tokens of a budget, with the label `budget="name"`.
    #[must_use]
    pub fn budget(self, name: &'static str, budget: impl Into<Shared<Budget>>) -> Self {
        let budget = budget.into();
        self.named(BUDGET, name).source(move || source::budget(name, &budget))
    }

    /// Publishes the counters of flights, with the label `flight="name"`.
    #[must_use]
    pub fn flights<K, V, S>(self, name: &'static str, flights: &SingleFlight<K, V, S>) -> Self
    where
        K: Send + Sync + 'static,
        V: Send + Sync + 'static,
        S: Clone + Send + Sync + 'static,
    {
        let flights = flights.clone();
        self.named(FLIGHT, name).source(move || source::flights(name, &flights.counts()))
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

    #[track_caller]
    pub(super) fn named(mut self, label: &'static str, name: &'static str) -> Self {
        assert!(self.names.insert((label, name)), "{label} {name:?} is published already");
        self
    }
}

impl fmt::Debug for Publisher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Publisher").field("sources", &self.sources.len()).finish_non_exhaustive()
    }
}
