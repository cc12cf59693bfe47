//! What the server counts for a lock: statements, and the time in which it plans and executes them.
//!
//! The extension `pg_stat_statements` counts. It does not see what the network, the parser and the commits take.

use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{Error, PgPool, query, query_as, query_scalar};

use super::database::Database;
use super::peers::{Kind, Peer};
use crate::harness::{Measure, Report, Round};

const TITLE: &str = "statements for a key of PostgreSQL, acquired and released";

pub(super) fn run(report: &mut Report, database: &Database<'_>) {
    if !report.wants(TITLE) {
        return;
    }
    let Database { runtime, url, pool, .. } = database;
    let was_there = runtime.block_on(has_extension(pool));
    match runtime.block_on(counted(url, pool)) {
        Ok(counted) => {
            let mut measure =
                Measure::new(TITLE).unit("statements").also("planning, µs").also("execution, µs");
            for kind in Kind::ALL {
                let mut peer = runtime.block_on(Peer::connect(kind, &counted));
                measure = measure.run(kind.name(), move |ops| {
                    runtime.block_on(async {
                        let before = totals(pool).await.expect("it was asked before");
                        peer.turns(7, ops).await;
                        let after = totals(pool).await.expect("it was asked before");
                        Round::from([0, 1, 2].map(|figure| (after[figure] - before[figure]) / ops as f64))
                    })
                });
            }
            report.add(measure);
        }
        Err(error) => eprintln!(
            "\nThe {TITLE}, are left out. To count them, add pg_stat_statements to shared_preload_libraries, restart the \
             server and connect as a superuser: {error}"
        ),
    }
    if !was_there {
        let drop_it = query("drop extension if exists pg_stat_statements");
        runtime.block_on(drop_it.execute(pool)).expect("it is ours");
    }
}

async fn has_extension(pool: &PgPool) -> bool {
    let sql = "select exists (select from pg_extension where extname = 'pg_stat_statements')";
    query_scalar(sql).fetch_one(pool).await.expect("the server answers")
}

/// Returns connections whose statements are counted, with the time in which they are planned.
async fn counted(url: &str, pool: &PgPool) -> Result<PgPool, Error> {
    query("create extension if not exists pg_stat_statements").execute(pool).await?;
    totals(pool).await?;
    let options: PgConnectOptions = url.parse()?;
    let options = options.options([("pg_stat_statements.track_planning", "on")]);
    PgPoolOptions::new().max_connections(4).connect_with(options).await
}

/// Returns what was counted by now: statements, and the microseconds of planning and of execution.
async fn totals(pool: &PgPool) -> Result<[f64; 3], Error> {
    let sql = "select coalesce(sum(calls), 0)::float8, coalesce(sum(total_plan_time), 0) * 1000, \
               coalesce(sum(total_exec_time), 0) * 1000 from pg_stat_statements \
               where userid = current_user::regrole and query not like '%pg_stat_statements%' \
               and dbid = (select oid from pg_database where datname = current_database())";
    let (statements, planning, execution) = query_as(sql).fetch_one(pool).await?;
    Ok([statements, planning, execution])
}
