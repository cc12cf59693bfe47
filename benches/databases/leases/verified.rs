//! The check of a guard, in a transaction of its own.

use std::time::Instant;

use latchwork::sql::Scope;

use super::database::Database;
use crate::harness::{Measure, Report, per_op};

pub(super) fn run(report: &mut Report, database: &Database<'_>) {
    let Database { runtime, pool, locks, .. } = database;
    let held = runtime.block_on(locks.lock_owned(8).into_future()).expect("the server answers");
    let scope = Scope::new(pool.clone()).check_commit(false);
    // The first check in a transaction locks the row of the key. So each transaction makes one.
    let verified = |ops: u64| {
        runtime.block_on(async {
            let start = Instant::now();
            for _ in 0..ops {
                let mut tx = scope.begin().await.expect("a connection is free");
                held.verify(&mut tx).await.expect("it is held");
                tx.commit().await.expect("nothing stands against it");
            }
            per_op(start.elapsed(), ops)
        })
    };
    let selected = |ops: u64| {
        runtime.block_on(async {
            let start = Instant::now();
            for _ in 0..ops {
                let mut tx = scope.begin().await.expect("a connection is free");
                sqlx::raw_sql("select 1").execute(&mut *tx).await.expect("it is a number");
                tx.commit().await.expect("nothing stands against it");
            }
            per_op(start.elapsed(), ops)
        })
    };
    let measure = Measure::new("a transaction with a check of its lease").run("latchwork", verified);
    report.add(measure.run("select 1, as text", selected));
}
