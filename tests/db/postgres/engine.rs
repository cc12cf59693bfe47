//! What PostgreSQL does: settings, conflicts, locks, and the codes of its errors.

use std::mem;
use std::time::Duration;

use latchwork::RetryPolicy;
use latchwork::sql::{
    CommitError, Ending, Isolation, Scope, Tx, statement_verdict, transaction_verdict, violated_constraint,
};
use latchwork::verdict::{Classify, RetryKind, Verdict};
use sqlx::{AssertSqlSafe, Error, Executor, Pool, query, query_scalar};
use tokio::sync::Barrier;
use tokio::task::JoinSet;

use super::{Db, idle_in_transaction, pool};

async fn setting(tx: impl Executor<'_, Database = Db>, name: &'static str) -> String {
    query_scalar(AssertSqlSafe(format!("show {name}"))).fetch_one(tx).await.expect("it is a setting")
}

#[tokio::test]
async fn settings_hold_for_one_transaction_and_leak_into_no_other() {
    let pool = pool(1).await;
    let ms = Duration::from_millis;
    let scope = Scope::new(pool.clone())
        .isolation(Isolation::Serializable)
        .read_only(true)
        .statement_timeout(ms(61_000))
        .lock_timeout(ms(62_000))
        .idle_timeout(ms(63_000));
    let expected = [
        ("transaction_isolation", "serializable", "read committed"),
        ("transaction_read_only", "on", "off"),
        ("statement_timeout", "61s", "0"),
        ("lock_timeout", "62s", "0"),
        ("idle_in_transaction_session_timeout", "63s", "0"),
    ];
    for ends_with_commit in [true, false] {
        let mut tx = scope.begin().await.expect("it opens");
        for (name, inside, _) in expected {
            assert_eq!(setting(&mut *tx, name).await, inside, "{name}");
        }
        if ends_with_commit {
            tx.commit().await.expect("nothing stands against it");
        } else {
            drop(tx);
        }
        for (name, _, outside) in expected {
            assert_eq!(setting(&pool, name).await, outside, "{name}");
        }
    }
}

/// The server answers COMMIT with ROLLBACK then, and sqlx reports success.
#[tokio::test]
async fn a_failure_that_was_ignored_is_refused_at_the_commit() {
    let pool = pool(1).await;
    query("create table notes (text text)").execute(&pool).await.expect("it is new");
    for checks in [true, false] {
        let scope = Scope::new(pool.clone()).check_commit(checks);
        let mut tx = scope.begin().await.expect("it opens");
        query("insert into notes values ('kept?')").execute(&mut *tx).await.expect("it is done");
        query("select 1 / 0").execute(&mut *tx).await.expect_err("zero");
        let ended = tx.commit().await;
        if checks {
            let error = ended.expect_err("the transaction has failed");
            assert!(matches!(error, CommitError::Refused(_)), "{error:?}");
            assert_eq!(error.classify(), Verdict::Stop);
            assert_eq!(scope.stats().counts().ended(Ending::CommitRefused), 1);
        } else {
            ended.expect("sqlx does not notice");
        }
        let notes: i64 = query_scalar("select count(*) from notes").fetch_one(&pool).await.expect("a number");
        assert_eq!(notes, 0);
    }
}

#[tokio::test]
async fn a_commit_without_a_transaction_is_no_refusal() {
    let pool = pool(1).await;
    query("create table notes (text text)").execute(&pool).await.expect("it is new");
    let mut tx = Scope::new(pool.clone()).begin().await.expect("it opens");
    query("insert into notes values ('kept')").execute(&mut *tx).await.expect("it is done");
    sqlx::raw_sql("commit").execute(&mut *tx).await.expect("nobody should, but it can be done");
    let error = tx.commit().await.expect_err("there is no transaction");
    assert!(CommitError::is_unknown(&error), "{error:?}");
    let notes: i64 = query_scalar("select count(*) from notes").fetch_one(&pool).await.expect("a number");
    assert_eq!(notes, 1);
}

/// Two doctors are on call. Each may leave if the other stays (M. Cahill et al., "Serializable isolation for snapshot
/// databases" (2008)).
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_skew_is_refused_and_made_again() {
    let pool = pool(4).await;
    query("create table doctors (id int primary key, on_call boolean)")
        .execute(&pool)
        .await
        .expect("it is new");
    let scope = Scope::new(pool.clone()).isolation(Isolation::Serializable);
    let policy = RetryPolicy::new().max_attempts(1000).classify_with(transaction_verdict);
    for round in 1..=5 {
        query("delete from doctors").execute(&pool).await.expect("it can be emptied");
        query("insert into doctors values (1, true), (2, true)").execute(&pool).await.expect("it is empty");
        let meet = Barrier::new(2);
        let leave = async |id: i32| {
            let mut is_first_attempt = true;
            let leave = scope.run(&policy, |mut tx| {
                let meets = mem::take(&mut is_first_attempt);
                let meet = &meet;
                async move {
                    let sql = "select count(*) from doctors where on_call";
                    let on_call: i64 = query_scalar(sql).fetch_one(&mut *tx).await?;
                    if meets {
                        meet.wait().await; // both have read
                    }
                    if on_call > 1 {
                        let sql = "update doctors set on_call = false where id = $1";
                        query(sql).bind(id).execute(&mut *tx).await?;
                    }
                    Ok::<_, Error>(())
                }
            });
            leave.await.expect("it is made again until it fits");
        };
        tokio::join!(leave(1), leave(2));
        let sql = "select count(*) from doctors where on_call";
        let left: i64 = query_scalar(sql).fetch_one(&pool).await.expect("it can be read");
        assert_eq!(left, 1, "nobody is on call in round {round}");
    }
    assert_eq!(scope.stats().counts().repeated, 5);
    assert_eq!(idle_in_transaction(&pool).await, 0);
}

