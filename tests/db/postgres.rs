//! Pools of connections to databases of the run's own PostgreSQL, and what holds there alone.

mod cancelled;
mod chaos;
mod child;
mod engine;
mod held;
mod layered;
mod locks;
mod metrics;
mod network;
mod pooled;
mod processes;
mod restart;
mod rows;

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{AssertSqlSafe, Connection, PgConnection, Pool, query, query_scalar};

use crate::cluster;

pub(crate) type Db = sqlx::Postgres;

pub(crate) fn options(database: &str) -> PgConnectOptions {
    PgConnectOptions::new().socket(cluster::socket()).username("tests").database(database)
}

/// A read that keeps other writers away until the transaction ends.
pub(crate) const LOCKING_READ: &str = "select n from numbers where id = 1 for update";

/// Returns a pool of this many connections to an empty database of its own.
pub(crate) async fn pool(connections: u32) -> Pool<Db> {
    connect(connections, options(&database().await)).await
}

fn pool_options(connections: u32) -> PgPoolOptions {
    PgPoolOptions::new().max_connections(connections).acquire_timeout(Duration::from_secs(60))
}

pub(crate) async fn connect(connections: u32, options: PgConnectOptions) -> Pool<Db> {
    pool_options(connections).connect_with(options).await.expect("the server answers")
}

/// Returns the name of an empty database.
pub(crate) async fn database() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);

    let name = format!("test_{}", NEXT.fetch_add(1, Ordering::Relaxed));
    let mut admin = PgConnection::connect_with(&options("postgres")).await.expect("the server answers");
    let sql = AssertSqlSafe(format!("create database {name}"));
    query(sql).execute(&mut admin).await.expect("a database is created");
    admin.close().await.expect("the connection ends");
    name
}

/// Returns how many sessions of the pool's database are inside a transaction and do nothing.
pub(crate) async fn idle_in_transaction(pool: &Pool<Db>) -> i64 {
    let name = pool.connect_options().get_database().expect("it has one").to_owned();
    let mut admin = PgConnection::connect_with(&options("postgres")).await.expect("the server answers");
    query_scalar(
        "select count(*) from pg_stat_activity where datname = $1 and state like 'idle in transaction%'",
    )
    .bind(name)
    .fetch_one(&mut admin)
    .await
    .expect("the view can be read")
}

/// Returns how many of the pool's connections are inside a transaction, when all of them are held.
pub(crate) async fn inside_transactions(pool: &Pool<Db>, _: &mut [PoolConnection<Db>]) -> i64 {
    idle_in_transaction(pool).await
}
