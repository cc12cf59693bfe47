//! Whole transactions: what commits, what is rolled back, and what is made again.

use latchwork::RetryPolicy;
use latchwork::retry::{ByFunction, RetryError};
use latchwork::sql::{Ending, Scope, transaction_verdict};
use sqlx::{Error, query, query_scalar};
use tokio::task::JoinSet;

use super::{LOCKING_READ, assert_whole, number, numbers, sql};

const ADD: &str = "update numbers set n = n + 1 where id = 1";

static POLICY: RetryPolicy<ByFunction<Error>> =
    RetryPolicy::classified_by(transaction_verdict).max_attempts(1000);

#[tokio::test]
async fn what_returns_ok_is_committed_and_what_returns_an_error_is_rolled_back() {
    let pool = numbers(1).await;
    let scope = Scope::new(pool.clone());
    let done = scope.run(&POLICY, async |mut tx| query(ADD).execute(&mut *tx).await.map(drop));
    done.await.expect("it commits");
    let refused: Result<(), RetryError<Error>> = scope
        .run(&POLICY, async |mut tx| {
            query(ADD).execute(&mut *tx).await?;
            Err(Error::RowNotFound)
        })
        .await;
    assert!(matches!(refused.expect_err("it says so").error, Error::RowNotFound));
    assert_eq!(number(&pool).await, 1);
    let counts = scope.stats().counts();
    assert_eq!((counts.ended(Ending::Committed), counts.ended(Ending::Failed), counts.open()), (1, 1, 0));
    assert_whole(&pool).await;
}

#[tokio::test]
async fn a_closure_may_end_its_transaction_itself() {
    let pool = numbers(1).await;
    let scope = Scope::new(pool.clone());
    let by_itself = scope.run(&POLICY, async |mut tx| {
        query(ADD).execute(&mut *tx).await?;
        tx.commit().await?;
        Ok(())
    });
    by_itself.await.expect("it commits");
    let back = scope.run(&POLICY, async |mut tx| {
        query(ADD).execute(&mut *tx).await?;
        tx.rollback().await
    });
    back.await.expect("it rolls back, and that is no error");
    assert_eq!(number(&pool).await, 1);
    let counts = scope.stats().counts();
    assert_eq!((counts.ended(Ending::Committed), counts.ended(Ending::RolledBack)), (1, 1));
}

#[tokio::test]
async fn a_transaction_that_its_closure_has_committed_is_never_made_again() {
    let pool = numbers(1).await;
    let scope = Scope::new(pool.clone());
    let call = scope.run(&POLICY, async |mut tx| {
        query(ADD).execute(&mut *tx).await?;
        tx.commit().await?;
        Err::<(), _>(Error::Io(std::io::ErrorKind::ConnectionReset.into()))
    });
    let error = call.await.expect_err("its error is returned");
    assert_eq!((error.attempts, number(&pool).await), (1, 1));
}

#[tokio::test]
#[should_panic(expected = "the closure has kept its transaction")]
async fn a_closure_that_keeps_its_transaction_is_found_out() {
    let scope = Scope::new(numbers(1).await);
    let mut kept = None;
    let _ = scope
        .run(&POLICY, |tx| {
            kept = Some(tx);
            async { Ok::<_, Error>(()) }
        })
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_connections_serve_two_hundred_waiters() {
    let pool = numbers(2).await;
    let scope = Scope::new(pool.clone()).immediate(true);
    let mut tasks = JoinSet::new();
    for _ in 0..200 {
        let scope = scope.clone();
        tasks.spawn(async move {
            let add = scope.run(&POLICY, async |mut tx| {
                // Read, compute, write: a lost update would show in the sum.
                let n: i64 = query_scalar(LOCKING_READ).fetch_one(&mut *tx).await?;
                let sql = sql("update numbers set n = $1 where id = 1");
                query(sql).bind(n + 1).execute(&mut *tx).await.map(drop)
            });
            add.await.expect("it commits");
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.expect("it does not panic");
    }
    assert_eq!(number(&pool).await, 200);
    assert_whole(&pool).await;
}
