//! Locks by key over several processes, as leases in a table of PostgreSQL 13 or later.
//!
//! ```text
//! key        StableKey: keys as bytes that mean the same in every process
//! table      Table: the table of the leases, its creation and its purge
//! statement  Statements: what is asked in one message, as text; rows as answers
//! verify     the check of a grant inside a user's transaction
//! literal    bytes, names and texts inside SQL
//! ```

#![cfg_attr(not(test), expect(dead_code, reason = "the connection and the lock call the statements"))]

mod key;
mod literal;
mod statement;
mod table;
#[cfg(test)]
mod tests;
mod verify;

pub use self::key::{KeyTooLong, StableKey};
