//! Metrics for the [`metrics`](https://docs.rs/metrics) facade. Needs the feature `metrics`.
//!
//! Locks, retries, budgets, flights and layers count anyway. A [`Publisher`] reads their counters when it is called, so
//! they cost nothing in between. Only times are pushed, by locks that are built with [`KeyedBuilder::publish_times`]. All
//! names are in [one table](crate::docs::metrics#names).
//!
//! ```text
//! publisher   what is published, and when
//! source      the counters of each type; layers, scopes, leases: those of the features `tower`, `sqlx` and `postgres`
//! times       the waits and holds of locks
//! names       the names of the metrics
//! ```
//!
//! # Examples
//!
//! ```
//! use std::sync::Arc;
//! use latchwork::publish::{BUCKETS, Publisher};
//! use latchwork::{KeyedLock, RetryPolicy, retry::RetryStats};
//! use metrics_exporter_prometheus::{Matcher, PrometheusBuilder};
//!
//! static SAVES: RetryStats = RetryStats::new();
//! static SAVE: RetryPolicy = RetryPolicy::new().name("save card").static_stats(&SAVES);
//!
//! let seconds = Matcher::Prefix("latchwork_".to_owned());
//! let scrape = PrometheusBuilder::new().set_buckets_for_metric(seconds, BUCKETS)?.install_recorder()?;
//! let users: Arc<KeyedLock<String>> = Arc::new(KeyedLock::builder().name("users").publish_times().build());
//! let publisher = Publisher::new().keyed_lock(&users).retry_policy(&SAVE);
//!
//! drop(users.lock("ada").wait());
//! publisher.publish(); // at the top of the handler of GET /metrics
//! assert!(scrape.render().contains("latchwork_lock_acquired_total{lock=\"users\"} 1"));
//! # Ok::<(), metrics_exporter_prometheus::BuildError>(())
//! ```
//!
//! [`KeyedBuilder::publish_times`]: crate::keyed::KeyedBuilder::publish_times

#[cfg(feature = "tower")]
mod layers;
#[cfg(feature = "postgres")]
mod leases;
mod names;
mod publisher;
#[cfg(feature = "sqlx")]
mod scopes;
mod source;
mod times;

pub use self::publisher::Publisher;
pub use self::source::Source;
pub use self::times::BUCKETS;
