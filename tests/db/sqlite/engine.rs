//! What SQLite does: its lock for writers, and the codes of its errors.

use latchwork::sql::{
    CommitError, RowError, Scope, Tx, VersionedTable, statement_verdict, violated_constraint,
};
use latchwork::verdict::{RetryKind, Verdict};
use sqlx::sqlite::SqlitePoolOptions;
use sqlx::{Connection, Error, Executor, Pool, query, query_scalar};

use super::{Db, pool};
use crate::polls::up_to;

async fn numbers() -> Pool<Db> {
    let pool = pool(3).await;
    let sql = "create table numbers (id integer primary key, n integer unique constraint not_negative check (n >= 0))";
    query(sql).execute(&pool).await.expect("it is new");
    query("insert into numbers values (1, 0)").execute(&pool).await.expect("it is new");
    pool
}

#[tokio::test]
async fn errors_are_known_by_their_codes() {
    let pool = numbers().await;
    let cases = [
        ("insert into numbers values (1, 7)", Verdict::Retry(RetryKind::UniqueViolation), Some("numbers.id")),
        ("insert into numbers values (2, 0)", Verdict::Retry(RetryKind::UniqueViolation), Some("numbers.n")),
        ("insert into numbers values (2, -1)", Verdict::Stop, Some("not_negative")),
        ("select * from no_table", Verdict::Stop, None),
    ];
    for (sql, verdict, constraint) in cases {
        let error = query(sql).execute(&pool).await.expect_err("it is refused");
        assert_eq!(statement_verdict(&error), verdict, "{sql}");
        assert_eq!(violated_constraint(&error), constraint, "{sql}");
    }
}

/// No wait helps a transaction whose snapshot is old: the code is another one than that of a lock.
#[tokio::test]
async fn a_snapshot_that_is_too_old_asks_for_a_new_transaction() {
    let pool = numbers().await;
    let scope = Scope::new(pool.clone());
    let mut late = scope.begin().await.expect("it opens");
    let _: i64 = query_scalar("select n from numbers").fetch_one(&mut *late).await.expect("it reads");
    query("update numbers set n = 7").execute(&pool).await.expect("readers do not stop a writer");
    let error = query("update numbers set n = 8").execute(&mut *late).await.expect_err("it is too late");
    assert_eq!(statement_verdict(&error), Verdict::Retry(RetryKind::Serialization), "{error:?}");
}

#[tokio::test]
async fn a_second_writer_is_refused_when_it_may_not_wait() {
    let pool = numbers().await;
    let scope = Scope::new(pool.clone()).immediate(true);
    let mut writer = scope.begin().await.expect("it opens");
    writer.lock("numbers", "7").await.expect("an immediate transaction excludes all other writers");
    let mut other = pool.acquire().await.expect("there are three");
    query("pragma busy_timeout = 0").execute(&mut *other).await.expect("it is a setting");
    let error = query("begin immediate").execute(&mut *other).await.expect_err("the writer has the lock");
    assert_eq!(statement_verdict(&error), Verdict::Retry(RetryKind::LockTimeout), "{error:?}");
}

#[tokio::test]
async fn a_lock_by_key_needs_an_immediate_transaction() {
    let scope = Scope::new(numbers().await);
    let mut tx = scope.begin().await.expect("it opens");
    let error = tx.lock("numbers", "7").await.expect_err("others may write meanwhile");
    assert!(matches!(error, Error::InvalidArgument(_)), "{error:?}");
}

/// A statement outside a transaction is committed when its rows have been read.
#[tokio::test]
async fn a_row_whose_commit_fails_is_not_reported_as_written() {
    let pool = pool(1).await;
    for sql in [
        "create table decks (id integer primary key)",
        "create table cards (id integer primary key, version integer, deck integer references decks deferrable initially deferred)",
    ] {
        query(sql).execute(&pool).await.expect("it is new");
    }
    let cards = VersionedTable::<Db>::new("cards", "id", "version");
    let mut db = pool.acquire().await.expect("there is one");
    let written = cards.row(1_i64).set("deck", 7_i64).insert(&mut db).await;
    assert!(matches!(written, Err(RowError::Database(_))), "{written:?}");
    assert_eq!(cards.row(1_i64).stamp(&mut db).await.expect("it can be read"), None);
}

