//! Concurrency control for services: locks by key, locks that threads and tasks share, version stamps and retries.
//! Layers put them around handlers that you already have.
//!
//! ```
//! use latchwork::KeyedLock;
//!
//! let users: KeyedLock<String> = KeyedLock::new();
//!
//! let guard = users.try_lock("ada")?;       // the first click
//! assert!(users.try_lock("ada").is_err());  // the second: Busy, answer 409
//! assert!(users.try_lock("grace").is_ok()); // other users do not wait
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
//! | at most n at a time in all | [`Semaphore`] |
//! | one value that threads and tasks change | [`Mutex`] |
//! | one value that is read often and changed rarely | [`RwLock`] |
//! | one run of the work for equal requests | [`SingleFlight`] |
//! | to refuse an edit from a stale page | [`Versioned`], [`VersionedMap`] |
//! | to wait until a value changes | [`Versioned::changed`], [`VersionedMap::changed`] |
//! | a unique name | [`Claims`] |
//! | to try again after growing, spread waits | [`RetryPolicy`] |
//! | to resolve a conflict by reading again | [`RetryPolicy::retry_on_conflict`] |
//! | to keep retries from adding to an outage | [`Budget`](retry::Budget) |
//! | to refuse the late write of a paused holder | [`Fence`], [`FenceGate`](fence::FenceGate) |
//! | one request per key over all replicas of a service | [`PgKeyedLock`](pg::PgKeyedLock) |
//! | a lock in front of a handler | [`KeyedLockLayer`](layer::KeyedLockLayer) |
//! | one call of a handler for equal GETs | [`CoalesceLayer`](layer::CoalesceLayer) |
//! | `If-Match`, `ETag`, and errors as responses | [`IfMatch`](web::IfMatch), [`Tagged`](web::Tagged), [`Problem`](web::Problem) |
//! | metrics, for Prometheus and others | [`Publisher`](publish::Publisher) |
//! | code that works with local and remote locks | [`LockProvider`](provider::LockProvider) |
//!
//! # One way to wait
//!
//! The methods that acquire something return an [`Acquire`], and the caller chooses how to wait for it:
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
//! let guard = users.lock(7).max_waiters(2).await?;     // Err(Busy) instead of a long queue
//! # drop(guard);
//! let guard = users.try_lock(7)?;                      // Err(Busy), never waits
//! # drop(guard);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! It does nothing until it is polled or waited for, and it can be dropped at any point. Nothing stays locked, no wake-up
//! is lost, and no entry stays.
//!
//! # Modules
//!
//! The root has the types that most programs name. The others stand in modules:
//!
//! | module | contents |
//! |---|---|
//! | [`acquire`] | how to wait, and the traits behind it |
//! | [`mutex`], [`rwlock`], [`semaphore`], [`guard`] | guards and futures of these locks |
//! | [`keyed`], [`key`] | builder, guards, counters and views of locks by key; what may be passed as a key |
//! | [`provider`] | one trait for locks by key, local or remote |
//! | [`stamp`], [`fence`], [`versioned`], [`claim`], [`flight`] | the parts of these |
//! | [`retry`], [`verdict`] | policies, budgets, statistics; what an error means for a retry |
//! | [`error`] | the errors of acquisitions |
//! | [`web`], [`layer`], [`extract`] | problem details and preconditions; tower layers; axum extractors |
//! | [`sql`], [`mode`] | transactions, errors and rows of databases; off, observe or enforce |
//! | [`pg`] | locks by key over several processes, as leases in PostgreSQL |
//! | [`publish`] | metrics |
//! | [`helper`] | the thread that gives up waiters that are never polled again |
//!
//! # When not to use it
//!
//! - One value, threads only, held for a moment: `std::sync::Mutex`.
//! - More than one process without a PostgreSQL that they share. With one, see [more than one process](docs::processes).
//! - A counter: an atomic. A value that is replaced as a whole: `arc-swap`.
//!
//! # Guides
//!
//! [patterns](docs::patterns) · [adopting it in an axum service](docs::adopting) · [retries](docs::retries) ·
//! [problems](docs::problems) · [databases](docs::databases) · [more than one process](docs::processes) ·
//! [logging](docs::logging) · [metrics](docs::metrics) · [performance](docs::performance) ·
//! [limitations](docs::limitations) · [compatibility](docs::compatibility) · [internals](docs::internals)
//!
//! # Features
//!
//! - `tokio` (default): [`Acquire::timeout`], an [`Acquire::wait`] that moves its worker's tasks away before it parks, and
//!   a clock for retries in tasks.
//! - `serde`: [`Stamp`] and [`Fence`] in messages.
//! - `tracing`: [events](docs::logging) of keyed locks, of waits while they last, of retries, and of many tasks that block
//!   their workers; spans of layers.
//! - `tower`: [a lock in front of a service](layer::KeyedLockLayer), [preconditions](web::IfMatch), errors as
//!   [problems](docs::problems), for hyper, tonic and everything else that is built on tower.
//! - `axum`: the same for axum, with extractors and responses.
//! - `sqlx`: [transactions that end](docs::databases) over sqlx 0.9, its errors classified, rows with versions.
//! - `postgres`: [leases in PostgreSQL](pg) 13 or later, for locks by key over [several processes](docs::processes).
//! - `metrics`: [counters, gauges and histograms](docs::metrics) of locks, retries, budgets, flights, layers and scopes.

/// The programs of the README.
#[cfg(all(doctest, feature = "axum"))]
#[doc = include_str!("../README.md")]
struct Readme;

pub mod acquire {
    //! A pending acquisition, and the ways to wait for it.

    pub use crate::wait::{Acquire, Acquisition, Attempt, Bounded, OneQueue};
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
#[cfg(all(feature = "tower", not(latchwork_loom)))]
pub mod layer;
#[cfg(feature = "tracing")]
mod micros;
#[cfg(all(any(feature = "tower", feature = "sqlx"), not(latchwork_loom)))]
pub mod mode;
pub mod mutex;
#[cfg(all(feature = "postgres", not(latchwork_loom)))]
pub mod pg;
pub mod provider;
#[cfg(all(feature = "metrics", not(latchwork_loom)))]
pub mod publish;
#[cfg(all(feature = "postgres", not(latchwork_loom)))]
mod remote;
pub mod retry;
pub mod rwlock;
pub mod semaphore;
#[cfg(feature = "serde")]
mod serde;
mod shards;
#[cfg(all(feature = "sqlx", not(latchwork_loom)))]
pub mod sql;
pub mod stamp;
mod sync;
#[cfg(feature = "tracing")]
mod throttle;
mod user_code;
pub mod verdict;
pub mod versioned;
mod wait;
#[cfg(all(feature = "tower", not(latchwork_loom)))]
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
