//! What holds on every database.

pub(crate) use super::{Db, LOCKING_READ, idle_in_transaction, pool};

mod bank;
mod columns;
mod drops;
mod modes;
mod nested;
mod problems;
mod rows;
mod runs;
mod served;
mod taken;

use sqlx::{Connection, Pool, query, query_scalar};

/// Returns a pool over a table of numbers, with one row: 1, 0.
async fn numbers(connections: u32) -> Pool<Db> {
    let pool = pool(connections).await;
    query("create table numbers (id bigint primary key, n bigint not null)")
        .execute(&pool)
        .await
        .expect("it is new");
    query("insert into numbers values (1, 0)").execute(&pool).await.expect("it is new");
    pool
}

async fn number(pool: &Pool<Db>) -> i64 {
    query_scalar("select n from numbers where id = 1").fetch_one(pool).await.expect("the row is there")
}

/// Asserts that the pool has all its connections, and that none of them is inside a transaction.
async fn assert_whole(pool: &Pool<Db>) {
    let mut held = Vec::new();
    for _ in 0..pool.options().get_max_connections() {
        held.push(pool.acquire().await.expect("the pool has all its connections"));
    }
    // Each connection was asked whether it lives, so that it has answered what it was sent before.
    assert_eq!(idle_in_transaction(pool).await, 0);
    for connection in &mut held {
        assert!(!connection.is_in_transaction(), "sqlx counts a transaction that nobody has");
        // On SQLite, a connection that is inside a transaction can't begin one.
        query("begin").execute(&mut **connection).await.expect("no transaction is open");
        query("rollback").execute(&mut **connection).await.expect("it is open");
    }
}
