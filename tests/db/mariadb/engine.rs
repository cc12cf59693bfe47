//! What MariaDB does: settings, conflicts, the codes of its errors, and what it has not.

use std::mem;

use latchwork::RetryPolicy;
use latchwork::sql::{
    CommitError, Isolation, RowError, Scope, Tx, VersionedTable, statement_verdict, transaction_verdict,
    violated_constraint,
};
use latchwork::verdict::{RetryKind, Verdict};
use latchwork::versioned::Expect;
use sqlx::{Error, Pool, query, query_scalar};
use tokio::sync::Barrier;

use super::{Db, pool};

async fn two_rows(connections: u32) -> Pool<Db> {
    let pool = pool(connections).await;
    query("create table numbers (id int primary key, n int, constraint not_negative check (n >= 0))")
        .execute(&pool)
        .await
        .expect("it is new");
    query("insert into numbers values (1, 0), (2, 0)").execute(&pool).await.expect("it is new");
    pool
}

/// Returns a pool of one connection, and another pool beside it.
async fn two_pools() -> (Pool<Db>, Pool<Db>) {
    let beside = two_rows(1).await;
    let options = (*beside.connect_options()).clone();
    (beside.options().clone().connect_with(options).await.expect("the server answers"), beside)
}

async fn add(tx: &mut Tx<Db>, id: i32) -> Result<(), Error> {
    query("update numbers set n = n + 1 where id = ?").bind(id).execute(&mut **tx).await.map(drop)
}

async fn read(tx: &mut Tx<Db>) -> i32 {
    query_scalar("select n from numbers where id = 1").fetch_one(&mut **tx).await.expect("it is there")
}

/// Without a wait for the transaction that may hold the row.
const ADD_AT_ONCE: &str =
    "set statement innodb_lock_wait_timeout = 0 for update numbers set n = n + 1 where id = 1";

/// Returns the level of a transaction, by what it does: the server's list of transactions is a little late.
async fn level(pool: &Pool<Db>, tx: &mut Tx<Db>) -> Isolation {
    let before = read(tx).await;
    // Strict reads are locks.
    if query(ADD_AT_ONCE).execute(pool).await.is_err() {
        return Isolation::Serializable;
    }
    if read(tx).await == before { Isolation::RepeatableRead } else { Isolation::ReadCommitted }
}

