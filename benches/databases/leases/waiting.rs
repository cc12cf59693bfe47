//! A process that waits for keys of another one.

use std::time::{Duration, Instant};

use futures::future::try_join_all;
use sqlx::{PgPool, query_scalar};

use super::database::{Database, INTERVAL, asked, builder};
use crate::harness::{Measure, Report};

/// How many poll intervals a process waits. The pauses grow meanwhile.
const INTERVALS: u32 = 10;

pub(super) fn run(report: &mut Report, database: &Database<'_>) {
    messages(report, database);
    transaction_ids(report, database);
}

/// Counts the messages of a process that waits, from its first requests on.
fn messages(report: &mut Report, database: &Database<'_>) {
    let Database { runtime, pool, locks, .. } = database;
    let waits_for = |keys: i64| {
        move |_: u64| {
            runtime.block_on(async {
                let other =
                    builder(pool).poll_interval(INTERVAL).connect().await.expect("the table is there");
                let held = try_join_all((0..keys).map(|key| locks.lock_owned(key).into_future())).await;
                let requests = (0..keys).map(|key| other.lock_owned(key).into_future());
                let start = Instant::now();
                let waiting = tokio::spawn(try_join_all(requests));
                tokio::time::sleep(INTERVAL * INTERVALS).await;
                let intervals = start.elapsed().as_secs_f64() / INTERVAL.as_secs_f64();
                let sent = other.stats().counts().batches as f64 / intervals;
                drop(held.expect("the server answers"));
                let got = waiting.await.expect("it does not panic");
                drop(got.expect("the keys were released"));
                other.shut_down().await;
                sent
            })
        }
    };
    let measure = Measure::new("messages of a process that waits for 64 busy keys, in a poll interval")
        .unit("messages")
        .at_most_rounds(3)
        .fixed(1)
        .run("latchwork", waits_for(64))
        .bound(1.0)
        .run("latchwork, one key", waits_for(1));
    report.add(measure);
}

/// Counts the transaction ids that polls of a busy key cost.
fn transaction_ids(report: &mut Report, database: &Database<'_>) {
    let Database { runtime, pool, locks, .. } = database;
    let ids = |_: u64| {
        runtime.block_on(async {
            let other = builder(pool).poll_interval(Duration::from_millis(2)).connect().await;
            let other = other.expect("the table is there");
            let held = locks.lock_owned(9).await.expect("the server answers");
            let waiting = tokio::spawn(other.lock_owned(9).into_future());
            // The first poll says that somebody waits. The second is sent when that is done.
            asked(&other, 2).await;
            let before = ids(pool).await;
            let messages = other.stats().counts().batches;
            asked(&other, messages + 7).await;
            let polled = other.stats().counts().batches - messages;
            // Each look at the ids takes one.
            let used = ids(pool).await - before - 1;
            drop(held);
            let got = waiting.await.expect("it does not panic");
            drop(got.expect("the key was released"));
            other.shut_down().await;
            used as f64 / polled as f64
        })
    };
    async fn ids(pool: &PgPool) -> i64 {
        query_scalar("select pg_current_xact_id()::text::bigint").fetch_one(pool).await.expect("a number")
    }
    let title = "transaction ids for a look at a busy key";
    report.add(Measure::new(title).unit("ids").at_most_rounds(3).fixed(1).run("latchwork", ids).bound(0.05));
}
