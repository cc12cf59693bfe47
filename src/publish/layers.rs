//! Layers: what [`LayerCounts`] have counted of requests, and [`CoalesceLayer`] of the calls that they shared.

use metrics::counter;

use super::names::{LAYER, LAYER_REQUESTS, OUTCOME};
use super::publisher::Publisher;
use crate::layer::{CoalesceLayer, LayerCounts, Outcome};

impl Publisher {
    /// Publishes how a layer treated requests, with the label `layer="name"`. Needs the feature `axum`.
    ///
    /// # Examples
    ///
    /// ```
    /// use latchwork::{KeyedLock, extract::path_param, layer::KeyedLockLayer, publish::Publisher};
    /// use std::sync::Arc;
    ///
    /// let users = Arc::new(KeyedLock::<String>::new());
    /// let layer = KeyedLockLayer::new(users.clone(), path_param("user"));
    /// let publisher = Publisher::new().locks("users", &users).layer("plans", layer.counts());
    /// publisher.publish();
    /// ```
    #[must_use]
    pub fn layer(self, name: &'static str, counts: LayerCounts) -> Self {
        self.named(LAYER, name).source(move || {
            for outcome in Outcome::ALL {
                counter!(LAYER_REQUESTS, LAYER => name, OUTCOME => outcome.name())
                    .absolute(counts.of(outcome));
            }
        })
    }

    /// Publishes the flights of a layer that shares answers, as [`flights`](Self::flights) does. Needs the feature
    /// `axum`.
    ///
    /// # Examples
    ///
    /// ```
    /// use axum::http::request::Parts;
    /// use latchwork::{layer::CoalesceLayer, publish::Publisher};
    ///
    /// let layer = CoalesceLayer::new(|parts: &Parts| Some(parts.uri.to_string()));
    /// Publisher::new().coalesce("menus", &layer).publish();
    /// ```
    #[must_use]
    pub fn coalesce<K: Send + Sync + 'static, F>(
        self,
        name: &'static str,
        layer: &CoalesceLayer<K, F>,
    ) -> Self {
        self.flights(name, layer.flights())
    }
}
