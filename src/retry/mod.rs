//! Retry: attempts that are made again, each after a longer and well spread wait, until it makes no
//! sense any more.
//!
//! ```text
//! conflict   read, change, store if unchanged; again from the start
//! run        calls in a task, on a thread, or attempt by attempt
//! session    one call: the only place that decides
//! policy     what a user sets up
//! error      what a call that failed comes to
//! observe    what is told of a retry before it is waited for
//! gate       what escalated attempts exclude each other with
//! stats, budget, clock, backoff, classify, sqlstate, shared: as they say
//! ```
//!
//! # One call
//!
//! ```text
//! attempt 1 ── ok ──────────────────────────────▶ settled      budget: + earnings
//!     │ error, classified
//!     ├─ stop · kind not retried · attempts · deadline · budget ─▶ settled, with the reason
//!     ▼ paid for                                               budget: − price
//!  waiting ──── dropped ────────────────────────▶ abandoned    budget: + price
//!     │
//!     ▼
//! attempt 2 ── ok ──────────────────────────────▶ settled      budget: + price
//!     │ error: its price is spent
//!     ⋮  dropped in an attempt ─────────────────▶ abandoned    budget: the price is spent
//! ```
//!
//! With a gate the attempt begins behind it: who is dropped in front of it is still waiting.
//!
//! Tokens are conserved: whatever is paid is either spent by a retry that began and did not succeed, or
//! put back. A call ends exactly once, in `Session::succeed`, `give_up` or `abandon`, so
//! the counters add up: calls = first-try ok + retried ok + failed + abandoned.
//!
//! # The order of refusals
//!
//! What the error is comes first, then attempts, then time, and the budget last: nothing is paid for a retry
//! that is refused for another reason. The observer is told when all have agreed.

mod backoff;
mod budget;
mod classify;
mod clock;
mod conflict;
mod error;
mod gate;
mod observe;
mod policy;
mod run;
mod session;
mod shared;
pub mod sqlstate;
mod stats;

pub use self::backoff::{Backoff, Jitter};
pub use self::budget::Budget;
pub use self::classify::{ByTrait, Classifier};
pub use self::clock::{Clock, Sleep, VirtualClock};
pub use self::conflict::RetryOnConflict;
pub use self::error::{RetryError, StopReason};
pub use self::gate::{Entrance, Gate, Gated, Ungated};
pub use self::observe::Retrying;
pub use self::policy::RetryPolicy;
pub use self::session::{Attempt, Session};
pub use self::shared::Shared;
pub use self::stats::{RetryCounts, RetryStats};
