//! Transactions over [sqlx](https://docs.rs/sqlx) 0.9 that end: scopes that commit or roll back whatever happens, errors
//! that classify themselves, rows with versions.
//!
//! The drivers are chosen by sqlx's own features (`postgres`, `sqlite`, `mysql`).
//!
//! ```text
//! scope      Scope: what a user sets up; run: a whole transaction, again if it must be
//! opening    Opening: the pending BEGIN. tx: Tx, the open transaction. closing: Closing, the pending COMMIT
//! commit     how a commit may end
//! on_runtime what is dropped on its runtime, wherever that happens
//! engine     which database it is, and the statement that begins
//! code       what the database said: its code, without allocating. classify: what that means
//! constraint which constraint a change violated, on every database
//! columns    stamps and fences as columns; rows: rows with versions
//! stats      live counters, and their values at some moment; events: what is logged
//! lock       a lock by key until the transaction ends
//! ```
//!
//! # Why a guard of our own
//!
//! A dropped future must not leave a transaction open. sqlx's own `begin` does, on PostgreSQL, up to 0.9.0: if it is
//! dropped while the server answers, the connection goes back to the pool, and nobody knows that it is inside a
//! transaction ([transact-rs/sqlx#4393](https://github.com/transact-rs/sqlx/issues/4393)). The next user's changes look
//! stored and are not. And sqlx's guards panic when they are dropped outside a runtime.
//!
//! ```text
//!             begin                     answered                   commit, rollback
//!  (waiting) ───────▶ opening ──────────────────────▶ open ─────────────────────────▶ closing ──▶ closed
//!      │                 │ dropped                      │ dropped                       │ dropped
//!      ▼                 ▼                              ▼                               ▼
//!   nothing        a task waits for the answer,      rolled back before           a task waits for the
//!   is held        then rolls back                   the connection is reused     answer
//! ```
//!
//! - *Waiting* for a connection of the pool holds nothing. A drop leaves the pool's queue.
//! - *Opening*: the answer to BEGIN is on its way. Only the future that sent it can read it. So a drop hands the future to
//!   a task, which reads the answer and then rolls back. The connection survives.
//! - *Open*: sqlx's own guard queues a ROLLBACK, which is sent before the connection is used again.
//! - *Closing*: COMMIT is on its way, and may have been done. So a drop hands it to a task, which counts how it ends. A
//!   rollback that is dropped is made by sqlx's guard.
//!
//! Each of these drops happens on the runtime that the transaction began on, from whatever thread: see `on_runtime`. If
//! that runtime has been shut down, the connection is closed.

mod classify;
mod closing;
mod code;
mod columns;
mod commit;
mod constraint;
mod engine;
mod events;
mod lock;
mod on_runtime;
mod opening;
mod rows;
mod run;
mod scope;
mod stats;
mod tx;

#[cfg(feature = "tower")]
pub(crate) use self::classify::is_cancelled_statement;
pub use self::classify::{statement_verdict, transaction_verdict};
pub use self::commit::CommitError;
#[cfg(feature = "tower")]
pub(crate) use self::constraint::is_constraint_violation;
pub use self::constraint::violated_constraint;
pub use self::engine::Isolation;
pub use self::rows::{RowConflict, RowEdit, RowError, VersionedTable};
pub use self::scope::Scope;
pub use self::stats::{Ending, ScopeCounts, ScopeStats};
pub use self::tx::Tx;