#[tokio::test]
async fn settings_hold_for_one_transaction_and_leak_into_no_other() {
    let (pool, beside) = two_pools().await;
    let plain = Scope::new(pool.clone());
    for isolation in [Isolation::ReadCommitted, Isolation::RepeatableRead, Isolation::Serializable] {
        for ends_with_commit in [true, false] {
            let scope = Scope::new(pool.clone()).isolation(isolation).read_only(true);
            let mut tx = scope.begin().await.expect("it opens");
            assert_eq!(level(&beside, &mut tx).await, isolation);
            let refused = add(&mut tx, 1).await.expect_err("it may only read");
            assert!(refused.to_string().contains("READ ONLY"), "{refused}");
            if ends_with_commit {
                tx.commit().await.expect("nothing stands against it");
            } else {
                drop(tx);
            }
            let mut tx = plain.begin().await.expect("it opens");
            assert_eq!(level(&beside, &mut tx).await, Isolation::RepeatableRead, "after {isolation:?}");
            add(&mut tx, 1).await.expect("it may write");
            tx.commit().await.expect("nothing stands against it");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deadlock_is_made_again() {
    let pool = two_rows(4).await;
    let scope = Scope::new(pool.clone());
    let policy = RetryPolicy::new().max_attempts(1000).classify_with(transaction_verdict);
    let meet = Barrier::new(2);
    let both = async |first: i32, second: i32| {
        let mut is_first_attempt = true;
        let both = scope.run(&policy, |mut tx| {
            let meets = mem::take(&mut is_first_attempt);
            let meet = &meet;
            async move {
                add(&mut tx, first).await?;
                if meets {
                    meet.wait().await; // each holds a row, and wants the other
                }
                add(&mut tx, second).await
            }
        });
        both.await.expect("one is ended by the server, and made again");
    };
    tokio::join!(both(1, 2), both(2, 1));
    let numbers: Vec<i32> =
        query_scalar("select n from numbers order by id").fetch_all(&pool).await.expect("they can be read");
    assert_eq!((numbers, scope.stats().counts().repeated), (vec![2, 2], 1));
}

#[tokio::test]
async fn errors_are_known_by_their_codes() {
    use RetryKind::{Deadlock, LockTimeout, UniqueViolation};

    let pool = two_rows(2).await;
    let cases = [
        ("insert into numbers values (1, 7)", Verdict::Retry(UniqueViolation), Some("PRIMARY")),
        ("update numbers set n = -1", Verdict::Stop, Some("not_negative")),
        ("select * from no_table", Verdict::Stop, None),
        ("signal sqlstate '40001' set mysql_errno = 1213", Verdict::Retry(Deadlock), None),
        // Its text is the user's.
        ("signal sqlstate '45000' set message_text = '1213 (40001): number: 1213, '", Verdict::Stop, None),
    ];
    for (sql, verdict, constraint) in cases {
        let error = query(sql).execute(&pool).await.expect_err("it is refused");
        assert_eq!(statement_verdict(&error), verdict, "{sql}: {error:?}");
        assert_eq!(violated_constraint(&error), constraint, "{sql}");
    }
    let scope = Scope::new(pool.clone());
    let mut tx = scope.begin().await.expect("it opens");
    add(&mut tx, 1).await.expect("nobody holds the row");
    let error = query(ADD_AT_ONCE).execute(&pool).await.expect_err("another holds the row");
    assert_eq!(statement_verdict(&error), Verdict::Retry(LockTimeout), "{error:?}");
}

#[tokio::test]
async fn a_session_that_the_server_ends_is_worth_a_new_transaction() {
    let pool = two_rows(2).await;
    let scope = Scope::new(pool.clone());
    let mut tx = scope.begin().await.expect("it opens");
    let own: u64 = query_scalar("select connection_id()").fetch_one(&mut *tx).await.expect("it has one");
    query(sqlx::AssertSqlSafe(format!("kill {own}"))).execute(&pool).await.expect("it is alive");
    let error = add(&mut tx, 1).await.expect_err("its session was ended");
    assert_eq!(transaction_verdict(&error), Verdict::Retry(RetryKind::Transient), "{error:?}");
}

#[tokio::test]
async fn a_lock_by_key_and_rows_with_versions_are_refused() {
    let pool = two_rows(1).await;
    let scope = Scope::new(pool.clone()).immediate(true);
    let mut tx = scope.begin().await.expect("it opens");
    let error = tx.lock("numbers", "7").await.expect_err("it would hold beyond the transaction");
    assert!(matches!(error, Error::InvalidArgument(_)), "{error:?}");

    let numbers = VersionedTable::<Db>::new("numbers", "id", "n");
    let row = || numbers.row(1_i64);
    let refused = [
        row().update(Expect::Any, &mut tx).await.map(drop),
        row().insert(&mut tx).await.map(drop),
        row().upsert(Expect::Any, &mut tx).await.map(drop),
        row().delete(Expect::Any, &mut tx).await.map(drop),
        row().stamp(&mut tx).await.map(drop).map_err(RowError::Database),
    ];
    for refused in refused {
        assert!(matches!(refused, Err(RowError::Database(Error::InvalidArgument(_)))), "{refused:?}");
    }
    tx.commit().await.expect("the connection was sent nothing");
}

#[tokio::test]
async fn a_statement_that_takes_too_long_is_ended() {
    let pool = pool(1).await;
    let mut connection = pool.acquire().await.expect("there is one");
    let sql = "set statement max_statement_time = 0.001 for select sleep(60)";
    let error = query(sql).execute(&mut *connection).await.expect_err("it is ended");
    assert_eq!(latchwork::web::Problem::from(error).status(), 503);
}

/// The server ends a transaction by itself after a deadlock, and sqlx does not notice.
#[tokio::test]
async fn a_transaction_that_the_server_has_ended_is_no_silent_loss() {
    let pool = two_rows(1).await;
    for checks in [true, false] {
        let scope = Scope::new(pool.clone()).check_commit(checks);
        let mut tx = scope.begin().await.expect("it opens");
        add(&mut tx, 1).await.expect("it is done");
        // As a deadlock does, whose victim can't be chosen.
        sqlx::raw_sql("rollback").execute(&mut *tx).await.expect("it is open");
        add(&mut tx, 2).await.expect("it is stored by itself");
        let committed = tx.commit().await;
        if checks {
            let error = committed.expect_err("there is no transaction");
            assert!(CommitError::is_unknown(&error), "{error:?}");
        } else {
            committed.expect("sqlx does not notice");
        }
    }
    let all: Vec<i32> =
        query_scalar("select n from numbers order by id").fetch_all(&pool).await.expect("two");
    assert_eq!(all, [0, 2]);
    scope_works(&pool).await;
}

async fn scope_works(pool: &Pool<Db>) {
    let mut tx = Scope::new(pool.clone()).begin().await.expect("it opens");
    add(&mut tx, 1).await.expect("it is done");
    tx.commit().await.expect("nothing stands against it");
}
