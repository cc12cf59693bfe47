//! Metrics for the [`metrics`](https://docs.rs/metrics) facade. Needs the feature `metrics`.
//!
//! Locks, retries, budgets, flights and layers count anyway. A [`Publisher`] reads their counters when it is called, so
//! they cost nothing in between. Only times are pushed: by the observer that [`times`] creates for
//! [`KeyedBuilder::observe_times`]. All names are in [one table](crate::docs::metrics#names).
//!
//! ```text
//! publisher   what is published, and when
//! source      the counters of each type; layers: those of the feature `tower`
//! times       the observer of waits and holds
//! names       the names of the metrics
//! ```
//!
//! # Examples
//!
//! ```
//! use std::sync::Arc;
//! use latchwork::publish::{BUCKETS, Publisher, times};
//! use latchwork::{KeyedLock, retry::RetryStats};
//! use metrics_exporter_prometheus::{Matcher, PrometheusBuilder};
//!
//! static SAVES: RetryStats = RetryStats::new();
//!
//! let seconds = Matcher::Prefix("latchwork_".to_owned());
//! let scrape = PrometheusBuilder::new().set_buckets_for_metric(seconds, BUCKETS)?.install_recorder()?;
//! let users: Arc<KeyedLock<String>> = Arc::new(KeyedLock::builder().observe_times(times("users")).build());
//! let publisher = Publisher::new().locks("users", &users).retries("save card", &SAVES);
//!
//! drop(users.lock("ada").wait());
//! publisher.publish(); // at the top of the handler of GET /metrics
//! assert!(scrape.render().contains("latchwork_lock_acquired_total{lock=\"users\"} 1"));
//! # Ok::<(), metrics_exporter_prometheus::BuildError>(())
//! ```
//!
//! [`KeyedBuilder::observe_times`]: crate::keyed::KeyedBuilder::observe_times

#[cfg(feature = "tower")]
mod layers;
mod names;
mod publisher;
mod source;
mod times;

pub use self::publisher::Publisher;
pub use self::source::Source;
pub use self::times::{BUCKETS, times};
