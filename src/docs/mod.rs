//! Guides: patterns, adopting, retries, problems, databases, processes, logging, metrics, performance, limitations,
//! compatibility and internals.

mod example;

#[doc = include_str!("patterns.md")]
pub mod patterns {}

#[cfg(all(feature = "axum", feature = "metrics", not(latchwork_loom)))]
#[doc = include_str!("adopting.md")]
pub mod adopting {}

#[cfg(all(feature = "axum", feature = "sqlx", not(latchwork_loom)))]
#[doc = include_str!("databases.md")]
#[doc = "\n<div>\n"]
#[doc = include_str!("connections.svg")]
#[doc = "</div>"]
pub mod databases {}

#[cfg(all(feature = "axum", feature = "postgres", not(latchwork_loom)))]
#[doc = include_str!("processes.md")]
pub mod processes {}

#[doc = include_str!("limitations.md")]
pub mod limitations {}

#[doc = include_str!("compatibility.md")]
pub mod compatibility {}

#[doc = include_str!("internals.md")]
pub mod internals {}

#[doc = include_str!("performance.md")]
pub mod performance {}

#[doc = include_str!("problems.md")]
pub mod problems {}

#[doc = include_str!("logging.md")]
pub mod logging {}

#[cfg(all(feature = "metrics", not(latchwork_loom)))]
#[doc = include_str!("metrics.md")]
pub mod metrics {}

#[doc = include_str!("retries.md")]
#[doc = "\n<div>\n"]
#[doc = include_str!("retry_storm.svg")]
#[doc = "</div>"]
pub mod retries {}
