//! Many tasks of one process: they share messages, and pass a key on.

use std::time::Instant;

use latchwork::pg::PgKeyedLock;
use tokio::task::JoinSet;

use super::database::Database;
use crate::harness::{Measure, Report, per_op};

pub(super) fn run(report: &mut Report, database: &Database<'_>) {
    let Database { runtime, locks, .. } = database;
    let own_keys = |count, ops| runtime.block_on(tasks(locks, count, ops, |task| task));
    let measure = Measure::new("64 keys of PostgreSQL at the same time, a key")
        .run("latchwork", |ops| own_keys(64, ops))
        .run("one after the other", |ops| own_keys(1, ops))
        .goal(0.05);
    report.add(measure);

    let one_key = |count, ops| runtime.block_on(tasks(locks, count, ops, |_| 7));
    let measure = Measure::new("a key of PostgreSQL, passed from task to task")
        .run("latchwork", |ops| one_key(8, ops))
        .run("released and acquired", |ops| one_key(1, ops))
        .goal(0.77);
    report.add(measure);
    let batches = |ops: u64| {
        let before = locks.stats().counts().batches;
        one_key(8, ops);
        (locks.stats().counts().batches - before) as f64 / ops as f64
    };
    let title = "messages to PostgreSQL for a key, passed from task to task";
    let measure = Measure::new(title).unit("messages").at_most_rounds(3).fixed(400);
    report.add(measure.run("latchwork", batches).bound(1.1));
}

/// Runs tasks, each of which acquires keys and gives them back. Returns the time of one lock.
async fn tasks(locks: &PgKeyedLock<i64>, tasks: u32, ops: u64, key: fn(i64) -> i64) -> f64 {
    let (start, each) = (Instant::now(), ops.div_ceil(tasks.into()));
    let mut set = JoinSet::new();
    for task in 0..tasks {
        let locks = locks.clone();
        set.spawn(async move {
            for _ in 0..each {
                let held = locks.lock_owned(key(task.into())).await.expect("the server answers");
                // It waits for that. If it dropped its guard, the key would be passed on to its own next request.
                held.release().await.expect("it was held to its end");
            }
        });
    }
    while let Some(done) = set.join_next().await {
        done.expect("it does not panic");
    }
    per_op(start.elapsed(), each * u64::from(tasks))
}
