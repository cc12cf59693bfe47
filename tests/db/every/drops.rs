//! Futures and transactions that are dropped at every point. An answer may come before a poll. So `postgres::held` drops
//! them while the answer is held back.

use std::thread;

use latchwork::sql::{Ending, Scope};
use sqlx::query;
use tokio::runtime::{Builder, Handle};

use super::{assert_whole, number, numbers};
use crate::polls::up_to;

const ADD: &str = "update numbers set n = n + 1 where id = 1";

#[tokio::test]
async fn a_beginning_dropped_after_any_number_of_polls_leaves_the_pool_whole() {
    let pool = numbers(1).await;
    let scope = Scope::new(pool.clone());
    let mut polls = 1;
    while up_to(polls, scope.begin()).await.is_none() {
        // The next user's change is stored.
        query(ADD).execute(&pool).await.expect("the connection works");
        assert_whole(&pool).await;
        assert_eq!(number(&pool).await, i64::from(polls));
        polls += 1;
    }
    let counts = scope.stats().counts();
    assert_eq!((counts.cancelled, counts.opened, counts.open()), (u64::from(polls) - 1, 1, 0));
}

#[tokio::test]
async fn a_statement_dropped_after_any_number_of_polls_stores_nothing() {
    let pool = numbers(1).await;
    let scope = Scope::new(pool.clone());
    for polls in 1.. {
        let mut tx = scope.begin().await.expect("it opens");
        let done = up_to(polls, query(ADD).execute(&mut *tx)).await.is_some();
        drop(tx);
        assert_whole(&pool).await;
        assert_eq!(number(&pool).await, 0);
        if done {
            break;
        }
    }
    let counts = scope.stats().counts();
    assert_eq!((counts.open(), counts.ended(Ending::Abandoned)), (0, counts.opened));
}

#[tokio::test]
async fn a_commit_dropped_after_any_number_of_polls_goes_on() {
    let pool = numbers(1).await;
    let scope = Scope::new(pool.clone());
    for polls in 1.. {
        let before = number(&pool).await;
        let mut tx = scope.begin().await.expect("it opens");
        query(ADD).execute(&mut *tx).await.expect("it is done");
        query(ADD).execute(&mut *tx).await.expect("it is done");
        let committed = up_to(polls, tx.commit()).await;
        assert_whole(&pool).await;
        assert_eq!(number(&pool).await - before, 2);
        if let Some(committed) = committed {
            committed.expect("it commits");
            break;
        }
    }
    let counts = scope.stats().counts();
    assert_eq!((counts.ended(Ending::Committed), counts.rolled_back(), counts.open()), (counts.opened, 0, 0));
}

#[tokio::test]
async fn a_commit_that_was_never_polled_is_rolled_back() {
    let pool = numbers(1).await;
    let scope = Scope::new(pool.clone());
    let mut tx = scope.begin().await.expect("it opens");
    query(ADD).execute(&mut *tx).await.expect("it is done");
    drop(tx.commit());
    assert_whole(&pool).await;
    assert_eq!((number(&pool).await, scope.stats().counts().ended(Ending::Abandoned)), (0, 1));
}

#[tokio::test]
async fn a_rollback_dropped_after_any_number_of_polls_stores_nothing() {
    let pool = numbers(1).await;
    let scope = Scope::new(pool.clone());
    for polls in 1.. {
        let mut tx = scope.begin().await.expect("it opens");
        query(ADD).execute(&mut *tx).await.expect("it is done");
        let done = up_to(polls, tx.rollback()).await;
        assert_whole(&pool).await;
        assert_eq!(number(&pool).await, 0);
        if done.is_some() {
            break;
        }
    }
    assert_eq!(scope.stats().counts().ended(Ending::RolledBack), scope.stats().counts().opened);
}

#[tokio::test]
async fn a_closure_dropped_after_any_number_of_polls_stores_all_or_nothing() {
    let pool = numbers(1).await;
    let scope = Scope::new(pool.clone());
    let policy = latchwork::RetryPolicy::new();
    for polls in 1.. {
        let before = number(&pool).await;
        let twice = scope.run(&policy, async |mut tx| {
            query(ADD).execute(&mut *tx).await?;
            query(ADD).execute(&mut *tx).await?;
            Ok::<_, sqlx::Error>(())
        });
        let done = up_to(polls, twice).await;
        assert_whole(&pool).await;
        let added = number(&pool).await - before;
        assert!(added == 0 || added == 2, "half a transaction is stored: {added}");
        if done.is_some() {
            assert_eq!(added, 2);
            break;
        }
    }
    assert_eq!(scope.stats().counts().open(), 0);
}

