//! Concurrency control for services: a lock for each key, locks that threads and async tasks share, version
//! stamps against lost updates, retries that do not stampede, and layers that put them around handlers.
//!
//! ```
//! use latchwork::KeyedLock;
//!
//! let users: KeyedLock<String> = KeyedLock::new();
//!
//! let guard = users.try_lock("ada")?;       // the first click
//! assert!(users.try_lock("ada").is_err());  // the second: Busy, answer 409
//! assert!(users.try_lock("grace").is_ok()); // others do not notice
//! drop(guard);                              // released on return, `?`, panic and cancellation
//! assert!(users.try_lock("ada").is_ok());
//! # Ok::<(), latchwork::Busy>(())
//! ```
//!
//! # Which one do I need?
//!
//! | I want | use |
//! |---|---|
//! | one request per user (order, file …) at a time | [`KeyedLock`] |
//! | at most n at a time for each user | [`KeyedSemaphore`] |
//! | one call for all who ask for the same at the same time | [`SingleFlight`] |
//! | one value that threads and tasks change | [`Mutex`] |
//! | one value that is read often and changed rarely | [`RwLock`] |
//! | at most n at a time of something | [`Semaphore`] |
//! | to refuse the late write of a paused holder | [`Fence`], [`FenceGate`](fence::FenceGate) |
//! | an edit from a stale page refused, not lost | [`Versioned`], [`VersionedMap`] |
//! | to be told when a value changes | [`Versioned::changed`], [`VersionedMap::changed`] |
//! | a name that nobody else has | [`Claims`] |
//! | to try again, with growing and spread waits | [`RetryPolicy`] |
//! | to resolve a conflict by reading again | [`RetryPolicy::retry_on_conflict`] |
//! | to keep retries from adding to an outage | [`Budget`](retry::Budget) |
//! | a lock in front of a handler that stays as it is | [`KeyedLockLayer`](layer::KeyedLockLayer) |
//! | one call of a handler for equal GETs | [`CoalesceLayer`](layer::CoalesceLayer) |
//! | `If-Match`, `ETag`, and errors as answers | [`IfMatch`](web::IfMatch), [`Tagged`](web::Tagged), [`Problem`](web::Problem) |
//! | figures for Prometheus and the like | [`Publisher`](publish::Publisher) |
//!
//! # One way to wait
//!
//! What acquires returns an [`Acquire`], and the caller says how to wait for it:
//!
//! ```
//! # use std::time::Duration;
//! # tokio::runtime::Builder::new_multi_thread().enable_time().build()?.block_on(async {
//! # let users = latchwork::KeyedLock::<u8>::new();
//! # let second = Duration::from_secs(1);
//! let guard = users.lock(7).await;                     // in a task
//! # drop(guard);
//! let guard = users.lock(7).wait();                    // on a thread
//! # drop(guard);
//! let guard = users.lock(7).timeout(second).await?;    // Err(TimedOut)
//! # drop(guard);
//! let guard = users.lock(7).wait_timeout(second)?;     // Err(TimedOut)
//! # drop(guard);
//! let guard = users.try_lock(7)?;                      // Err(Busy), never waits
//! # drop(guard);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! It does nothing until it is polled or waited for, and can be dropped at any point: nothing stays
//! locked, no wake-up is lost, no entry stays.
//!
//! # When not to use it
//!
//! - One value, threads only, held for a moment: `std::sync::Mutex`.
//! - More than one process: a lock in the database that they share.
//! - A counter: an atomic. A value that is replaced as a whole: `arc-swap`.
//!
//! # Rooms
//!
//! [patterns](docs::patterns) · [adopting it in an axum service](docs::adopting) · [retries](docs::retries) ·
//! [problems](docs::problems) · [metrics](docs::metrics) · [performance](docs::performance) ·
//! [limitations](docs::limitations) · [internals](docs::internals)
//!
//! # Features
//!
//! - `tokio` (default): [`Acquire::timeout`], [`Acquire::wait`] that hands its worker over before it parks, and a clock
//!   for retries in tasks.
//! - `serde`: [`Stamp`] and [`Fence`] in messages.
//! - `tracing`: events of keyed locks: acquired and released (debug), rejected and long waits (warn); of
//!   retries (debug), and of their attempts without a lock (warn); and of many tasks that block their workers (warn).
//! - `axum`: [a lock in front of handlers](layer::KeyedLockLayer), [preconditions](web::IfMatch), errors as
//!   [problems](docs::problems); for whatever is built on tower.
//! - `metrics`: [counters, gauges and histograms](docs::metrics) of locks, retries, budgets, flights and layers.

pub mod acquire {
    //! A pending acquisition, and the ways to wait for it.

    pub use crate::wait::{Acquire, Request};
}
pub mod claim;
mod digits;
pub mod docs;
pub mod error;
#[cfg(all(feature = "axum", not(latchwork_loom)))]
pub mod extract;
pub mod fence;
pub mod flight;
pub mod guard;
pub mod key;
pub mod keyed;
#[cfg(all(feature = "axum", not(latchwork_loom)))]
pub mod layer;
pub mod mutex;
pub mod provider;
#[cfg(all(feature = "metrics", not(latchwork_loom)))]
pub mod publish;
pub mod retry;
pub mod rwlock;
pub mod semaphore;
#[cfg(feature = "serde")]
mod serde;
mod shards;
pub mod stamp;
mod sync;
pub mod verdict;
pub mod versioned;
mod wait;
#[cfg(all(feature = "axum", not(latchwork_loom)))]
pub mod web;

pub use claim::Claims;
pub use error::{Busy, TimedOut};
pub use fence::Fence;
pub use flight::SingleFlight;
pub use keyed::{KeyedLock, KeyedSemaphore};
pub use mutex::Mutex;
pub use retry::RetryPolicy;
pub use rwlock::RwLock;
pub use semaphore::Semaphore;
pub use stamp::Stamp;
pub use versioned::{Conflict, Versioned, VersionedMap};
pub use wait::{Acquire, helper};
