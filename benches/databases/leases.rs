//! What a lock over several processes costs, beside the locks that PostgreSQL has itself.

use std::sync::Arc;
use std::time::{Duration, Instant};

use latchwork::pg::PgKeyedLock;
use latchwork::sql::Scope;
use sqlx::postgres::PgPoolOptions;
use sqlx::{PgPool, query, query_scalar};
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

use crate::harness::{Measure, Report, per_op};

/// A table that is dropped at the end.
const TABLE: &str = "latchwork_bench_locks";
const KEYS: u64 = 64;

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
    alone(report, runtime, &pool, &locks);
    together(report, runtime, &pool, &locks);
    checked(report, runtime, &pool, &locks);
    waiting(report, runtime, &pool, &locks);
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

fn alone(report: &mut Report, runtime: &Runtime, pool: &PgPool, locks: &PgKeyedLock<u64>) {
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

/// Runs so many tasks, each of which acquires and releases keys.
async fn tasks(locks: &PgKeyedLock<u64>, tasks: u64, ops: u64, key: fn(u64) -> u64) -> f64 {
    let (start, each) = (Instant::now(), ops.div_ceil(tasks));
    let mut set = JoinSet::new();
    for task in 0..tasks {
        let locks = locks.clone();
        set.spawn(async move {
            for _ in 0..each {
                drop(locks.lock_owned(key(task)).await.expect("the server answers"));
            }
        });
    }
    while let Some(done) = set.join_next().await {
        done.expect("it does not panic");
    }
    per_op(start.elapsed(), each * tasks)
}

fn together(report: &mut Report, runtime: &Runtime, _: &PgPool, locks: &PgKeyedLock<u64>) {
    let measure = Measure::new("64 keys of PostgreSQL at the same time, a key")
        .run("latchwork", |ops| runtime.block_on(tasks(locks, KEYS, ops, |task| task)))
        .run("one after the other", |ops| runtime.block_on(in_turn(locks, ops)))
        .goal(0.05);
    report.add(measure);

    let measure = Measure::new("a key of PostgreSQL, passed from task to task")
        .run("latchwork", |ops| runtime.block_on(tasks(locks, 8, ops, |_| 7)))
        .run("released and acquired", |ops| runtime.block_on(in_turn(locks, ops)))
        .goal(0.77);
    report.add(measure);
    let batches = |ops: u64| {
        let before = locks.stats().counts().batches;
        runtime.block_on(tasks(locks, 8, ops, |_| 7));
        (locks.stats().counts().batches - before) as f64 / ops as f64
    };
    let title = "messages to PostgreSQL for a key, passed from task to task";
    report.add(Measure::new(title).unit("messages").run("latchwork", batches).bound(1.1));
}

fn checked(report: &mut Report, runtime: &Runtime, pool: &PgPool, locks: &PgKeyedLock<u64>) {
    let held = Arc::new(runtime.block_on(async { locks.lock_owned(8).await.expect("the server answers") }));
    let scope = Scope::new(pool.clone());
    let verified = {
        let (held, scope) = (held.clone(), scope.clone());
        move |ops: u64| {
            runtime.block_on(async {
                let mut tx = scope.begin().await.expect("there are four");
                let start = Instant::now();
                for _ in 0..ops {
                    held.verify(&mut tx).await.expect("it is held");
                }
                per_op(start.elapsed(), ops)
            })
        }
    };
    let selected = move |ops: u64| {
        runtime.block_on(async {
            let mut tx = scope.begin().await.expect("there are four");
            let start = Instant::now();
            for _ in 0..ops {
                sqlx::raw_sql("select 1").execute(&mut *tx).await.expect("it is a number");
            }
            per_op(start.elapsed(), ops)
        })
    };
    let measure = Measure::new("a check inside a transaction").run("latchwork", verified);
    report.add(measure.run("select 1, as text", selected));
}

/// Counts the transaction ids that polls of a busy key cost.
fn waiting(report: &mut Report, runtime: &Runtime, pool: &PgPool, locks: &PgKeyedLock<u64>) {
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
