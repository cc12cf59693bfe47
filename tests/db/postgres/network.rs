//! Locks whose connection hangs, breaks, or is ended by the server.

use std::time::Duration;

use latchwork::pg::{PgGuard, PgKeyedLock};
use latchwork::provider::LockError;
use latchwork::sql::Scope;
use sqlx::{Pool, query, query_scalar};
use tokio::task::{JoinHandle, JoinSet};

use super::{Db, database, idle_in_transaction, options, pool, pool_options};
use crate::proxy::Proxy;

const LEASE: Duration = Duration::from_secs(3);

/// Locks behind a proxy, and others beside it.
struct Scene {
    proxy: Proxy,
    locks: PgKeyedLock<String>,
    other: PgKeyedLock<String>,
    beside: Pool<Db>,
}

fn key() -> String {
    "ada".to_owned()
}

impl Scene {
    async fn new(lease: Duration) -> Self {
        let (proxy, name) = (Proxy::start().await, database().await);
        let beside = super::connect(2, options(&name)).await;
        let builder = |pool| PgKeyedLock::builder(pool).lease(lease).poll_interval(Duration::from_millis(5));
        builder(&beside).create_table().await.expect("the role may create tables");
        let other = builder(&beside).connect().await.expect("the table is there");
        // Its own pool makes no connection, so the only one is that of the locks.
        let lazy = pool_options(1).connect_lazy_with(proxy.options(&name).application_name("locks"));
        let locks = builder(&lazy).connect().await.expect("the proxy listens");
        // The connection is there.
        drop(locks.lock_owned("first".to_owned()).await.expect("nobody has it"));
        let scene = Self { proxy, locks, other, beside };
        scene.nothing_held().await;
        query("delete from latchwork_locks").execute(&scene.beside).await.expect("it is done");
        scene
    }

    /// Closes the connection of the locks. Answers that were held back are lost.
    async fn cut(&self) {
        let before = self.proxy.connections();
        self.proxy.cut();
        while self.proxy.connections() == before {
            tokio::task::yield_now().await;
        }
        self.proxy.open();
    }

    async fn number(&self, sql: &'static str) -> i64 {
        query_scalar(sql).fetch_one(&self.beside).await.expect("a number")
    }

    /// Waits until the lease of the first key was renewed.
    async fn renewal(&self) {
        let end = "select (extract(epoch from expires) * 1000000)::bigint from latchwork_locks order by key limit 1";
        let before = self.number(end).await;
        while self.number(end).await <= before {
            tokio::task::yield_now().await;
        }
    }

    /// Waits until no process holds a row.
    async fn nothing_held(&self) {
        while self.number("select count(*) from latchwork_locks where holder is not null").await > 0 {
            tokio::task::yield_now().await;
        }
    }

    /// Ends the session of the locks.
    async fn terminate(&self) {
        let sql = "select count(pg_terminate_backend(pid, 60000)) from pg_stat_activity \
                   where datname = current_database() and application_name = 'locks'";
        assert!(self.number(sql).await > 0, "the locks have a session");
    }

    fn ask(&self) -> JoinHandle<Result<PgGuard<String>, LockError>> {
        let locks = self.locks.clone();
        // A request that is forgotten fails the test.
        tokio::spawn(async move { locks.lock_owned(key()).timeout(10 * LEASE).await })
    }
}

/// The same from a task. It must have its answer.
async fn granted(asked: JoinHandle<Result<PgGuard<String>, LockError>>) -> PgGuard<String> {
    asked.await.expect("it does not panic").expect("its turn comes")
}

#[tokio::test]
async fn a_guard_keeps_its_key_for_longer_than_a_lease() {
    let scene = Scene::new(LEASE / 2).await;
    let guard = scene.locks.lock_owned(key()).await.expect("nobody has it");
    query("select pg_sleep($1)")
        .bind(LEASE.as_secs_f64() * 1.5)
        .execute(&scene.beside)
        .await
        .expect("it answers");
    assert!(!guard.is_lost());
    assert!(matches!(scene.other.try_lock_owned(key()).await, Err(LockError::Busy(_))));
    guard.release().await.expect("it was held to its end");
    scene.nothing_held().await;
}

#[tokio::test]
async fn a_connection_that_hangs_is_replaced_and_leases_live_on() {
    let scene = Scene::new(LEASE).await;
    let guard = scene.locks.lock_owned(key()).await.expect("nobody has it");
    let fence = guard.fence();
    scene.proxy.strand();
    // Answered over another connection.
    let second = scene.locks.lock_owned("bob".to_owned()).await.expect("nobody has it");
    assert!(scene.locks.stats().counts().connections >= 2);
    for _ in 0..2 {
        scene.renewal().await;
    }
    assert!(!guard.is_lost() && !second.is_lost());
    assert_eq!((guard.fence(), scene.locks.stats().counts().lost), (fence, 0));
    assert!(matches!(scene.other.try_lock_owned(key()).await, Err(LockError::Busy(_))));
    guard.release().await.expect("it was held to its end");
    second.release().await.expect("it was held to its end");
    scene.nothing_held().await;
}

