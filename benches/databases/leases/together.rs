//! Many tasks of one process: they share messages, and pass a key on.

use std::time::Instant;

use latchwork::pg::PgKeyedLock;
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

use super::in_turn;
use crate::harness::{Measure, Report, per_op};

const KEYS: u64 = 64;

pub(super) fn run(report: &mut Report, runtime: &Runtime, locks: &PgKeyedLock<u64>) {
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
