//! A transaction that writes one row: in a scope, and in a transaction of sqlx.

use std::env;
use std::time::Instant;

use latchwork::sql::Scope;
use sqlx::postgres::PgPoolOptions;
use sqlx::sqlite::SqlitePoolOptions;
use sqlx::{Database, Executor, IntoArguments, Pool, query};
use tokio::runtime::Runtime;

use crate::harness::{Measure, Report, per_op};

const CREATE: &str = "create temporary table numbers (id integer primary key, n integer not null)";
const ADD: &str = "update numbers set n = n + 1 where id = 1";

pub(crate) fn run(report: &mut Report, runtime: &Runtime) {
    let pool = runtime.block_on(async {
        SqlitePoolOptions::new().max_connections(1).connect("sqlite::memory:").await.expect("it opens")
    });
    compare(report, runtime, "SQLite in memory", &pool);
    if let Ok(url) = env::var("DATABASE_URL") {
        let options = PgPoolOptions::new().max_connections(1);
        let pool = runtime.block_on(options.connect(&url)).expect("the server of DATABASE_URL answers");
        compare(report, runtime, "PostgreSQL", &pool);
    }
}

/// One connection, so that the table can be a temporary one.
fn compare<DB>(report: &mut Report, runtime: &Runtime, database: &str, pool: &Pool<DB>)
where
    DB: Database,
    DB::Arguments: IntoArguments<DB>,
    for<'c> &'c mut DB::Connection: Executor<'c, Database = DB>,
{
    runtime.block_on(async {
        let mut db = pool.acquire().await.expect("there is one");
        query(CREATE).execute(&mut *db).await.expect("it is new");
        query("insert into numbers values (1, 0)").execute(&mut *db).await.expect("it is empty");
    });
    let scoped = |checks: bool| {
        let scope = Scope::new(pool.clone()).check_commit(checks);
        move |ops: u64| {
            runtime.block_on(async {
                let start = Instant::now();
                for _ in 0..ops {
                    let mut tx = scope.begin().await.expect("a connection is free");
                    query(ADD).execute(&mut *tx).await.expect("the row is there");
                    tx.commit().await.expect("nothing stands against it");
                }
                per_op(start.elapsed(), ops)
            })
        }
    };
    let plain = move |ops: u64| {
        runtime.block_on(async {
            let start = Instant::now();
            for _ in 0..ops {
                let mut tx = pool.begin().await.expect("a connection is free");
                query(ADD).execute(&mut *tx).await.expect("the row is there");
                tx.commit().await.expect("nothing stands against it");
            }
            per_op(start.elapsed(), ops)
        })
    };
    let title = format!("a transaction that writes one row, {database}");
    let measure = Measure::new(format!("{title}, commits unchecked"));
    report.add(measure.run("latchwork", scoped(false)).run("sqlx", plain).goal(1.03));
    let measure = Measure::new(title);
    report.add(measure.run("latchwork", scoped(true)).run("sqlx", plain));
}
