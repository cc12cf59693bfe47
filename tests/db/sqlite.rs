//! Pools of connections to SQLite files, and what holds there alone.

mod engine;
mod subscribers;

use std::path::Path;
use std::process;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use sqlx::pool::PoolConnection;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions};
use sqlx::{Pool, query};

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

/// Returns how many of the pool's connections are inside a transaction, when all of them are held.
pub(crate) async fn inside_transactions(_: &Pool<Db>, held: &mut [PoolConnection<Db>]) -> i64 {
    let mut inside = 0;
    for connection in held {
        // One that is inside a transaction can't begin one.
        if query("begin").execute(&mut **connection).await.is_err() {
            inside += 1;
        } else {
            query("rollback").execute(&mut **connection).await.expect("it is open");
        }
    }
    inside
}
