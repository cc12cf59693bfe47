//! Rows with versions, beside a model in memory.

use std::collections::HashMap;

use latchwork::Stamp;
use latchwork::sql::{RowConflict, RowError, Scope, VersionedTable, transaction_verdict};
use latchwork::versioned::Expect;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use sqlx::{Pool, query, query_scalar};
use tokio::runtime::Builder;
use tokio::task::JoinSet;

use super::{Db, pool};

const CARDS: VersionedTable<Db> = VersionedTable::new("cards", "id", "version");

async fn cards(connections: u32) -> Pool<Db> {
    let pool = pool(connections).await;
    let sql = "create table cards (id bigint primary key, version bigint not null, name text, views bigint default 0)";
    query(sql).execute(&pool).await.expect("it is new");
    pool
}

fn stamp(number: u64) -> Stamp {
    Stamp::new(number).expect("it is in range")
}

#[derive(Clone, Copy, Debug)]
enum Write {
    Update,
    Insert,
    Upsert,
    Delete,
}

fn expect() -> impl Strategy<Value = Expect> {
    let stamps = || vec(1..4_u64, 0..3).prop_map(|stamps| stamps.into_iter().map(stamp).collect());
    prop_oneof![
        Just(Expect::Any),
        Just(Expect::Absent),
        Just(Expect::Present),
        (1..4_u64).prop_map(|number| Expect::Exact(stamp(number))),
        stamps().prop_map(Expect::OneOf),
        stamps().prop_map(Expect::NoneOf),
    ]
}

fn write() -> impl Strategy<Value = (Write, i64, Expect, String)> {
    let write =
        prop_oneof![Just(Write::Update), Just(Write::Insert), Just(Write::Upsert), Just(Write::Delete)];
    (write, 1..3_i64, expect(), "[a-z]{1,3}")
}

/// What a write does to the model: the new version, and whether the row is new.
fn model(
    rows: &mut HashMap<i64, (Stamp, String)>,
    (write, id, expect, name): &(Write, i64, Expect, String),
) -> Result<(Option<Stamp>, bool), RowConflict> {
    let current = rows.get(id).map(|(stamp, _)| *stamp);
    let expected = if let Write::Insert = write { Expect::Absent } else { expect.clone() };
    let admits = expected.admits(current) && !(matches!(write, Write::Update) && current.is_none());
    if !admits {
        return Err(RowConflict { expected, current });
    }
    if let Write::Delete = write {
        rows.remove(id);
        return Ok((current, false));
    }
    let next = current.map_or(Stamp::MIN, |current| stamp(current.get() + 1));
    rows.insert(*id, (next, name.clone()));
    Ok((Some(next), current.is_none()))
}

#[test]
fn every_write_does_what_its_expectation_says() {
    let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime starts");
    let pool = runtime.block_on(cards(1));
    let mut runner = TestRunner::new(Config { cases: 60, failure_persistence: None, ..Config::default() });
    let outcome = runner.run(&vec(write(), 1..12), |program| {
        runtime.block_on(async {
            query("delete from cards").execute(&pool).await.expect("it can be emptied");
            let mut rows = HashMap::new();
            for step in &program {
                let (write, id, expect, name) = step.clone();
                let mut db = pool.acquire().await.expect("there is one");
                let row = CARDS.row(id).set("name", name.clone());
                let done = match write {
                    Write::Update => row.update(expect, &mut db).await.map(|stamp| (Some(stamp), false)),
                    Write::Insert => row.insert(&mut db).await.map(|stamp| (Some(stamp), true)),
                    Write::Upsert => {
                        row.upsert(expect, &mut db).await.map(|put| (Some(put.stamp), put.created))
                    }
                    Write::Delete => row.delete(expect, &mut db).await.map(|stamp| (stamp, false)),
                };
                let done = match done {
                    Ok(done) => Ok(done),
                    Err(RowError::Conflict(conflict)) => Err(conflict),
                    Err(error) => panic!("{error:?}"),
                };
                prop_assert_eq!(done, model(&mut rows, step), "{:?}", step);
                let stored = CARDS.row(id).stamp(&mut db).await.expect("it can be read");
                prop_assert_eq!(stored, rows.get(&id).map(|(stamp, _)| *stamp));
                let sql = "select name from cards where id = $1";
                let stored: Option<String> =
                    query_scalar(sql).bind(id).fetch_optional(&mut *db).await.expect("read");
                prop_assert_eq!(stored.as_ref(), rows.get(&id).map(|(_, name)| name));
            }
            Ok(())
        })
    });
    outcome.expect("rows do as the model");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_edit_is_lost_among_many_and_each_loser_learns_the_version_it_lost_to() {
    let pool = cards(4).await;
    let mut db = pool.acquire().await.expect("there are four");
    CARDS.row(1).insert(&mut db).await.expect("it is new");
    drop(db);
    let scope = Scope::new(pool.clone()).immediate(true);
    let mut tasks = JoinSet::new();
    for _ in 0..16 {
        let scope = scope.clone();
        tasks.spawn(async move {
            let (mut known, mut lost) = (Stamp::MIN, 0);
            let mut stored = 0;
            while stored < 10 {
                let mut tx = scope.begin().await.expect("it opens");
                match CARDS.row(1_i64).set_sql("views", "views + 1").update(known, &mut tx).await {
                    Ok(stamp) => {
                        tx.commit().await.expect("nothing stands against it");
                        (known, stored) = (stamp, stored + 1);
                    }
                    Err(RowError::Conflict(conflict)) => {
                        let current = conflict.current.expect("the row is never deleted");
                        assert!(current > known, "{conflict}");
                        (known, lost) = (current, lost + 1);
                    }
                    Err(RowError::Database(error)) => {
                        let verdict = transaction_verdict(&error);
                        assert_ne!(verdict, latchwork::verdict::Verdict::Stop, "{error:?}");
                    }
                    Err(error) => panic!("{error:?}"),
                }
            }
            lost
        });
    }
    let mut lost = 0;
    while let Some(task) = tasks.join_next().await {
        lost += task.expect("it does not panic");
    }
    assert!(lost > 0, "they never met");
    let (views, version): (i64, Stamp) = sqlx::query_as("select views, version from cards where id = 1")
        .fetch_one(&pool)
        .await
        .expect("it is there");
    assert_eq!((views, version), (160, stamp(161)));
}

#[tokio::test]
async fn a_value_that_cannot_be_encoded_is_an_error_and_writes_nothing() {
    let pool = cards(1).await;
    let mut db = pool.acquire().await.expect("there is one");
    let too_great = latchwork::Fence::new(u64::MAX).expect("it is above 0");
    let written = CARDS.row(1_i64).set("views", too_great).set("name", "Ada").insert(&mut db).await;
    assert!(matches!(written, Err(RowError::Database(sqlx::Error::Encode(_)))), "{written:?}");
    assert_eq!(CARDS.row(1_i64).stamp(&mut db).await.expect("it can be read"), None);
}