#[tokio::test]
async fn a_holder_without_a_connection_hears_of_its_loss_and_others_go_on() {
    let scene = Scene::new(LEASE / 3).await;
    let guard = scene.locks.lock_owned(key()).await.expect("nobody has it");
    scene.proxy.hold();
    let waiting = scene.locks.try_lock_owned("bob".to_owned());
    guard.lost().await;
    assert!(guard.is_lost());
    let next = scene.other.lock_owned(key()).await.expect("the lease has ended");
    assert!(next.fence() > guard.fence());
    // A request that does not wait is answered without the database after the length of a lease.
    assert!(matches!(waiting.await, Err(LockError::Unavailable(_))));
    assert!(matches!(guard.release().await, Err(LockError::Lost)));
    let again = scene.ask();
    scene.proxy.open();
    next.release().await.expect("it was held to its end");
    drop(granted(again).await);
    scene.nothing_held().await;
}

#[tokio::test]
async fn a_request_whose_answer_is_lost_gets_its_key_over_the_next_connection() {
    let scene = Scene::new(LEASE).await;
    scene.proxy.hold();
    let asked = scene.ask();
    // The database has granted it, and nobody knows.
    while scene.number("select count(*) from latchwork_locks where holder is not null").await == 0 {
        tokio::task::yield_now().await;
    }
    let unknown = scene.number("select fence from latchwork_locks").await;
    scene.cut().await;
    let guard = granted(asked).await;
    assert!(guard.fence().get() > unknown.unsigned_abs());
    guard.release().await.expect("it was held to its end");
    scene.nothing_held().await;
}

#[tokio::test]
async fn a_key_that_was_granted_to_nobody_is_free_after_the_lease() {
    let scene = Scene::new(LEASE / 3).await;
    scene.proxy.hold();
    let asked = scene.ask();
    while scene.number("select count(*) from latchwork_locks where holder is not null").await == 0 {
        tokio::task::yield_now().await;
    }
    asked.abort();
    assert!(asked.await.expect_err("it waits for its answer").is_cancelled());
    scene.cut().await;
    let next = scene.other.lock_owned(key()).await.expect("the lease ends");
    next.release().await.expect("it was held to its end");
    scene.nothing_held().await;
}

#[tokio::test]
async fn a_session_that_is_ended_costs_neither_holders_nor_waiters_their_keys() {
    let scene = Scene::new(LEASE).await;
    let mine = scene.locks.lock_owned("a".to_owned()).await.expect("nobody has it");
    let others = scene.other.lock_owned(key()).await.expect("nobody has it");
    let asked = scene.ask();
    while scene.number("select count(*) from latchwork_locks where wanted").await == 0 {
        tokio::task::yield_now().await;
    }
    scene.terminate().await;
    for _ in 0..2 {
        scene.renewal().await;
    }
    assert!(!mine.is_lost());
    mine.release().await.expect("it was held to its end");
    others.release().await.expect("it was held to its end");
    drop(granted(asked).await);
    assert!(scene.locks.stats().counts().connections >= 2);
    scene.nothing_held().await;
}

#[tokio::test]
async fn sessions_that_are_ended_all_the_time_stop_nobody() {
    let scene = Scene::new(LEASE).await;
    for _ in 0..20 {
        let asked = scene.ask();
        scene.terminate().await;
        granted(asked).await.release().await.ok();
    }
    scene.nothing_held().await;
}

/// Of the release nothing is said, as if the notification was lost.
#[tokio::test]
async fn a_release_that_nobody_heard_of_is_seen_by_looking() {
    let scene = Scene::new(Duration::from_secs(60)).await;
    let guard = scene.other.lock_owned(key()).await.expect("nobody has it");
    let asked = scene.ask();
    while scene.number("select count(*) from latchwork_locks where wanted").await == 0 {
        tokio::task::yield_now().await;
    }
    let release = query("update latchwork_locks set holder = null, expires = clock_timestamp()");
    release.execute(&scene.beside).await.expect("it is done");
    drop((granted(asked).await, guard));
    scene.nothing_held().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pool_of_two_serves_two_hundred_requests() {
    let pool = pool(2).await;
    query("create table counter (n bigint not null)").execute(&pool).await.expect("it is new");
    query("insert into counter values (0)").execute(&pool).await.expect("it is new");
    let locks = PgKeyedLock::<String>::connect(&pool).await.expect("the role may create tables");
    let scope = Scope::new(pool.clone());
    let mut tasks = JoinSet::new();
    for _ in 0..200 {
        let (locks, scope) = (locks.clone(), scope.clone());
        tasks.spawn(async move {
            let guard = locks.lock_owned(key()).await.expect("its turn comes");
            let mut tx = scope.begin().await.expect("a connection is free");
            guard.verify(&mut tx).await.expect("it is held");
            let n: i64 = query_scalar("select n from counter").fetch_one(&mut *tx).await.expect("a number");
            query("update counter set n = $1").bind(n + 1).execute(&mut *tx).await.expect("it is done");
            tx.commit().await.expect("nothing stands against it");
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.expect("it does not panic");
    }
    let n: i64 = query_scalar("select n from counter").fetch_one(&pool).await.expect("a number");
    assert_eq!(n, 200);
    let whole = [pool.acquire().await, pool.acquire().await];
    assert!(whole.iter().all(Result::is_ok));
    assert_eq!(idle_in_transaction(&pool).await, 0);
}
