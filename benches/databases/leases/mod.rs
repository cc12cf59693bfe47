//! What a lock over several processes costs, beside the locks that PostgreSQL has itself.

mod alone;
mod together;
mod verified;
mod waiting;

use std::time::Instant;

use latchwork::pg::PgKeyedLock;
use sqlx::postgres::PgPoolOptions;
use sqlx::{PgPool, query};
use tokio::runtime::Runtime;

use crate::harness::{Report, per_op};

/// A table that is dropped at the end.
const TABLE: &str = "latchwork_bench_locks";

pub(crate) fn run(report: &mut Report, runtime: &Runtime, url: &str) {
    let options = PgPoolOptions::new().max_connections(4);
    let pool = runtime.block_on(options.connect(url)).expect("the server of DATABASE_URL answers");
    let locks = runtime.block_on(async {
        query("create table if not exists latchwork_bench_rows (id bigint primary key)")
            .execute(&pool)
            .await
            .expect("the role may create tables");
        query("insert into latchwork_bench_rows values (7) on conflict do nothing")
            .execute(&pool)
            .await
            .expect("the table is there");
        connect(&pool, true).await
    });
    alone::run(report, runtime, &pool, &locks);
    together::run(report, runtime, &locks);
    verified::run(report, runtime, &pool, &locks);
    waiting::run(report, runtime, &pool, &locks);
    runtime.block_on(async {
        locks.shut_down().await;
        for drop_it in ["drop table latchwork_bench_locks", "drop table latchwork_bench_rows"] {
            query(drop_it).execute(&pool).await.expect("it is there");
        }
    });
}

async fn connect(pool: &PgPool, notify: bool) -> PgKeyedLock<u64> {
    let builder = PgKeyedLock::builder(pool).table(TABLE).notify(notify);
    builder.create_table().await.expect("the role may create tables");
    builder.connect().await.expect("the table is there")
}

/// Acquires and releases a key, one time after the other.
async fn in_turn(locks: &PgKeyedLock<u64>, ops: u64) -> f64 {
    let start = Instant::now();
    for _ in 0..ops {
        let held = locks.lock_owned(7).await.expect("the server answers");
        held.release().await.expect("it was held to its end");
    }
    per_op(start.elapsed(), ops)
}
