//! The check of a guard inside a transaction.

use std::sync::Arc;
use std::time::Instant;

use latchwork::pg::PgKeyedLock;
use latchwork::sql::Scope;
use sqlx::PgPool;
use tokio::runtime::Runtime;

use crate::harness::{Measure, Report, per_op};

pub(super) fn run(report: &mut Report, runtime: &Runtime, pool: &PgPool, locks: &PgKeyedLock<u64>) {
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