/// Returns a pool of one connection to a table in memory: if the connection were closed, the table would be gone.
async fn in_memory() -> Pool<Db> {
    let pool =
        SqlitePoolOptions::new().max_connections(1).connect("sqlite::memory:").await.expect("it opens");
    query("create table numbers (id integer primary key)").execute(&pool).await.expect("it is new");
    query("insert into numbers values (1)").execute(&pool).await.expect("it is new");
    pool
}

async fn ids(pool: &Pool<Db>) -> Vec<i64> {
    query_scalar("select id from numbers").fetch_all(pool).await.expect("they are there")
}

/// SQLite ends a transaction by itself when the disk is full, and where a statement says so. sqlx does not notice.
#[tokio::test]
async fn a_transaction_that_sqlite_has_rolled_back_leaves_its_connection_whole() {
    let pool = in_memory().await;
    let scope = Scope::new(pool.clone());
    let again = "insert or rollback into numbers values (1)";

    let mut tx = scope.begin().await.expect("it opens");
    query("insert into numbers values (2)").execute(&mut *tx).await.expect("it is done");
    query(again).execute(&mut *tx).await.expect_err("it is there");
    drop(tx);
    let mut tx = scope.begin().await.expect("a drop has ended it");
    query(again).execute(&mut *tx).await.expect_err("it is there");
    tx.rollback().await.expect("it is rolled back");
    let mut tx = scope.begin().await.expect("a rollback has ended it");
    query(again).execute(&mut *tx).await.expect_err("it is there");
    query("insert into numbers values (3)").execute(&mut *tx).await.expect("it is stored by itself");
    let error = tx.commit().await.expect_err("there is no transaction");
    assert!(CommitError::is_unknown(&error), "{error:?}");

    scope.begin().await.expect("a commit has ended it").commit().await.expect("nothing stands against it");
    assert_eq!(ids(&pool).await, [1, 3]);
}

/// Returns a transaction that SQLite has rolled back, and sqlx still counts.
async fn ended_by_sqlite(pool: &Pool<Db>) -> Tx<Db> {
    let mut tx = Scope::new(pool.clone()).begin().await.expect("it opens");
    query("insert into numbers values (2)").execute(&mut *tx).await.expect("it is done");
    query("insert or rollback into numbers values (1)").execute(&mut *tx).await.expect_err("it is there");
    tx
}

/// Outside a transaction a savepoint opens one, which COMMIT would end.
#[tokio::test]
async fn a_savepoint_does_not_stand_for_the_transaction_that_sqlite_has_rolled_back() {
    let pool = in_memory().await;
    // A nested transaction is stored if it is committed: it was the outermost one.
    for (commits, stored) in [(false, &[1][..]), (true, &[1, 3])] {
        let mut tx = ended_by_sqlite(&pool).await;
        let mut nested = tx.begin().await.expect("it is a savepoint");
        query("insert into numbers values (3)").execute(&mut *nested).await.expect("it is done");
        if commits {
            nested.commit().await.expect("it is open");
        } else {
            drop(nested);
        }
        let error = tx.commit().await.expect_err("the transaction has ended");
        assert!(matches!(error, CommitError::Unknown(_)), "{error:?}");
        assert_eq!(ids(&pool).await, stored);
    }
    let tx = Scope::new(pool.clone()).begin().await.expect("a commit has ended it");
    tx.commit().await.expect("nothing stands against it");
}

#[tokio::test]
async fn a_savepoint_by_text_does_not_stand_for_the_transaction_that_sqlite_has_rolled_back() {
    let pool = in_memory().await;
    for undoes in [false, true] {
        let mut tx = ended_by_sqlite(&pool).await;
        tx.execute("savepoint mine").await.expect("it opens a transaction");
        tx.execute("insert into numbers values (3)").await.expect("it is done");
        if undoes {
            tx.execute("rollback to savepoint mine").await.expect("it is there");
        }
        let error = tx.commit().await.expect_err("the transaction has ended");
        assert!(matches!(error, CommitError::Unknown(_)), "{error:?}");
        assert_eq!(ids(&pool).await, [1], "the commit rolls back what the savepoint has opened");
    }
    let tx = Scope::new(pool.clone()).begin().await.expect("a commit has ended it");
    tx.commit().await.expect("nothing stands against it");
}

