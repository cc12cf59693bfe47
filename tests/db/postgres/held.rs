//! Transactions whose answers are held back, or lost.

use std::future::Future;

use latchwork::RetryPolicy;
use latchwork::retry::StopReason;
use latchwork::sql::{CommitError, Ending, Scope, transaction_verdict};
use latchwork::verdict::{Classify, RetryKind, Verdict};
use sqlx::{Pool, query, query_scalar};
use tokio::select;

use super::{Db, connect, database, idle_in_transaction, options, pool_options};
use crate::proxy::Proxy;

/// A pool of one connection through a proxy, and another one beside it. There is a table `numbers` with the row 1, 0.
struct Scene {
    proxy: Proxy,
    pool: Pool<Db>,
    beside: Pool<Db>,
}

const ADD: &str = "update numbers set n = n + 1 where id = 1";

impl Scene {
    async fn new() -> Self {
        let (proxy, name) = (Proxy::start().await, database().await);
        let beside = connect(2, options(&name)).await;
        query("create table numbers (id bigint primary key, n bigint not null)")
            .execute(&beside)
            .await
            .expect("new");
        query("insert into numbers values (1, 0)").execute(&beside).await.expect("it is new");
        // Untested, so that the first packet of a transaction is its BEGIN.
        let options = pool_options(1).test_before_acquire(false);
        let pool = options.connect_with(proxy.options(&name)).await.expect("the proxy listens");
        Self { proxy, pool, beside }
    }

    async fn number(&self) -> i64 {
        query_scalar("select n from numbers where id = 1")
            .fetch_one(&self.beside)
            .await
            .expect("the row is there")
    }

    /// Polls the future until the server was sent this text, whose answer is held back, and drops it.
    async fn drop_at<F: Future>(&self, text: &str, future: F) {
        self.proxy.hold();
        select! {
            biased;
            () = self.proxy.saw(text) => {}
            _ = future => panic!("the answer was held back"),
        }
    }

    /// Asserts that the only connection works, and is in no transaction: what it does is stored at once.
    async fn assert_whole(&self) {
        // The pool hands it out when the server has answered all that was sent.
        drop(self.pool.acquire().await.expect("the pool has its connection"));
        let before = self.number().await;
        query(ADD).execute(&self.pool).await.expect("the connection works");
        assert_eq!(self.number().await, before + 1, "the change is not stored");
        assert_eq!(idle_in_transaction(&self.beside).await, 0);
    }
}

#[tokio::test]
async fn a_beginning_dropped_before_its_answer_leaves_no_transaction_open() {
    let scene = Scene::new().await;
    let scope = Scope::new(scene.pool.clone());
    scene.drop_at("BEGIN", scope.begin()).await;
    scene.proxy.open();
    scene.assert_whole().await;
    let counts = scope.stats().counts();
    assert_eq!((counts.cancelled, counts.opened), (1, 0));
}

#[tokio::test]
async fn a_statement_dropped_before_its_answer_is_rolled_back() {
    let scene = Scene::new().await;
    let scope = Scope::new(scene.pool.clone());
    let mut tx = scope.begin().await.expect("it opens");
    scene.drop_at("update", query(ADD).execute(&mut *tx)).await;
    drop(tx);
    scene.proxy.open();
    scene.assert_whole().await;
    assert_eq!((scene.number().await, scope.stats().counts().ended(Ending::Abandoned)), (1, 1));
}

#[tokio::test]
async fn a_commit_dropped_before_its_answer_goes_on_and_counts_as_committed() {
    // Dropped while it asks whether the transaction has failed, and while it commits.
    for (checks, sent) in [(true, "SAVEPOINT"), (false, "COMMIT")] {
        let scene = Scene::new().await;
        let scope = Scope::new(scene.pool.clone()).check_commit(checks);
        let mut tx = scope.begin().await.expect("it opens");
        query(ADD).execute(&mut *tx).await.expect("it is done");
        scene.drop_at(sent, tx.commit()).await;
        scene.proxy.open();
        scene.assert_whole().await;
        assert_eq!((scene.number().await, scope.stats().counts().ended(Ending::Committed)), (2, 1));
    }
}

#[tokio::test]
async fn a_rollback_dropped_before_its_answer_rolls_back() {
    let scene = Scene::new().await;
    let scope = Scope::new(scene.pool.clone());
    let mut tx = scope.begin().await.expect("it opens");
    query(ADD).execute(&mut *tx).await.expect("it is done");
    scene.drop_at("ROLLBACK", tx.rollback()).await;
    scene.proxy.open();
    scene.assert_whole().await;
    assert_eq!((scene.number().await, scope.stats().counts().ended(Ending::RolledBack)), (1, 1));
}