async fn two_rows(connections: u32) -> Pool<Db> {
    let pool = pool(connections).await;
    query("create table numbers (id int primary key, n int)").execute(&pool).await.expect("it is new");
    query("insert into numbers values (1, 0), (2, 0)").execute(&pool).await.expect("it is new");
    pool
}

async fn add(tx: &mut Tx<Db>, id: i32) -> Result<(), Error> {
    query("update numbers set n = n + 1 where id = $1").bind(id).execute(&mut **tx).await.map(drop)
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
    let sum: i64 = query_scalar("select sum(n) from numbers").fetch_one(&pool).await.expect("it can be read");
    assert_eq!((sum, scope.stats().counts().repeated), (4, 1));
}

#[tokio::test]
async fn a_lock_by_key_excludes_until_the_transaction_ends() {
    let pool = pool(3).await;
    let scope = Scope::new(pool.clone()).lock_timeout(Duration::from_millis(1));
    let mut first = scope.begin().await.expect("it opens");
    first.lock("names", "ada").await.expect("it is free");
    let busy = async |space: &str, key: &str| {
        let mut tx = scope.begin().await.expect("it opens");
        match tx.lock(space, key).await {
            Ok(()) => false,
            Err(error) => {
                assert_eq!(transaction_verdict(&error), Verdict::Retry(RetryKind::LockTimeout), "{error:?}");
                true
            }
        }
    };
    assert!(busy("names", "ada").await);
    assert!(!busy("names", "grace").await);
    assert!(!busy("addresses", "ada").await);
    drop(first);
    // The rollback was sent, and the connection is asked whether it lives before it is lent again.
    let mut held = Vec::new();
    for _ in 0..3 {
        held.push(pool.acquire().await.expect("all connections are there"));
    }
    drop(held);
    assert!(!busy("names", "ada").await);
}

/// Returns what the server says to a statement of another session.
async fn refused(pool: &Pool<Db>, sql: &'static str) -> Error {
    query(sql).execute(pool).await.expect_err("it is refused")
}

#[tokio::test]
async fn errors_are_known_by_their_codes() {
    use RetryKind::{LockTimeout, UniqueViolation};

    let pool = two_rows(2).await;
    query("alter table numbers add constraint not_negative check (n >= 0)")
        .execute(&pool)
        .await
        .expect("it holds");
    let cases = [
        ("insert into numbers values (1, 7)", Verdict::Retry(UniqueViolation), Some("numbers_pkey")),
        ("update numbers set n = -1", Verdict::Stop, Some("not_negative")),
        ("select * from no_table", Verdict::Stop, None),
        ("set statement_timeout = 1; select pg_sleep(10)", Verdict::Stop, None),
    ];
    for (sql, verdict, constraint) in cases {
        let error = match sql.split_once("; ") {
            None => refused(&pool, sql).await,
            Some(_) => sqlx::raw_sql(sql).execute(&pool).await.expect_err("it is refused"),
        };
        assert_eq!(statement_verdict(&error), verdict, "{sql}");
        assert_eq!(violated_constraint(&error), constraint, "{sql}");
        query("set statement_timeout = 0").execute(&pool).await.expect("it is a setting");
    }
    let scope = Scope::new(pool.clone());
    let mut tx = scope.begin().await.expect("it opens");
    add(&mut tx, 1).await.expect("nobody holds the row");
    let error = refused(&pool, "select * from numbers where id = 1 for update nowait").await;
    assert_eq!(statement_verdict(&error), Verdict::Retry(LockTimeout));
}

#[tokio::test]
async fn texts_of_users_decide_nothing() {
    let pool = pool(1).await;
    let texts = [
        "(code: 517) hello",
        "1213 (P0001): hello",
        "SqliteError { code: 517, hello",
        "UNIQUE constraint failed: users.name",
    ];
    for text in texts {
        let sql = format!("do $$ begin raise exception '{text}'; end $$");
        let error = sqlx::raw_sql(AssertSqlSafe(sql)).execute(&pool).await.expect_err("it is raised");
        assert_eq!((statement_verdict(&error), violated_constraint(&error)), (Verdict::Stop, None), "{text}");
    }
}

/// As a service spawns its handlers: the futures are `Send`, and borrow what they need.
#[tokio::test]
async fn calls_can_be_spawned() {
    let pool = two_rows(2).await;
    let scope = Scope::new(pool.clone());
    let mut tasks = JoinSet::new();
    for id in [1, 2] {
        let scope = scope.clone();
        tasks.spawn(async move {
            let policy = RetryPolicy::new().classify_with(transaction_verdict);
            let name = String::from("a string that the closure borrows");
            let name = &name;
            scope
                .run(&policy, |mut tx| async move {
                    let sql = "update numbers set n = length($1) where id = $2";
                    query(sql).bind(name).bind(id).execute(&mut *tx).await.map(drop)
                })
                .await
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.expect("it does not panic").expect("it is stored");
    }
}
