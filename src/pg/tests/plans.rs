//! What a connection keeps, and what it does if that is gone.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use sqlx::{AssertSqlSafe, query_scalar};

use super::databases::{connect, options, run, table};
use super::*;
use crate::pg::statement::Statements;
use crate::pg::task::{Line, Link};

async fn prepared(database: &str) -> Process {
    Process::connect(database, LEASE).await.prepared().await
}

fn takes(count: usize) -> Batch {
    let take = |n| Take { key: key(&format!("key {n}")), waits: true };
    Batch { take: (0..count).map(take).collect(), ..Batch::default() }
}

#[tokio::test]
async fn a_small_batch_is_executed_by_kept_plans_and_a_big_one_is_asked_as_text() {
    let database = database().await;
    let mut ada = prepared(&database).await;
    assert_eq!(ada.ask(&takes(3)).await.granted.len(), 3);

    // As in a session to which a pooler has sent it.
    run(&mut ada.connection, "deallocate all").await;
    assert_eq!(ada.ask(&takes(100)).await.granted.len(), 100);
    assert!(ada.plans.are_kept(), "they were not looked for");
    let tea = ada.take("tea").await.expect("it is free");
    assert!(!ada.plans.are_kept(), "they are gone");
    assert_eq!(ada.release(&tea).await.released, [tea]);
}

#[tokio::test]
async fn in_an_old_session_the_statements_of_another_process_ask_for_this_one() {
    let database = database().await;
    let mut ada = prepared(&database).await;
    // A pooler gives Ada's session to Bob.
    let bob = Process::connect(&database, LEASE).await;
    let mut bob = Process { connection: ada.connection, ..bob }.prepared().await;
    let tea = bob.take("tea").await.expect("it is free");
    assert!(bob.plans.are_kept());

    // And back: Ada does not have what Bob holds.
    ada.connection = bob.connection;
    ada.take("tea").await.expect_err("Bob holds it");
    assert_eq!(ada.release(&tea).await, Answers::default());
}

#[tokio::test]
async fn no_role_ends_a_session_because_nothing_is_asked() {
    let mut connection = connect(&database().await).await;
    let limit =
        "select set_config(name, '3600000', false) from pg_settings where name = 'idle_session_timeout'";
    run(&mut connection, limit).await;
    let ada = Process::connect(&database().await, LEASE).await;
    let mut ada = Process { connection, ..ada }.prepared().await;
    let limit = "select count(*) from pg_settings where name = 'idle_session_timeout' and setting <> '0'";
    let limits: i64 = query_scalar(limit).fetch_one(&mut ada.connection).await.expect("a number");
    assert_eq!(limits, 0);
}

#[tokio::test]
async fn a_plan_that_was_made_for_an_empty_table_is_not_kept_for_long() {
    let mut ada = prepared(&database().await).await;
    let tea = ada.take("tea").await.expect("it is free");
    assert!(!ada.plans.message(&ada.statements, &takes(1)).contains("discard"), "the plans are new");
    let rows =
        "select convert_to('key ' || n, 'UTF8'), 1, null, 'infinity' from generate_series(1, 20000) keys (n)";
    run(&mut ada.connection, &format!("insert into {} {rows}", table())).await;

    ada.plans.grow_old();
    assert_eq!(ada.release(&tea).await.released, [tea]);
    assert!(!ada.plans.message(&ada.statements, &takes(1)).contains("discard"), "the plans are new again");
    let name = "select name from pg_prepared_statements where name like 'latchwork%look'";
    let name: String = query_scalar(name).fetch_one(&mut ada.connection).await.expect("it is prepared");
    let plan = format!(
        "set plan_cache_mode = force_generic_plan; \
         explain (costs off) execute {name} (array[0], array['tea'::bytea], array[0], 1, 1)"
    );
    let plan =
        sqlx::raw_sql(AssertSqlSafe(plan)).fetch_all(&mut ada.connection).await.expect("it is planned");
    let plan: Vec<&str> = plan.iter().map(|row| sqlx::Row::get(row, 0)).collect();
    assert!(plan.iter().any(|line| line.contains("Index Cond")), "{plan:#?}");
}

#[tokio::test]
async fn after_a_sign_of_a_shared_session_the_next_connection_neither_prepares_nor_listens() {
    let line = Arc::new(Line {
        pool: sqlx::Pool::connect_lazy_with(options(&database().await)),
        statements: Statements::new(table(), 7, LEASE),
        notify: true,
        limit: LEASE,
        name: "leases",
        is_alone: AtomicBool::new(false),
    });
    let mut link = line.connect_first().await.expect("the server answers").expect("its session is its own");
    assert_eq!(kept(&mut link).await, (6, 1));
    assert_eq!(link.ask(&takes(1)).await.expect("the server answers").granted.len(), 1);
    assert_eq!(
        kept(&mut line.connect().await.expect("the server answers")).await,
        (6, 1),
        "there is no sign yet"
    );

    // As in a session to which a pooler has sent it.
    sqlx::raw_sql("deallocate all").execute(link.listener()).await.expect("the server answers");
    let answers = link.ask(&takes(2)).await.expect("it is asked as text");
    assert_eq!(answers.granted.len(), 2);
    assert_eq!(kept(&mut line.connect().await.expect("the server answers")).await, (0, 0));
}

/// How many statements a session has prepared, and on how many channels it listens.
async fn kept(link: &mut Link) -> (i64, i64) {
    let sql = "select (select count(*) from pg_prepared_statements where name like 'latchwork%'), \
               (select count(*) from pg_listening_channels())";
    let row = sqlx::raw_sql(sql).fetch_one(link.listener()).await.expect("the server answers");
    (sqlx::Row::get(&row, 0), sqlx::Row::get(&row, 1))
}
