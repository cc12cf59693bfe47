//! Several processes that sell the same sweets over one PostgreSQL: first each with locks of its own, then with leases.
//!
//! ```text
//! protocol   what the parent and a worker say to each other
//! locks      the locks of a worker: its own, or leases in the database
//! worker     a process that sells
//! team       the workers, as the parent sees them
//! compare    both sides, and what happens to the workers of each
//! report     what is counted, shown and promised
//! ```
//!
//! The code of a sale is the same on both sides: lock the sweet, read its stock, ask another service, write. With its own
//! locks each process is right for itself, and they undo each other's sales. With leases the sweet is locked in all
//! processes, and the transaction that writes verifies the lease first.
//!
//! On both sides two workers meet with bad luck. Each is the only one of its process that sells at that moment, holds a
//! sweet, has read its stock and has not written yet:
//!
//! - The first is killed. Its lease ends, and another process sells the sweet.
//! - The second is stopped until another process has sold the sweet. Then it goes on, and writes what it read before.
//!   `verify` refuses that.
//!
//! Workers say when they have come to that point, and nobody sleeps to wait for another. While a sweet waits for the end of
//! a lease, most customers soon stand in its queue: that is what the slowest changes show.

mod compare;
mod locks;
mod protocol;
mod report;
mod team;
mod worker;

pub(crate) use self::compare::compare;
pub(crate) use self::locks::Side;
pub(crate) use self::worker::work;
