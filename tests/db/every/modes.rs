//! Scopes that are switched off, observe, and enforce.

use latchwork::RetryPolicy;
use latchwork::mode::{Mode, ModeSwitch};
use latchwork::retry::StopReason;
use latchwork::sql::{Ending, Scope, transaction_verdict};
use sqlx::{Error, query};

use super::{assert_whole, number, numbers};

const ADD: &str = "update numbers set n = n + 1 where id = 1";

fn cut() -> Error {
    Error::Io(std::io::Error::from(std::io::ErrorKind::ConnectionReset))
}

#[tokio::test]
async fn off_each_statement_commits_by_itself_as_before() {
    let pool = numbers(1).await;
    let scope = Scope::new(pool.clone()).mode(Mode::Off);
    let mut tx = scope.begin().await.expect("a connection is free");
    query(ADD).execute(&mut *tx).await.expect("it is done");
    drop(tx);
    let mut tx = scope.begin().await.expect("a connection is free");
    query(ADD).execute(&mut *tx).await.expect("it is done");
    tx.rollback().await.expect("there is nothing to do");
    assert_eq!(number(&pool).await, 2);
    let counts = scope.stats().counts();
    assert_eq!((counts.off, counts.opened, counts.would_end(Ending::Abandoned)), (2, 0, 0));
    assert_whole(&pool).await;
}

#[tokio::test]
async fn observed_calls_run_once_and_are_counted_as_what_they_would_have_been() {
    let pool = numbers(1).await;
    let scope = Scope::new(pool.clone()).mode(Mode::Observe);
    let policy = RetryPolicy::new().classify_with(transaction_verdict);
    let lost = scope.run(&policy, async |mut tx| {
        query(ADD).execute(&mut *tx).await?;
        Err::<(), _>(cut())
    });
    let error = lost.await.expect_err("its error is returned");
    assert_eq!((error.attempts, error.reason), (1, StopReason::NotRetryable));
    let hopeless = scope.run(&policy, async |_| Err::<(), _>(Error::RowNotFound));
    hopeless.await.expect_err("its error is returned");
    let done = scope.run(&policy, async |mut tx| query(ADD).execute(&mut *tx).await.map(drop));
    done.await.expect("it is done");
    drop(scope.begin().await.expect("a connection is free"));
    assert_eq!(number(&pool).await, 2, "what failed stays, as before");
    let counts = scope.stats().counts();
    let would = [Ending::Failed, Ending::Committed, Ending::Abandoned].map(|ending| counts.would_end(ending));
    assert_eq!((would, counts.would_repeat), ([2, 1, 1], 1));
    assert_eq!((counts.opened, counts.open(), counts.ended(Ending::Failed)), (0, 0, 0));
    assert_whole(&pool).await;
}

#[tokio::test]
async fn a_transaction_keeps_the_mode_in_which_it_began() {
    let pool = numbers(2).await;
    let mode = ModeSwitch::new(Mode::Enforce);
    let scope = Scope::new(pool.clone()).mode(&mode);
    let mut enforced = scope.begin().await.expect("it opens");
    query(ADD).execute(&mut *enforced).await.expect("it is done");
    mode.set(Mode::Off);
    drop(enforced);
    let mut off = scope.begin().await.expect("a connection is free");
    query(ADD).execute(&mut *off).await.expect("nobody holds the row");
    mode.set(Mode::Enforce);
    drop(off);
    assert_eq!(number(&pool).await, 1);
    let counts = scope.stats().counts();
    assert_eq!((counts.ended(Ending::Abandoned), counts.off, counts.open()), (1, 1, 0));
}
