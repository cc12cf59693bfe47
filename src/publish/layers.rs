//! What layers publish: the outcomes of requests, and the calls that were shared.

use metrics::counter;

use super::names::{LAYER, LAYER_REQUESTS, OUTCOME};
use super::publisher::Publisher;
use crate::layer::{CoalesceLayer, LayerStats, Outcome};

impl Publisher {
    /// Publishes the outcomes of a layer's requests, with the label `layer="name"`. Needs the feature `tower`.
    ///
    /// # Examples
    ///
    /// ```
    /// use latchwork::{KeyedLock, layer::{KeyedLockLayer, header}, publish::Publisher};
    /// use std::sync::Arc;
    ///
    /// let users = Arc::new(KeyedLock::<String>::new());
    /// let layer = KeyedLockLayer::new(users.clone(), header("x-user"));
    /// let publisher = Publisher::new().locks("users", &users).layer("plans", layer.stats());
    /// publisher.publish();
    /// ```
    #[must_use]
    pub fn layer(self, name: &'static str, stats: LayerStats) -> Self {
        self.named(LAYER, name).source(move || {
            for &outcome in Outcome::ALL {
                counter!(LAYER_REQUESTS, LAYER => name, OUTCOME => outcome.name())
                    .absolute(stats.of(outcome));
            }
        })
    }

    /// Publishes the shared calls of a layer, as [`flights`](Self::flights) does. Needs the feature `tower`.
    #[must_use]
    pub fn coalesce<K: Send + Sync + 'static, F>(
        self,
        name: &'static str,
        layer: &CoalesceLayer<K, F>,
    ) -> Self {
        self.flights(name, layer.flights())
    }
}
