//! Transactions over [sqlx](https://docs.rs/sqlx) 0.9 that end: scopes that commit or roll back whatever happens, errors
//! that classify themselves, rows with versions.
//!
//! The drivers are chosen by sqlx's own features (`postgres`, `sqlite`, `mysql`).
//!
//! ```text
//! scope      Scope: what a user sets up; run: a whole transaction, again if it must be
//! tx         Tx: an open transaction
//! session    a connection of the pool, and the transaction in it: how it begins, commits and is rolled back
//! uninterrupted  what goes on although nobody waits for it
//! commit     how a commit may end
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
//!             begin                     answered                  commit, rollback
//!  (waiting) ───────▶ opening ──────────────────────▶ open ─────────────────────────▶ closing ──▶ closed
//!      │                 │ dropped                      │ dropped                       │ dropped
//!      ▼                 ▼                              ▼                               ▼
//!   nothing        a task waits for the           a task rolls back             a task waits for the
//!   is held        answer, then rolls back                                      answer
//! ```
//!
//! - *Waiting* for a connection of the pool holds nothing. A drop leaves the pool's queue.
//! - *Opening* and *closing*: the answer is on its way, and only the future that sent the question can read it. So that
//!   future is never dropped: a task polls it on. A commit that nobody waits for is counted as what it was.
//! - *Open*: a task rolls back. Then the connection returns to the pool.
//! - A connection that can't be rolled back is closed. So is one whose runtime shuts down before its task has ended.
//!
//! The tasks run on the runtime in which the drop happens, or else on the one that the transaction began on.
//!
//! # What sqlx does not notice
//!
//! sqlx counts how many transactions are open on a connection, the one inside the other. The database counts differently
//! in five cases:
//!
//! - PostgreSQL rolls back instead of committing after a statement has failed. A commit asks first: see
//!   [`check_commit`](Scope::check_commit).
//! - MySQL rolls back by itself after a deadlock, and stores the next statements one by one. A commit asks for a savepoint that
//!   was made at the beginning.
//! - sqlx rolls the outer transaction back if a nested one fails to begin. A commit looks at the count. On SQLite a checked
//!   commit looks again when the connection's thread has done what was queued.
//! - PostgreSQL does the first part of BEGIN's message, and refuses the rest. The connection is closed.
//! - SQLite rolls back by itself, for example when the disk is full. A later savepoint begins a new transaction there. A
//!   commit asks for a savepoint that was made at the beginning. The rollback begins a transaction if there is none, and ends
//!   it, so that both count the same.

mod classify;
mod code;
mod columns;
mod commit;
mod constraint;
mod engine;
mod events;
mod lock;
mod rows;
mod run;
mod scope;
mod session;
mod stats;
mod tx;
mod uninterrupted;

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
