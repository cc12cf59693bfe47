//! Rows with versions, beside a model in memory.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};

use latchwork::sql::{RowConflict, RowError, Scope, VersionedTable, transaction_verdict};
use latchwork::versioned::Expect;
use latchwork::{RetryPolicy, Stamp};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use sqlx::encode::IsNull;
use sqlx::error::BoxDynError;
use sqlx::{Connection, Database, Encode, Pool, Type, query, query_scalar};
use tokio::runtime::{Builder, Handle};
use tokio::task::{JoinSet, block_in_place};

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

#[tokio::test]
async fn all_versions_of_a_row_are_written_by_the_same_prepared_statements() {
    let pool = cards(1).await;
    let mut db = pool.acquire().await.expect("there is one");
    let mut stamp = CARDS.row(1_i64).insert(&mut db).await.expect("it is new");
    let mut kept = Vec::new();
    for round in 0..40 {
        stamp =
            CARDS.row(1_i64).set("views", round).update(stamp, &mut db).await.expect("nobody else writes");
        let put = CARDS.row(1_i64).upsert(stamp, &mut db).await.expect("nobody else writes");
        assert_eq!(put.stamp.get(), stamp.get() + 1);
        let deleted = CARDS.row(1_i64).delete(Stamp::MAX, &mut db).await;
        assert!(matches!(deleted, Err(RowError::Conflict(_))), "{deleted:?}");
        // Lists of any length, as a client sends them.
        let others: Box<[Stamp]> =
            (0..round as u64).map(|n| Stamp::new(1000 + n).expect("in range")).collect();
        let row = CARDS.row(1_i64).upsert(Expect::NoneOf(others.clone()), &mut db).await;
        stamp = row.expect("it has another version").stamp;
        let refused = CARDS.row(1_i64).update(Expect::OneOf(others), &mut db).await;
        assert!(matches!(refused, Err(RowError::Conflict(_))), "{refused:?}");
        kept.push(db.cached_statements_size());
    }
    // Lists have a text for no stamps, and one for each power of two: 1 to 64.
    assert!(kept[39] <= kept[0] + 2 * 7, "{kept:?}");
    assert_eq!(kept[33], kept[39], "{kept:?}");
}

#[tokio::test]
async fn a_row_without_a_valid_version_is_changed_and_not_reported_as_created() {
    let pool = cards(1).await;
    let mut db = pool.acquire().await.expect("there is one");
    for (id, version) in [(1_i64, 0_i64), (2, -7), (3, 1)] {
        let sql = "insert into cards (id, version) values ($1, $2)";
        query(sql).bind(id).bind(version).execute(&mut *db).await.expect("it is new");
        let put = CARDS.row(id).set("name", "Ada").upsert(Expect::Any, &mut db).await.expect("anything fits");
        assert_eq!((put.stamp.get(), put.created), (2, false), "{version}");
    }
    let put = CARDS.row(4_i64).upsert(Expect::Any, &mut db).await.expect("anything fits");
    assert_eq!((put.stamp, put.created), (Stamp::MIN, true));
}

#[tokio::test]
async fn an_update_returns_the_columns_that_it_is_asked_for() {
    let pool = cards(1).await;
    let mut db = pool.acquire().await.expect("there is one");
    let first = CARDS.row(1_i64).set("views", 7_i64).insert(&mut db).await.expect("it is new");
    let edit = || CARDS.row(1_i64).set("name", "Ada").set_sql("views", "views + 1");
    let changed: (i64, Stamp, String) =
        edit().update_returning("views, version, name", first, &mut db).await.expect("it fits");
    assert_eq!(changed, (8, stamp(2), "Ada".to_owned()));
    let stale = edit().update_returning::<(i64,)>("views", first, &mut db).await;
    let conflict = stale.expect_err("it has changed").into_conflict().expect("the database works");
    assert_eq!(conflict, RowConflict { expected: first.into(), current: Some(stamp(2)) });
}

/// The key 1. When it is encoded for the second time, another connection changes the row: between a write that was refused
/// and the look for the current version.
struct Meddling {
    pool: Pool<Db>,
    sql: &'static str,
    was_encoded: AtomicBool,
}

impl Type<Db> for Meddling {
    fn type_info() -> <Db as Database>::TypeInfo {
        <i64 as Type<Db>>::type_info()
    }
}

impl<'q> Encode<'q, Db> for Meddling {
    fn encode_by_ref(&self, out: &mut <Db as Database>::ArgumentBuffer) -> Result<IsNull, BoxDynError> {
        if self.was_encoded.swap(true, Ordering::Relaxed) {
            let change = query(self.sql).execute(&self.pool);
            block_in_place(|| Handle::current().block_on(change))?;
        }
        Encode::<Db>::encode_by_ref(&1_i64, out)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_whose_expectation_fits_after_its_refusal_is_sent_again() {
    let pool = cards(2).await;
    let mut db = pool.acquire().await.expect("there are two");
    let row = |sql| {
        let was_encoded = AtomicBool::new(false);
        CARDS.row(Meddling { pool: pool.clone(), sql, was_encoded }).set("name", "Ada")
    };
    let restored = "insert into cards (id, version) values (1, 7)";
    let updated = row(restored).update(stamp(7), &mut db).await.expect("the row is there by now");
    assert_eq!(updated, stamp(8));
    let deleted = "delete from cards where id = 1";
    assert_eq!(row(deleted).insert(&mut db).await.expect("the row is gone by now"), Stamp::MIN);
    let grown = "update cards set version = version + 1 where id = 1";
    let put = row(grown).upsert(Expect::NoneOf([Stamp::MIN].into()), &mut db).await.expect("it fits by now");
    assert_eq!((put.stamp, put.created), (stamp(3), false));
    assert_eq!(row(grown).delete(stamp(4), &mut db).await.expect("it fits by now"), Some(stamp(4)));
    // A change that does not fit is reported as what it is.
    let refused = row(restored).update(stamp(3), &mut db).await.expect_err("it has another version");
    let conflict = refused.into_conflict().expect("the database works");
    assert_eq!(conflict.current, Some(stamp(7)));
}

#[tokio::test]
async fn a_connection_lost_in_a_transaction_is_retried_with_the_verdict_for_transactions() {
    let pool = cards(1).await;
    let scope = Scope::new(pool.clone()).immediate(true);
    let policy = RetryPolicy::new().classify_with(RowError::transaction_verdict);
    let mut attempts = 0;
    let written = scope.run(&policy, |mut tx| {
        attempts += 1;
        let is_first = attempts == 1;
        async move {
            let stamp = CARDS.row(1_i64).insert(&mut tx).await?;
            if is_first {
                let cut = std::io::Error::from(std::io::ErrorKind::ConnectionReset);
                return Err(RowError::Database(cut.into()));
            }
            Ok(stamp)
        }
    });
    assert_eq!(written.await.expect("the second attempt is committed"), Stamp::MIN);
    assert_eq!((attempts, scope.stats().counts().repeated), (2, 1));
}