/// Off the runtime sqlx's own guards panic, and a panic in a drop while the stack unwinds ends the process.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_thread_without_a_runtime_may_drop_everything() {
    let pool = numbers(1).await;
    let scope = Scope::new(pool.clone());

    let mut tx = scope.begin().await.expect("it opens");
    query(ADD).execute(&mut *tx).await.expect("it is done");
    drop_elsewhere(tx);
    assert_whole(&pool).await;

    for polls in 1..3 {
        let mut begin = Box::pin(scope.begin());
        if up_to(polls, &mut begin).await.is_some() {
            break;
        }
        thread::scope(|s| {
            s.spawn(|| drop(begin)).join().expect("it does not panic");
        });
        assert_whole(&pool).await;
    }

    let off = Scope::new(pool.clone()).mode(latchwork::mode::Mode::Off);
    drop_elsewhere(off.begin().await.expect("it gives a connection out"));
    assert_whole(&pool).await;

    let tx = scope.begin().await.expect("it opens");
    let mut commit = Box::pin(tx.commit());
    let committed = up_to(1, &mut commit).await;
    drop_elsewhere(commit);
    drop(committed);
    assert_whole(&pool).await;
    assert_eq!(number(&pool).await, 0);
}

fn drop_elsewhere(value: impl Send + 'static) {
    thread::spawn(move || {
        assert!(Handle::try_current().is_err());
        drop(value);
    })
    .join()
    .expect("it does not panic");
}

#[test]
fn a_transaction_may_outlive_its_runtime() {
    let outside = Builder::new_current_thread().enable_all().build().expect("a runtime starts");
    let pool = outside.block_on(numbers(1));
    let inside =
        Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime starts");
    let scope = Scope::new(inside.block_on(pool_of_the_same(&pool)));
    let mut tx = inside.block_on(scope.begin()).expect("it opens");
    inside.block_on(query(ADD).execute(&mut *tx)).expect("it is done");
    drop(inside);
    drop(tx);
    assert_eq!(scope.stats().counts().ended(Ending::Abandoned), 1);
    outside.block_on(async {
        query(ADD).execute(&pool).await.expect("nobody holds the row");
        assert_eq!(number(&pool).await, 1);
        assert_whole(&pool).await;
    });
}

#[test]
fn a_transaction_of_a_runtime_that_nobody_drives_ends_where_it_is_dropped() {
    for commits in [false, true] {
        let driven =
            Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime starts");
        let idle = Builder::new_current_thread().enable_all().build().expect("a runtime starts");
        let pool = driven.block_on(numbers(1));
        let scope = Scope::new(pool.clone());
        let tx = idle.block_on(async {
            let mut tx = scope.begin().await.expect("it opens");
            query(ADD).execute(&mut *tx).await.expect("it is done");
            tx
        });
        driven.block_on(async {
            if commits {
                drop(up_to(1, tx.commit()).await);
            } else {
                drop(tx);
            }
            assert_whole(&pool).await;
            assert_eq!(number(&pool).await, i64::from(commits));
        });
    }
}

/// Returns another pool of the same database, on the current runtime.
async fn pool_of_the_same(pool: &sqlx::Pool<super::Db>) -> sqlx::Pool<super::Db> {
    pool.options()
        .clone()
        .connect_with((*pool.connect_options()).clone())
        .await
        .expect("the database answers")
}

#[tokio::test]
async fn a_panic_rolls_back() {
    let pool = numbers(1).await;
    let scope = Scope::new(pool.clone());
    let task = tokio::spawn({
        let scope = scope.clone();
        async move {
            let mut tx = scope.begin().await.expect("it opens");
            query(ADD).execute(&mut *tx).await.expect("it is done");
            panic!("on purpose");
        }
    });
    assert!(task.await.expect_err("it panics").is_panic());
    assert_whole(&pool).await;
    assert_eq!(number(&pool).await, 0);
    assert_eq!(scope.stats().counts().ended(Ending::Panicked), 1);
}
