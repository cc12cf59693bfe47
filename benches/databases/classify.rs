//! What the classification of an error costs, in time and allocations.

use std::hint::black_box;

use latchwork::sql::transaction_verdict;
use sqlx::sqlite::SqlitePoolOptions;
use sqlx::{Error, query};
use tokio::runtime::Runtime;

use crate::counting::allocations;
use crate::harness::{Measure, Report, Round, Watch, per_op};

pub(crate) fn run(report: &mut Report, runtime: &Runtime) {
    // Its code must be read: a violated constraint is known by its kind alone.
    let error = runtime.block_on(async {
        let pool =
            SqlitePoolOptions::new().max_connections(1).connect("sqlite::memory:").await.expect("it opens");
        query("select * from no_table").execute(&pool).await.expect_err("there is none")
    });
    let error = &error;
    let measure = Measure::new("the verdict on an error of SQLite")
        .also("allocations")
        .bound_for("allocations", 0.0..=0.0)
        .run("latchwork", |ops| counted(ops, || transaction_verdict(black_box(error))))
        .run("its code as a string", |ops| counted(ops, || code_of(black_box(error))));
    report.add(measure);
}

/// The time of one call, and its allocations.
fn counted<R>(ops: u64, call: impl Fn() -> R) -> Round {
    let all = || (0..ops).for_each(|_| drop(black_box(call())));
    let watch = Watch::start();
    all();
    let time = watch.elapsed();
    Round::from([per_op(time, ops), allocations(ops, all)])
}

fn code_of(error: &Error) -> Option<String> {
    error.as_database_error().and_then(|error| error.code()).map(Into::into)
}