/// BEGIN and the savepoint after it are one message. Each part of it is interrupted once.
#[tokio::test]
async fn a_beginning_that_is_interrupted_leaves_no_transaction_open() {
    let pool = in_memory().await;
    let mut interrupted = 0;
    loop {
        let mut connection = pool.acquire().await.expect("there is one");
        let mut operations = 0;
        connection.lock_handle().await.expect("it is idle").set_progress_handler(1, move || {
            operations += 1;
            operations != interrupted + 1
        });
        drop(connection);
        if let Ok(mut tx) = Scope::new(pool.clone()).begin().await {
            tx.lock_handle().await.expect("it is idle").remove_progress_handler();
            break;
        }
        let mut connection = pool.acquire().await.expect("it is back");
        connection.lock_handle().await.expect("it is idle").remove_progress_handler();
        query("begin").execute(&mut *connection).await.expect("no transaction is open");
        query("rollback").execute(&mut *connection).await.expect("it is open");
        interrupted += 1;
    }
    assert!(interrupted > 1, "only {interrupted} operations were interrupted");
    assert_eq!(ids(&pool).await, [1], "the connection was kept");
}

#[tokio::test]
async fn a_beginning_that_is_refused_costs_no_connection() {
    let pool = pool(2).await;
    let scope = Scope::new(pool.clone()).immediate(true);
    let mut first = pool.acquire().await.expect("there are two");
    let mut second = pool.acquire().await.expect("there are two");
    for connection in [&mut first, &mut second] {
        query("pragma busy_timeout = 0").execute(&mut **connection).await.expect("it is a setting");
    }
    query("begin immediate").execute(&mut *first).await.expect("nobody writes");
    drop(second);
    scope.begin().await.expect_err("another one writes");
    let mut second = pool.acquire().await.expect("it is back");
    let timeout: i64 = query_scalar("pragma busy_timeout").fetch_one(&mut *second).await.expect("a setting");
    assert_eq!(timeout, 0, "it is another connection");
}

/// It takes its time.
const SLOW: &str =
    "with recursive c(n) as (select 1 union all select n + 1 from c where n < 300000) select sum(n) from c";

/// The connection's thread is busy, so the rollback of the nested transaction waits for it.
#[tokio::test]
async fn a_commit_waits_for_the_rollback_of_a_nested_transaction() {
    let pool = numbers().await;
    for checks in [true, false] {
        query("update numbers set n = 0").execute(&pool).await.expect("it is done");
        let mut tx = Scope::new(pool.clone()).check_commit(checks).begin().await.expect("it opens");
        query("update numbers set n = 1").execute(&mut *tx).await.expect("it is done");
        let mut nested = tx.begin().await.expect("it is a savepoint");
        query("update numbers set n = 2").execute(&mut *nested).await.expect("it is done");
        assert!(up_to(1, query(SLOW).fetch_one(&mut *nested)).await.is_none(), "it takes its time");
        drop(nested);
        tx.commit().await.expect("the outer transaction is as it was");
        let n: i64 = query_scalar("select n from numbers").fetch_one(&pool).await.expect("it is there");
        assert_eq!(n, 1);
    }
}

/// The connection's thread is busy, so the depth is still that of the outer transaction when the commit begins.
#[tokio::test]
async fn a_commit_notices_a_nested_beginning_that_waits_for_the_thread() {
    let pool = numbers().await;
    let mut tx = Scope::new(pool.clone()).begin().await.expect("it opens");
    query("update numbers set n = 1").execute(&mut *tx).await.expect("it is done");
    assert!(up_to(1, query(SLOW).fetch_one(&mut *tx)).await.is_none(), "it takes its time");
    assert!(up_to(1, Connection::begin(&mut *tx)).await.is_none(), "it waits");
    let error = tx.commit().await.expect_err("sqlx rolls the outer transaction back");
    assert!(matches!(error, CommitError::Unknown(Error::Protocol(_))), "it names the reason: {error:?}");
    let n: i64 = query_scalar("select n from numbers").fetch_one(&pool).await.expect("it is there");
    assert_eq!(n, 0);
}
