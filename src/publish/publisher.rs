//! [`Publisher`]: what is published, and when.

use std::collections::HashSet;
use std::fmt;
#[cfg(feature = "tokio")]
use std::time::Duration;

use super::names::{BUDGET, FLIGHT, LOCK, POLICY, describe_counts};
use super::source::{self, Source};
use crate::flight::SingleFlight;
use crate::keyed::{KeyedLock, KeyedSemaphore};
use crate::retry::{Budget, RetryStats, Shared};

/// Writes what locks, retries, budgets and flights have counted to the recorder of the
/// [`metrics`](https://docs.rs/metrics) facade, whenever it is told to.
///
/// Names become labels. They are `&'static str`, so there are only as many as the program has; keys are
/// never published. All counters are there from the first time on, at zero, so that rates can be computed from
/// the first event on.
///
/// # Panics
///
/// When two locks or semaphores, two sets of statistics, two budgets, two sets of flights or two layers are given the same name.
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
#[derive(Default)]
pub struct Publisher {
    names: HashSet<(&'static str, &'static str)>,
    sources: Vec<Box<dyn Source>>,
}

impl Publisher {
    /// One that publishes nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Publishes a lock's counters, with the label `lock="name"`. Times are the business of
    /// [`times`](super::times).
    #[must_use]
    pub fn locks<K, S>(self, name: &'static str, locks: impl Into<Shared<KeyedLock<K, S>>>) -> Self
    where
        K: Send + Sync + 'static,
        S: Send + Sync + 'static,
    {
        let locks = locks.into();
        self.named(LOCK, name).source(move || source::keyed(name, &locks.counts()))
    }

    /// Publishes the counters of a semaphore with keys, as those of a lock.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::sync::Arc;
    /// use latchwork::{KeyedSemaphore, publish::Publisher};
    ///
    /// let seats = Arc::new(KeyedSemaphore::<u32>::new(3));
    /// Publisher::new().semaphore("seats", &seats).publish();
    /// ```
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

    /// Publishes how calls ended, with the label `policy="name"`.
    #[must_use]
    pub fn retries(self, name: &'static str, stats: impl Into<Shared<RetryStats>>) -> Self {
        let stats = stats.into();
        self.named(POLICY, name).source(move || source::retries(name, &stats.counts()))
    }

    /// Publishes a budget's level, with the label `budget="name"`.
    #[must_use]
    pub fn budget(self, name: &'static str, budget: impl Into<Shared<Budget>>) -> Self {
        let budget = budget.into();
        self.named(BUDGET, name).source(move || source::budget(name, &budget))
    }

    /// Publishes what flights have counted, with the label `flight="name"`.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::sync::Arc;
    /// use latchwork::{SingleFlight, publish::Publisher};
    ///
    /// let menus: Arc<SingleFlight<u32, String>> = Arc::default();
    /// Publisher::new().flights("menus", &menus).publish();
    /// ```
    #[must_use]
    pub fn flights<K, V, S>(
        self,
        name: &'static str,
        flights: impl Into<Shared<SingleFlight<K, V, S>>>,
    ) -> Self
    where
        K: Send + Sync + 'static,
        V: Send + Sync + 'static,
        S: Send + Sync + 'static,
    {
        let flights = flights.into();
        self.named(FLIGHT, name).source(move || source::flights(name, &flights.stats()))
    }

    /// Publishes something else: a closure, or whatever implements [`Source`].
    #[must_use]
    pub fn source(mut self, source: impl Source + 'static) -> Self {
        self.sources.push(Box::new(source));
        self
    }

    /// Writes all figures as they are now to the recorder of this moment. To be called before each scrape, or
    /// from time to time; to do so twice counts nothing twice.
    pub fn publish(&self) {
        describe_counts();
        for source in &self.sources {
            source.publish();
        }
    }

    /// Publishes at once and then in every `period`, until it is dropped: for recorders that push. One
    /// that is scraped is better told by [`publish`](Self::publish) before each scrape.
    ///
    /// # Panics
    ///
    /// With a period of zero, and when polled outside a tokio runtime with its time driver enabled.
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
    /// # tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build()?.block_on(async {
    /// let publisher = Publisher::new().source(|| metrics::gauge!("cards").set(7.0));
    /// let task = tokio::spawn(async move { publisher.publish_every(Duration::from_secs(10)).await });
    /// task.abort();
    /// assert!(task.await.unwrap_err().is_cancelled());
    /// # });
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[cfg(feature = "tokio")]
    pub async fn publish_every(&self, period: Duration) {
        let mut ticks = tokio::time::interval(period);
        // After a stall once is enough.
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
