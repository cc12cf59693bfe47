//! The check of a guard inside a transaction.

use std::time::Instant;

use latchwork::sql::Scope;

use super::database::Database;
use crate::harness::{Measure, Report, per_op};

pub(super) fn run(report: &mut Report, database: &Database<'_>) {
    let Database { runtime, pool, locks, .. } = database;
    let held = runtime.block_on(locks.lock_owned(8).into_future()).expect("the server answers");
    let scope = Scope::new(pool.clone());
    let verified = |ops: u64| {
        runtime.block_on(async {
            let mut tx = scope.begin().await.expect("there are four");
            let start = Instant::now();
            for _ in 0..ops {
                held.verify(&mut tx).await.expect("it is held");
            }
            per_op(start.elapsed(), ops)
        })
    };
    let selected = |ops: u64| {
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
