//! Retry: attempts that are made again, each after a longer and well spread wait, until a further attempt makes no
//! sense.
//!
//! ```text
//! conflict   load, apply, store if unchanged; again from the start. roles: names for its closures
//! run        calls in a task, on a thread, or attempt by attempt
//! session    one call, without waiting; decide: the rules by which it goes on or ends
//! lock       the lock around the attempts of a change
//! policy     what a user sets up; setters: how
//! error      what a call that gave up returns
//! observe    what a policy reports
//! stats      live counters; counts: their values at some moment
//! backoff    the waits that a user sets up; schedule: how they are drawn, one call's
//! classify   what an error means, and the observers of errors
//! too_dear   the prices that a budget can never pay
//! attempt, boxed, budget, clock, sqlstate, shared: as they say
//! ```
//!
//! # One call
//!
//! ```text
//! attempt 1 ── ok ──────────────────────────────▶ settled      budget: + earnings
//!     │ error, classified
//!     ├─ stop · kind not retried · attempts · hint · schedule · deadline · budget ─▶ settled, with the reason
//!     ▼ paid for                                               budget: − price
//!  waiting ──── dropped ────────────────────────▶ abandoned    budget: + price
//!     │
//!     ▼
//! attempt 2 ── ok ──────────────────────────────▶ settled      budget: + price
//!     │ error: its price is spent
//!     ⋮  dropped in an attempt ─────────────────▶ abandoned    budget: the price is spent
//! ```
//!
//! With a lock, the attempt starts once the lock is held; a call dropped before that still counts as waiting, so its
//! tokens are returned. An attempt whose lock fails is made without it, and reported.
//!
//! Tokens are conserved: each price is either spent by a retry that began and did not succeed, or put back. A call ends
//! exactly once, in `Session::succeed`, `give_up` or `abandon`. So the counters add up: calls = first-try ok + retried
//! ok + failed + abandoned.
//!
//! # The order of refusals
//!
//! The verdict of the error comes first, then the attempts, a hint that is too long, and a schedule that has ended. The deadline
//! follows, and the budget is last: nothing is paid for a retry that is refused for another reason. The observers of retries are called when all have agreed, the others when the
//! call has failed and is counted.

mod attempt;
mod backoff;
mod boxed;
mod budget;
mod classify;
mod clock;
mod conflict;
mod counts;
mod decide;
mod error;
mod lock;
mod observe;
mod policy;
mod roles;
mod run;
mod schedule;
mod session;
mod setters;
mod shared;
pub mod sqlstate;
mod stats;
mod too_dear;

pub use self::attempt::Attempt;
pub use self::backoff::{Backoff, Jitter};
pub use self::boxed::BoxedError;
pub use self::budget::Budget;
pub use self::classify::{ByFunction, ByTrait, Classifier, OnGiveUp, OnRetry};
pub use self::clock::{Clock, Sleep, VirtualClock};
pub use self::conflict::RetryOnConflict;
pub use self::counts::RetryCounts;
pub use self::error::{RetryError, StopReason};
pub use self::observe::{Retrying, WithoutLock};
pub use self::policy::RetryPolicy;
pub use self::roles::{Load, Store};
pub use self::session::Session;
pub use self::shared::Shared;
pub use self::stats::RetryStats;
