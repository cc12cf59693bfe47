//! The database of these rows: its tables, which are dropped at the end, and the locks on them.

use std::time::Duration;

use latchwork::pg::{PgKeyedBuilder, PgKeyedLock};
use sqlx::postgres::PgPoolOptions;
use sqlx::{PgPool, query};
use tokio::runtime::Runtime;
use tokio::time::sleep;

const TABLE: &str = "latchwork_bench_locks";
/// The first pause between two looks at a busy key. It is the default.
pub(super) const INTERVAL: Duration = Duration::from_millis(50);

pub(super) struct Database<'a> {
    pub(super) runtime: &'a Runtime,
    pub(super) url: &'a str,
    pub(super) pool: PgPool,
    pub(super) locks: PgKeyedLock<i64>,
}

impl<'a> Database<'a> {
    pub(super) fn connect(runtime: &'a Runtime, url: &'a str) -> Self {
        let options = PgPoolOptions::new().max_connections(4);
        let pool = runtime.block_on(options.connect(url)).expect("the server of DATABASE_URL answers");
        let locks = runtime.block_on(async {
            query("create table if not exists latchwork_bench_rows (id bigint primary key)")
                .execute(&pool)
                .await
                .expect("the role may create tables");
            query("insert into latchwork_bench_rows select generate_series(0, 9) on conflict do nothing")
                .execute(&pool)
                .await
                .expect("the table is there");
            builder(&pool).create_table().await.expect("the role may create tables");
            builder(&pool).connect().await.expect("the table is there")
        });
        Self { runtime, url, pool, locks }
    }

    pub(super) fn clean_up(self) {
        self.runtime.block_on(async {
            self.locks.shut_down().await;
            for drop_it in ["drop table latchwork_bench_locks", "drop table latchwork_bench_rows"] {
                query(drop_it).execute(&self.pool).await.expect("it is there");
            }
        });
    }
}

/// The locks of another process, or those with other settings.
pub(super) fn builder(pool: &PgPool) -> PgKeyedBuilder<i64> {
    PgKeyedLock::builder(pool).table(TABLE)
}

/// Waits until the locks of a process have sent this many messages.
pub(super) async fn asked(locks: &PgKeyedLock<i64>, messages: u64) {
    while locks.stats().counts().batches < messages {
        sleep(Duration::from_millis(1)).await;
    }
}
