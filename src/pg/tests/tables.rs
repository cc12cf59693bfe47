//! How the table is created and purged.

use futures::future::join_all;
use sqlx::{AssertSqlSafe, PgConnection, query_scalar};

use super::databases::{connect, empty_database, run, table};
use super::*;

async fn keys(connection: &mut PgConnection) -> Vec<String> {
    let sql = format!("select convert_from(key, 'UTF8') from {} order by key", table());
    query_scalar(AssertSqlSafe(sql)).fetch_all(connection).await.expect("the table is there")
}

#[tokio::test]
async fn many_processes_create_the_table_at_once() {
    let database = empty_database().await;
    let mut connections = join_all((0..8).map(|_| connect(&database))).await;
    for _ in 0..10 {
        let created = connections.iter_mut().map(async |connection| table().create(connection).await);
        assert!(join_all(created).await.iter().all(Result::is_ok));
        // Its index goes with it.
        run(&mut connections[0], &format!("drop table {}", table())).await;
    }
}

#[tokio::test]
async fn the_migration_makes_the_same_table_and_can_be_repeated() {
    let database = empty_database().await;
    let mut connection = connect(&database).await;
    run(&mut connection, &table().migration()).await;
    run(&mut connection, &table().migration()).await;
    Process::connect(&database, LEASE).await.take("tea").await.expect("the key is free");
}

#[tokio::test]
async fn a_role_that_may_not_create_tables_finds_the_table() {
    let database = database().await;
    let mut connection = connect(&database).await;
    run(&mut connection, "revoke create on schema public from public").await;
    run(&mut connection, "create role clerk; set role clerk").await;
    table().create(&mut connection).await.expect("the table is there");
    run(&mut connection, "reset role; drop role clerk").await;
}

#[tokio::test]
async fn a_purge_deletes_rows_that_were_idle_for_longer() {
    let database = database().await;
    let mut ada = Process::connect(&database, LEASE).await;
    for name in ["held", "released", "lapsed", "verified", "ahead of the clock"] {
        let grant = ada.take(name).await.expect("the key is free");
        match name {
            "held" => {}
            "released" => drop(ada.release(&grant).await),
            _ => ada.expire(name).await,
        }
    }
    let mut connection = connect(&database).await;
    let ahead = format!(
        "update {} set fence = 4102444800000000 where key = convert_to('ahead of the clock', 'UTF8')",
        table()
    );
    run(&mut connection, &ahead).await;
    let mut open = connect(&database).await;
    let lock =
        format!("begin; select from {} where key = convert_to('verified', 'UTF8') for key share", table());
    run(&mut open, &lock).await;

    assert_eq!(
        table().purge(&mut connection, LEASE).await.expect("the database answers"),
        0,
        "none is old enough"
    );
    assert_eq!(table().purge(&mut connection, Duration::ZERO).await.expect("the database answers"), 2);
    assert_eq!(keys(&mut connection).await, ["ahead of the clock", "held", "verified"]);
}

#[tokio::test]
async fn a_purge_goes_on_over_many_portions() {
    let database = database().await;
    let mut connection = connect(&database).await;
    let rows = format!(
        "insert into {} select convert_to('key ' || n, 'UTF8'), n, null, 'epoch' from generate_series(1, 2500) n",
        table()
    );
    run(&mut connection, &rows).await;
    assert_eq!(table().purge(&mut connection, LEASE).await.expect("the database answers"), 2500);
    assert_eq!(keys(&mut connection).await, [""; 0]);
}

#[tokio::test]
async fn fences_rise_after_a_purge() {
    let database = database().await;
    let (mut ada, mut bob) =
        (Process::connect(&database, LEASE).await, Process::connect(&database, LEASE).await);
    let mut latest = 0;
    for _ in 0..3 {
        for process in [&mut ada, &mut bob] {
            let grant = process.take("tea").await.expect("the key is free");
            assert!(grant.fence > latest, "{} after {latest}", grant.fence);
            latest = grant.fence;
            process.release(&grant).await;
            let purged = table().purge(&mut process.connection, Duration::ZERO).await;
            assert_eq!(purged.expect("the database answers"), 1);
        }
    }
}