#[tokio::test]
async fn a_commit_whose_answer_is_lost_is_unknown_and_never_made_again() {
    let scene = Scene::new().await;
    // The answers are held back from the statement on, so nothing may be asked between it and the commit.
    let scope = Scope::new(scene.pool.clone()).check_commit(false);
    // Whatever a policy says.
    let policy = RetryPolicy::new()
        .max_attempts(5)
        .classify_with(|_: &sqlx::Error| Verdict::Retry(RetryKind::Transient));
    let call = scope.run(&policy, async |mut tx| {
        query(ADD).execute(&mut *tx).await?;
        scene.proxy.hold();
        Ok(())
    });
    let cut = async {
        scene.proxy.saw("COMMIT").await;
        // The server has committed when another session can read it.
        while scene.number().await == 0 {
            tokio::task::yield_now().await;
        }
        scene.proxy.cut();
    };
    let (outcome, ()) = tokio::join!(call, cut);
    let error = outcome.expect_err("nobody knows");
    assert_eq!((error.reason, error.attempts), (StopReason::NotRetryable, 1));
    assert!(CommitError::is_unknown(&error.error), "{:?}", error.error);
    assert_eq!((scene.number().await, scope.stats().counts().ended(Ending::CommitUnknown)), (1, 1));
}

#[tokio::test]
async fn a_connection_lost_before_the_commit_makes_the_whole_transaction_again() {
    let scene = Scene::new().await;
    let scope = Scope::new(scene.pool.clone());
    let policy = RetryPolicy::new().classify_with(transaction_verdict);
    let mut attempts = 0;
    let (beside, attempts_made) = (&scene.beside, &mut attempts);
    let outcome = scope.run(&policy, |mut tx| {
        *attempts_made += 1;
        let is_first = *attempts_made == 1;
        async move {
            query(ADD).execute(&mut *tx).await?;
            if is_first {
                let own: i32 = query_scalar("select pg_backend_pid()").fetch_one(&mut *tx).await?;
                query("select pg_terminate_backend($1, 60000)").bind(own).execute(beside).await?;
            }
            query(ADD).execute(&mut *tx).await?;
            Ok(())
        }
    });
    outcome.await.expect("the second attempt is done");
    let counts = scope.stats().counts();
    assert_eq!((attempts, counts.repeated, counts.ended(Ending::Failed)), (2, 1, 1));
    assert_eq!(scene.number().await, 2);
}

#[tokio::test]
async fn a_session_ended_before_its_commit_is_unknown_if_the_commit_was_sent() {
    for checks in [true, false] {
        let scene = Scene::new().await;
        let scope = Scope::new(scene.pool.clone()).check_commit(checks);
        let mut tx = scope.begin().await.expect("it opens");
        query(ADD).execute(&mut *tx).await.expect("it is done");
        let own: i32 = query_scalar("select pg_backend_pid()").fetch_one(&mut *tx).await.expect("a number");
        query("select pg_terminate_backend($1, 60000)")
            .bind(own)
            .execute(&scene.beside)
            .await
            .expect("it is allowed");
        let error = tx.commit().await.expect_err("the session is gone");
        if checks {
            assert!(matches!(error, CommitError::Refused(_)), "{error:?}");
            assert_eq!(error.classify(), Verdict::Retry(RetryKind::Transient));
        } else {
            assert!(matches!(error, CommitError::Unknown(_)), "{error:?}");
        }
        assert_eq!(scene.number().await, 0);
        scene.assert_whole().await;
    }
}

#[tokio::test]
async fn a_beginning_with_all_its_settings_is_one_packet() {
    let scene = Scene::new().await;
    let second = std::time::Duration::from_secs(1);
    let scope = Scope::new(scene.pool.clone())
        .isolation(latchwork::sql::Isolation::Serializable)
        .statement_timeout(second)
        .lock_timeout(second)
        .idle_timeout(second);
    let before = scene.proxy.messages();
    let tx = scope.begin().await.expect("it opens");
    assert_eq!(scene.proxy.messages() - before, 1);
    tx.rollback().await.expect("it is open");
    assert_eq!(scene.proxy.messages() - before, 2);
}

#[tokio::test]
async fn a_beginning_refused_half_way_leaves_no_transaction_open() {
    let scene = Scene::new().await;
    let scope = Scope::new(scene.pool.clone()).lock_timeout(std::time::Duration::from_secs(1));
    // BEGIN is done, the rest of its message is refused.
    scene.proxy.misspell(Some("lock_timeout"));
    let error = scope.begin().await.expect_err("there is no such setting");
    assert!(matches!(error, sqlx::Error::Database(_)), "{error:?}");
    scene.proxy.misspell(None);
    scene.assert_whole().await;
    scope.begin().await.expect("it opens").commit().await.expect("nothing stands against it");
}

#[tokio::test]
async fn a_statement_that_fails_after_it_was_dropped_refuses_the_commit() {
    let scene = Scene::new().await;
    let scope = Scope::new(scene.pool.clone());
    for commits in [true, false] {
        let mut tx = scope.begin().await.expect("it opens");
        query(ADD).execute(&mut *tx).await.expect("it is done");
        scene.drop_at("select 1 / 0", sqlx::raw_sql("select 1 / 0").execute(&mut *tx)).await;
        scene.proxy.open();
        if commits {
            let error = tx.commit().await.expect_err("the transaction has failed");
            assert!(matches!(error, CommitError::Refused(_)), "{error:?}");
        } else {
            tx.rollback().await.expect("the connection is whole");
        }
        assert_eq!((scene.number().await, idle_in_transaction(&scene.beside).await), (0, 0));
    }
    scene.assert_whole().await;
}
