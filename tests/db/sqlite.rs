//! Pools of connections to SQLite files, and what holds there alone.

mod engine;
mod subscribers;

use std::path::Path;
use std::process;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use sqlx::Pool;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions};

pub(crate) type Db = sqlx::Sqlite;

/// A read that keeps other writers away until the transaction ends, if that is immediate.
pub(crate) const LOCKING_READ: &str = "select n from numbers where id = 1";

/// Returns a pool of this many connections to an empty file of its own.
pub(crate) async fn pool(connections: u32) -> Pool<Db> {
    static NEXT: AtomicU32 = AtomicU32::new(0);

    // In the folder that cargo makes for this purpose: no name is used twice while it exists.
    let name = format!("{}-{}.sqlite", process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let options = SqliteConnectOptions::new()
        .filename(&path)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .busy_timeout(Duration::from_secs(30));
    SqlitePoolOptions::new()
        .max_connections(connections)
        .min_connections(connections)
        .acquire_timeout(Duration::from_secs(60))
        .connect_with(options)
        .await
        .expect("the file opens")
}

/// A file has no sessions that another one could look at.
pub(crate) async fn idle_in_transaction(_: &Pool<Db>) -> i64 {
    0
}
