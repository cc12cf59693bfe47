//! Locks by key over several processes, as leases in a table of PostgreSQL 13 or later.
//!
//! Begin with [`PgKeyedLock`], or with the guide [more than one process](crate::docs::processes): when leases are needed, what
//! they cost and promise, and how to run them. The parts of this module are:
//!
//! ```text
//! lock       PgKeyedLock: the locks; builder: their settings; acquire: a request; guard: a key that is held
//! leader     work that runs in one process at a time
//! key        StableKey: keys as bytes that mean the same in every process
//! lease      what the rest of the process says to the task
//! desk       the machine of `remote`, and the requests and holders that it answers
//! task       the task that owns the connection
//! statement  Statements: what is asked in one message, as text; rows as answers
//! plans      Plans: what a connection keeps prepared; pooler: whether it can keep anything
//! verify     the check of a grant inside a user's transaction
//! table      Table: the table of the leases, its creation and its purge
//! literal    bytes, names and texts inside SQL
//! stats      live counters, and their values at some moment; events: what is logged
//! ```
//!
//! # One request
//!
//! ```text
//!  request ──▶ local KeyedLock ──▶ Leases ══ channel ══▶ Desk (Machine) ══ batches ══▶ PostgreSQL
//!                (queue, limits)     ▲                     │        ▲                       │
//!                                    └──── grant, loss ────┘        └── answers, NOTIFY ────┘
//! ```
//!
//! Users' futures end at the channel. So what they drop never interrupts a statement, and a guard can be dropped anywhere.

mod acquire;
mod builder;
mod desk;
mod events;
mod guard;
mod key;
mod leader;
mod lease;
mod literal;
mod lock;
mod plans;
mod pooler;
mod statement;
mod stats;
mod table;
mod task;
#[cfg(test)]
mod tests;
mod verify;

pub use self::acquire::PgAcquire;
pub use self::builder::{PgKeyedBuilder, PgLockError};
pub use self::guard::{PgGuard, PgManyGuard};
pub use self::key::{KeyTooLong, StableKey};
pub use self::lock::{PgKeyedLock, PgWait};
pub use self::stats::{LeaseCounts, LeaseStats};
pub use self::table::BadName;
pub use self::verify::VerifyError;
