//! Transactions over real databases: SQLite files, and a PostgreSQL and a MariaDB that the tests start for themselves.

// What holds on every database stands once, in `every`, and is compiled once for each. What a database can't do, or its
// driver, stands beside it.
#![allow(clippy::duplicate_mod, reason = "one source, compiled for each database")]

mod cluster;
mod mariadb;
mod polls;
mod postgres;
mod proxy;
mod server;
mod sqlite;

#[path = "."]
mod on_mariadb {
    pub(crate) use crate::mariadb::{Db, LOCKING_READ, inside_transactions, pool};

    mod every;
}

#[path = "."]
mod on_postgres {
    pub(crate) use crate::postgres::{Db, LOCKING_READ, inside_transactions, pool};

    mod every;
    mod rows;
}

#[path = "."]
mod on_sqlite {
    pub(crate) use crate::sqlite::{Db, LOCKING_READ, inside_transactions, pool};

    mod every;
    mod rows;
}
