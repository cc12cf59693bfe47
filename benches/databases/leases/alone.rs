//! A process that nobody else competes with, and one request at a time.

use std::time::Instant;

use latchwork::pg::PgKeyedLock;
use sqlx::{PgPool, query};
use tokio::runtime::Runtime;

use super::{connect, in_turn};
use crate::harness::{Measure, Report, per_op};

pub(super) fn run(report: &mut Report, runtime: &Runtime, pool: &PgPool, locks: &PgKeyedLock<u64>) {
    let advisory = |ops: u64| {
        runtime.block_on(async {
            let mut session = pool.acquire().await.expect("there are four");
            let start = Instant::now();
            for _ in 0..ops {
                query("select pg_advisory_lock(7)").execute(&mut *session).await.expect("it is free");
                query("select pg_advisory_unlock(7)").execute(&mut *session).await.expect("it is held");
            }
            per_op(start.elapsed(), ops)
        })
    };
    let in_transaction = |sql: &'static str| {
        move |ops: u64| {
            runtime.block_on(async {
                let start = Instant::now();
                for _ in 0..ops {
                    let mut tx = pool.begin().await.expect("there are four");
                    query(sql).execute(&mut *tx).await.expect("it is free");
                    tx.commit().await.expect("nothing stands against it");
                }
                per_op(start.elapsed(), ops)
            })
        }
    };
    let measure = Measure::new("a key of PostgreSQL, acquired and released")
        .run("latchwork", |ops| runtime.block_on(in_turn(locks, ops)))
        .run("session advisory lock", advisory)
        .goal(4.0)
        .run("pg_advisory_xact_lock", in_transaction("select pg_advisory_xact_lock(7)"))
        .run("for update", in_transaction("select id from latchwork_bench_rows where id = 7 for update"))
        .goal(2.0);
    report.add(measure);

    let batches = |ops: u64| {
        let before = locks.stats().counts().batches;
        runtime.block_on(in_turn(locks, ops));
        (locks.stats().counts().batches - before) as f64 / ops as f64
    };
    let title = "messages to PostgreSQL for a key, acquired and released";
    report.add(Measure::new(title).unit("messages").run("latchwork", batches).bound(2.0));

    let silent = runtime.block_on(connect(pool, false));
    let silently = silent.clone();
    let measure = Measure::new("a key of PostgreSQL that nobody else waits for, with NOTIFY")
        .run("latchwork", |ops| runtime.block_on(in_turn(locks, ops)))
        .run("latchwork without NOTIFY", move |ops| runtime.block_on(in_turn(&silently, ops)))
        .goal(1.05);
    report.add(measure);
    runtime.block_on(silent.shut_down());
}
