//! What layers publish: the outcomes of requests, and the calls that were shared.

use metrics::counter;

use super::names::{LAYER, LAYER_REQUESTS, OUTCOME};
use super::publisher::{Publisher, nameless};
use crate::layer::{CoalesceLayer, KeyedLockLayer, Outcome};

impl Publisher {
    /// Publishes the outcomes of a layer's requests, with the label `layer` and the layer's name. Needs the feature
    /// `tower`.
    ///
    /// # Panics
    ///
    /// If neither the layer nor its locks have a name, or the name is published already.
    ///
    /// # Examples
    ///
    /// ```
    /// use latchwork::{KeyedLock, layer::{KeyedLockLayer, header}, publish::Publisher};
    /// use std::sync::Arc;
    ///
    /// let users = Arc::new(KeyedLock::<String>::builder().name("users").build());
    /// let layer = KeyedLockLayer::new(users.clone(), header("x-user")).name("plans");
    /// let publisher = Publisher::new().keyed_lock(&users).keyed_lock_layer(&layer);
    /// publisher.publish();
    /// ```
    #[must_use]
    #[track_caller]
    pub fn keyed_lock_layer<K, F, L>(self, layer: &KeyedLockLayer<K, F, L>) -> Self {
        let how = "KeyedLockLayer::name(..)";
        let name = layer.label().unwrap_or_else(|| nameless("the layer", how));
        let stats = layer.stats();
        self.named(LAYER, name, how).source(move || {
            for &outcome in Outcome::ALL {
                counter!(LAYER_REQUESTS, LAYER => name, OUTCOME => outcome.name())
                    .absolute(stats.of(outcome));
            }
        })
    }

    /// Publishes the shared calls of a layer, as [`single_flight`](Self::single_flight) does. Needs the feature `tower`.
    ///
    /// # Panics
    ///
    /// If the layer has no name, or the name is published already.
    #[must_use]
    #[track_caller]
    pub fn coalesce_layer<K: Send + Sync + 'static, F>(self, layer: &CoalesceLayer<K, F>) -> Self {
        let flights = layer.flights();
        let how = "CoalesceLayer::name(..)";
        let name = flights.name().unwrap_or_else(|| nameless("the layer", how));
        self.flying(name, how, flights)
    }
}
