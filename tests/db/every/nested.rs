//! Transactions of sqlx's inside a scope's. A savepoint that fails to begin, or is dropped while it does, ends the outer
//! transaction, and sqlx does not tell.

use std::mem;

use latchwork::sql::{CommitError, Ending, Scope};
use sqlx::{Connection, Executor, query};

use super::{assert_whole, number, numbers};
use crate::polls::up_to;

const ADD: &str = "update numbers set n = n + 1 where id = 1";

#[tokio::test]
async fn a_nested_transaction_that_is_dropped_takes_only_its_own_changes_along() {
    let pool = numbers(1).await;
    for (checks, stored) in [(true, 1), (false, 2)] {
        let scope = Scope::new(pool.clone()).check_commit(checks);
        let mut tx = scope.begin().await.expect("it opens");
        query(ADD).execute(&mut *tx).await.expect("it is done");
        let mut nested = tx.begin().await.expect("it is a savepoint");
        query(ADD).execute(&mut *nested).await.expect("it is done");
        drop(nested);
        tx.commit().await.expect("the outer transaction is as it was");
        assert_whole(&pool).await;
        assert_eq!(number(&pool).await, stored);
    }
}

#[tokio::test]
async fn a_nested_beginning_that_is_dropped_is_no_silent_loss() {
    let pool = numbers(1).await;
    let scope = Scope::new(pool.clone());
    for polls in 1.. {
        let before = number(&pool).await;
        let mut tx = scope.begin().await.expect("it opens");
        query(ADD).execute(&mut *tx).await.expect("it is done");
        let began = up_to(polls, tx.begin()).await.is_some();
        match tx.commit().await {
            Ok(()) => assert_eq!(number(&pool).await, before + 1, "after {polls} polls"),
            Err(error) => {
                assert!(matches!(error, CommitError::Unknown(_)), "{error:?}");
                assert_eq!(number(&pool).await, before, "after {polls} polls");
            }
        }
        assert_whole(&pool).await;
        if began {
            break;
        }
    }
    let counts = scope.stats().counts();
    assert_eq!(counts.ended(Ending::Committed) + counts.ended(Ending::CommitUnknown), counts.opened);
}

/// sqlx rolls back what did not begin, so the outer transaction.
#[tokio::test]
async fn a_nested_beginning_that_is_refused_is_no_silent_loss() {
    let pool = numbers(1).await;
    let mut tx = Scope::new(pool.clone()).begin().await.expect("it opens");
    query(ADD).execute(&mut *tx).await.expect("it is done");
    tx.begin_with("begin").await.expect_err("a savepoint begins in another way");
    let error = tx.commit().await.expect_err("there is no transaction");
    assert!(matches!(error, CommitError::Unknown(_)), "{error:?}");
    assert_whole(&pool).await;
    assert_eq!(number(&pool).await, 0);
}

#[tokio::test]
async fn a_nested_beginning_that_was_never_polled_changes_nothing() {
    let pool = numbers(1).await;
    for (checks, stored) in [(true, 1), (false, 2)] {
        let mut tx = Scope::new(pool.clone()).check_commit(checks).begin().await.expect("it opens");
        query(ADD).execute(&mut *tx).await.expect("it is done");
        drop(tx.begin());
        tx.commit().await.expect("the outer transaction is as it was");
        assert_whole(&pool).await;
        assert_eq!(number(&pool).await, stored);
    }
}

#[tokio::test]
async fn a_savepoint_by_text_is_committed_as_the_text_says() {
    let pool = numbers(1).await;
    for (checks, stored) in [(true, 2), (false, 4)] {
        let mut tx = Scope::new(pool.clone()).check_commit(checks).begin().await.expect("it opens");
        for sql in [ADD, "savepoint mine", ADD, "rollback to savepoint mine", ADD] {
            tx.execute(sql).await.expect("it is done");
        }
        tx.commit().await.expect("sqlx knows nothing of a savepoint");
        assert_whole(&pool).await;
        assert_eq!(number(&pool).await, stored);
    }
}

#[tokio::test]
async fn a_commit_stores_what_its_nested_transactions_and_savepoints_have_kept() {
    let pool = numbers(1).await;
    for (checks, stored) in [(true, 4), (false, 8)] {
        let mut tx = Scope::new(pool.clone()).check_commit(checks).begin().await.expect("it opens");
        tx.execute(ADD).await.expect("it is done");
        let mut kept = tx.begin().await.expect("it is a savepoint");
        kept.execute(ADD).await.expect("it is done");
        let mut inner = kept.begin().await.expect("it is a savepoint");
        inner.execute(ADD).await.expect("it is done");
        inner.commit().await.expect("it is open");
        let mut dropped = kept.begin().await.expect("it is a savepoint");
        dropped.execute(ADD).await.expect("it is done");
        drop(dropped);
        kept.commit().await.expect("it is open");
        let mut undone = tx.begin().await.expect("it is a savepoint");
        undone.execute(ADD).await.expect("it is done");
        undone.rollback().await.expect("it is open");
        for sql in ["savepoint mine", ADD] {
            tx.execute(sql).await.expect("it is done");
        }
        tx.commit().await.expect("a savepoint by text may be open");
        assert_whole(&pool).await;
        assert_eq!(number(&pool).await, stored);
    }
}

#[tokio::test]
#[allow(clippy::mem_forget, reason = "only so does one stay open")]
async fn a_commit_beside_a_nested_transaction_that_is_open_stores_nothing() {
    let pool = numbers(1).await;
    for checks in [true, false] {
        let scope = Scope::new(pool.clone()).check_commit(checks);
        let mut tx = scope.begin().await.expect("it opens");
        query(ADD).execute(&mut *tx).await.expect("it is done");
        mem::forget(tx.begin().await.expect("it is a savepoint"));
        let error = tx.commit().await.expect_err("the nested one is open");
        assert!(CommitError::is_unknown(&error), "{error:?}");
        assert_whole(&pool).await;
        assert_eq!(number(&pool).await, 0);
    }
}
