//! A process that waits for keys of another one.

use std::time::Duration;

use latchwork::pg::PgKeyedLock;
use sqlx::{PgPool, query_scalar};
use tokio::runtime::Runtime;

use super::TABLE;
use crate::harness::{Measure, Report};

/// Counts the transaction ids that polls of a busy key cost.
pub(super) fn run(report: &mut Report, runtime: &Runtime, pool: &PgPool, locks: &PgKeyedLock<u64>) {
    let ids = |_: u64| {
        runtime.block_on(async {
            let other = PgKeyedLock::<u64>::builder(pool)
                .table(TABLE)
                .poll_interval(Duration::from_millis(2))
                .connect()
                .await
                .expect("the table is there");
            let held = locks.lock_owned(9).await.expect("the server answers");
            let waiting = tokio::spawn({
                let other = other.clone();
                async move { other.lock_owned(9).await.map(drop) }
            });
            // The first poll says that somebody waits. The second is sent when that is done.
            polls(&other, 2).await;
            let before = ids(pool).await;
            let asked = other.stats().counts().batches;
            polls(&other, asked + 7).await;
            let polled = other.stats().counts().batches - asked;
            // Each look at the ids takes one.
            let used = ids(pool).await - before - 1;
            drop(held);
            waiting.await.expect("it does not panic").expect("the key was released");
            other.shut_down().await;
            used as f64 / polled as f64
        })
    };
    async fn ids(pool: &PgPool) -> i64 {
        query_scalar("select pg_current_xact_id()::text::bigint").fetch_one(pool).await.expect("a number")
    }
    async fn polls(locks: &PgKeyedLock<u64>, batches: u64) {
        while locks.stats().counts().batches < batches {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
    let title = "transaction ids for a look at a busy key";
    report.add(Measure::new(title).unit("ids").at_most_rounds(3).fixed(1).run("latchwork", ids).bound(0.05));
}
