//! Transactions over real databases: SQLite files, and a PostgreSQL that the tests start for themselves.

// What holds on every database stands once, in `both`, and is compiled once for each.
#![allow(clippy::duplicate_mod, reason = "one source, compiled for each database")]

mod cluster;
mod polls;
mod postgres;
mod proxy;
mod sqlite;

#[path = "."]
mod on_postgres {
    pub(crate) use crate::postgres::{Db, LOCKING_READ, idle_in_transaction, pool};

    mod both;
}

#[path = "."]
mod on_sqlite {
    pub(crate) use crate::sqlite::{Db, LOCKING_READ, idle_in_transaction, pool};

    mod both;
}
