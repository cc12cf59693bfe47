//! What holds on every database.

use super::{Db, LOCKING_READ, inside_transactions, pool};

mod bank;
mod columns;
mod drops;
mod modes;
mod nested;
mod prepared;
mod problems;
mod runs;
mod served;
mod taken;

use sqlx::{AssertSqlSafe, Connection, Database, Pool, SqlSafeStr, SqlStr, query, query_scalar};

/// Returns a pool over a table of numbers, with one row: 1, 0.
pub(crate) async fn numbers(connections: u32) -> Pool<Db> {
    let pool = pool(connections).await;
    query("create table numbers (id bigint primary key, n bigint not null)")
        .execute(&pool)
        .await
        .expect("it is new");
    query("insert into numbers values (1, 0)").execute(&pool).await.expect("it is new");
    pool
}

pub(crate) async fn number(pool: &Pool<Db>) -> i64 {
    query_scalar("select n from numbers where id = 1").fetch_one(pool).await.expect("the row is there")
}

/// Asserts that the pool has all its connections, and that none of them is inside a transaction.
pub(crate) async fn assert_whole(pool: &Pool<Db>) {
    let mut held = Vec::new();
    for _ in 0..pool.options().get_max_connections() {
        held.push(pool.acquire().await.expect("the pool has all its connections"));
    }
    // Each connection was asked whether it lives, so that it has answered what it was sent before.
    assert!(held.iter().all(|held| !held.is_in_transaction()), "sqlx counts a transaction that nobody has");
    assert_eq!(inside_transactions(pool, &mut held).await, 0);
}

/// Returns a statement with the placeholders of this database. The text has `$1`, `$2` and so on, in this order.
fn sql(text: &'static str) -> SqlStr {
    if Db::NAME != "MySQL" {
        return text.into_sql_str();
    }
    let mut parts = text.split('$');
    let mut sql = parts.next().expect("a text has a first part").to_owned();
    for part in parts {
        sql.push('?');
        sql += part.trim_start_matches(|c: char| c.is_ascii_digit());
    }
    AssertSqlSafe(sql).into_sql_str()
}
