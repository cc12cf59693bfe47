//! Locks by key over several processes. Each [`PgKeyedLock`] that connects has a holder's number of its own, so two of them in
//! this process exclude each other as two processes do. Real processes are in `processes`.

use std::time::Duration;

use latchwork::pg::{PgKeyedLock, StableKey, VerifyError};
use latchwork::provider::LockError;
use latchwork::sql::Scope;
use latchwork::{KeyedLock, provider::AnyLocks, provider::Ask, provider::HeldLock, provider::LockProvider};
use sqlx::{Pool, query, query_scalar};
use tokio::task::JoinSet;

use super::{Db, pool};

const LEASE: Duration = Duration::from_secs(5);

async fn locks(pool: &Pool<Db>) -> PgKeyedLock<String> {
    let builder = PgKeyedLock::builder(pool).lease(LEASE).poll_interval(Duration::from_millis(5));
    builder.create_table().await.expect("the role may create tables");
    builder.connect().await.expect("the table is there")
}

fn key() -> String {
    "ada".to_owned()
}

#[tokio::test]
async fn a_key_is_held_in_one_process_at_a_time() {
    let pool = pool(2).await;
    let (one, other) = (locks(&pool).await, locks(&pool).await);
    let first = one.lock_owned(key()).await.expect("nobody has it");
    assert!(matches!(other.try_lock_owned(key()).await, Err(LockError::Busy(_))));
    assert!(matches!(one.try_lock_owned(key()).await, Err(LockError::Busy(_))));
    let (fence, waiting) = (
        first.fence(),
        tokio::spawn({
            let other = other.clone();
            async move { other.lock_owned(key()).await }
        }),
    );
    first.release().await.expect("it was held to its end");
    let second = waiting.await.expect("it does not panic").expect("it was released");
    assert!(second.fence() > fence);
    assert!(!second.is_lost());
}

#[tokio::test]
async fn a_released_key_goes_to_the_next_request_of_the_process_under_a_new_fence() {
    let pool = pool(2).await;
    let locks = locks(&pool).await;
    let mut tasks = JoinSet::new();
    let first = locks.lock_owned(key()).await.expect("nobody has it");
    for _ in 0..20 {
        let locks = locks.clone();
        tasks.spawn(async move { locks.lock_owned(key()).await.expect("its turn comes").fence() });
    }
    while locks.local().snapshot().iter().map(|view| view.waiters()).sum::<usize>() < 20 {
        tokio::task::yield_now().await;
    }
    let before = locks.stats().counts().batches;
    let mut fences = vec![first.fence()];
    drop(first);
    while let Some(fence) = tasks.join_next().await {
        fences.push(fence.expect("it does not panic"));
    }
    assert!(fences.is_sorted_by(|one, next| one < next), "{fences:?}");
    // Each pass is one statement, and so is the release at the end.
    let batches = locks.stats().counts().batches - before;
    assert!(batches <= 21, "{batches} for 20 passes and a release");
}

#[tokio::test]
async fn a_request_that_is_dropped_leaves_nothing_locked() {
    let pool = pool(2).await;
    let (one, other) = (locks(&pool).await, locks(&pool).await);
    for polls in 1..20 {
        crate::polls::up_to(polls, async { one.lock_owned(key()).await }).await;
        let guard = other.lock_owned(key()).timeout(LEASE).await.expect("nobody has it");
        guard.release().await.expect("it was held to its end");
    }
}

#[tokio::test]
async fn a_guard_is_verified_inside_the_transaction_and_keeps_others_out_until_its_end() {
    let pool = pool(3).await;
    query("create table notes (text text)").execute(&pool).await.expect("it is new");
    let (one, other) = (locks(&pool).await, locks(&pool).await);
    let scope = Scope::new(pool.clone());
    let guard = one.lock_owned(key()).await.expect("nobody has it");
    let mut tx = scope.begin().await.expect("it opens");
    guard.verify(&mut tx).await.expect("it is held");
    // Released while the transaction is open.
    guard.release().await.expect("a release does not wait for the transaction");
    assert!(matches!(other.try_lock_owned(key()).await, Err(LockError::Busy(_))));
    query("insert into notes values ('late')").execute(&mut *tx).await.expect("it is done");
    tx.commit().await.expect("nothing stands against it");
    let next = other.lock_owned(key()).await.expect("the transaction has ended");
    let notes: i64 = query_scalar("select count(*) from notes").fetch_one(&pool).await.expect("a number");
    assert_eq!(notes, 1);
    drop(next);
}

#[tokio::test]
async fn a_stale_guard_is_refused_in_every_transaction() {
    let pool = pool(3).await;
    let (one, other) = (locks(&pool).await, locks(&pool).await);
    let stale = one.lock_owned(key()).await.expect("nobody has it");
    // As if the process had stood still for a lease.
    query("update latchwork_locks set expires = clock_timestamp()")
        .execute(&pool)
        .await
        .expect("it is there");
    let next = other.lock_owned(key()).await.expect("the lease has ended");
    let mut tx = Scope::new(pool.clone()).begin().await.expect("it opens");
    assert!(matches!(stale.verify(&mut tx).await, Err(VerifyError::Lost)));
    next.verify(&mut tx).await.expect("it is held");
    drop(tx);
    stale.lost().await;
    assert!(stale.is_lost());
    assert_eq!(one.stats().counts().lost, 1);
    assert!(matches!(stale.release().await, Err(LockError::Lost)));
    let mut outside = pool.acquire().await.expect("there are three");
    assert!(matches!(next.verify(&mut outside).await, Err(VerifyError::Database(_))));
}

#[tokio::test]
async fn several_keys_are_all_locked_or_none() {
    let pool = pool(2).await;
    let (one, other) = (locks(&pool).await, locks(&pool).await);
    let keys = || ["b", "a", "c", "a"].map(str::to_owned);
    let held = other.lock_owned("b".to_owned()).await.expect("nobody has it");
    let error = one.lock_many_owned(keys()).timeout(Duration::from_millis(50)).await.expect_err("b is held");
    assert!(matches!(error, LockError::TimedOut(_)), "{error:?}");
    other
        .lock_owned("a".to_owned())
        .timeout(LEASE)
        .await
        .expect("it was given back")
        .release()
        .await
        .expect("held");
    drop(held);
    let all = one.lock_many_owned(keys()).await.expect("nobody has them");
    assert_eq!(all.iter().map(|guard| guard.key().as_str()).collect::<Vec<_>>(), ["a", "b", "c"]);
    let mut tx = Scope::new(pool.clone()).begin().await.expect("it opens");
    all.verify(&mut tx).await.expect("they are held");
    all.release().await.expect("they were held to the end");
}

/// Processes that lock pairs of keys in all orders do not wait for each other for ever.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pairs_in_all_orders_do_not_wait_for_each_other() {
    let pool = pool(2).await;
    let processes = [locks(&pool).await, locks(&pool).await, locks(&pool).await];
    let mut tasks = JoinSet::new();
    for (at, locks) in processes.into_iter().enumerate() {
        for task in 0..4 {
            let locks = locks.clone();
            tasks.spawn(async move {
                for round in 0..5 {
                    let pair = [(at + task + round) % 3, (task + 2 * round) % 3].map(|key| key.to_string());
                    locks.lock_many_owned(pair).await.expect("its turn comes").release().await.expect("held");
                }
            });
        }
    }
    while let Some(done) = tasks.join_next().await {
        done.expect("it does not panic");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn threads_wait_for_the_same_keys() {
    let pool = pool(2).await;
    let locks = locks(&pool).await;
    let from_task = locks.lock_owned(key()).await.expect("nobody has it");
    let thread = std::thread::spawn({
        let locks = locks.clone();
        move || locks.lock_owned(key()).wait().map(|guard| guard.fence())
    });
    let fence = from_task.fence();
    drop(from_task);
    let later =
        tokio::task::spawn_blocking(|| thread.join().expect("it does not panic")).await.expect("it ran");
    assert!(later.expect("its turn comes") > fence);
}

#[tokio::test]
async fn a_shutdown_releases_all_and_refuses_what_comes_after() {
    let pool = pool(2).await;
    let (one, other) = (locks(&pool).await, locks(&pool).await);
    let held = one.lock_owned(key()).await.expect("nobody has it");
    one.shut_down().await;
    assert!(held.is_lost());
    drop(held);
    assert!(matches!(one.lock_owned(key()).await, Err(LockError::Unavailable(_))));
    let _other = other.try_lock_owned(key()).await.expect("it was released");
}

#[tokio::test]
async fn leaving_keeps_the_keys_to_the_ends_of_their_leases() {
    let pool = pool(2).await;
    let (one, other) = (locks(&pool).await, locks(&pool).await);
    let held = one.lock_owned(key()).await.expect("nobody has it");
    one.leave().await;
    assert!(!held.is_lost());
    assert!(matches!(other.try_lock_owned(key()).await, Err(LockError::Busy(_))));
    let mut tx = Scope::new(pool.clone()).begin().await.expect("it opens");
    held.verify(&mut tx).await.expect("it is held");
}

#[tokio::test]
async fn requests_after_leaving_are_refused_while_a_lease_still_lasts() {
    let pool = pool(2).await;
    let one = locks(&pool).await;
    let held = one.lock_owned(key()).await.expect("nobody has it");
    one.leave().await;
    let error = one.lock_owned("bob".to_owned()).await.expect_err("the locks were shut down");
    assert!(matches!(error, LockError::Unavailable(_)), "{error:?}");
    assert!(!held.is_lost(), "the answer waited for the end of a lease");
    assert!(matches!(held.release().await, Err(LockError::Unavailable(_))));
}

#[tokio::test]
async fn a_missing_table_is_an_error_of_connecting() {
    let pool = pool(2).await;
    let error = PgKeyedLock::<String>::builder(&pool).connect().await.expect_err("there is no table");
    assert!(error.to_string().contains("can't be set up"), "{error}");
}

#[tokio::test]
async fn a_table_that_is_gone_is_not_asked_all_the_time() {
    let pool = pool(2).await;
    let locks = locks(&pool).await;
    locks.lock_owned(key()).await.expect("nobody has it").release().await.expect("it was held to its end");
    query("alter table latchwork_locks rename to away").execute(&pool).await.expect("it is there");
    let before = locks.stats().counts().batches;
    let asked = locks.lock_owned(key()).timeout(Duration::from_millis(500)).await;
    assert!(matches!(asked, Err(LockError::TimedOut(_))));
    let batches = locks.stats().counts().batches - before;
    assert!(batches < 10, "{batches} batches that could not succeed");
    query("alter table away rename to latchwork_locks").execute(&pool).await.expect("it is there");
    locks.lock_owned(key()).await.expect("nobody has it").release().await.expect("it was held to its end");
}

#[tokio::test]
async fn a_provider_is_chosen_at_run_time() {
    let pool = pool(2).await;
    for locks in
        [AnyLocks::new(std::sync::Arc::new(KeyedLock::<String>::new())), AnyLocks::new(locks(&pool).await)]
    {
        let held = locks.begin(key(), Ask::wait()).await.expect("nobody has it");
        assert!(matches!(locks.begin(key(), Ask::now()).await, Err(LockError::Busy(_))));
        assert!(!held.is_lost());
    }
}

#[tokio::test]
async fn a_key_that_is_too_long_is_refused() {
    let pool = pool(1).await;
    let locks = locks(&pool).await;
    let error = locks.lock_owned("k".repeat(2000)).await.expect_err("it has too many bytes");
    assert!(matches!(error, LockError::BadKey(_)), "{error:?}");
}

#[tokio::test]
async fn one_process_leads_and_another_takes_over() {
    let pool = pool(2).await;
    let (one, other) = (locks(&pool).await, locks(&pool).await);
    let (enter, mut entered) = tokio::sync::mpsc::unbounded_channel();
    let mut leaders = JoinSet::new();
    for locks in [one, other] {
        let enter = enter.clone();
        leaders.spawn(async move {
            locks
                .lead(key(), |guard| {
                    let enter = enter.clone();
                    async move {
                        let (done, is_done) = tokio::sync::oneshot::channel::<()>();
                        enter.send((guard.fence(), done)).expect("the test listens");
                        let _ = is_done.await;
                    }
                })
                .await
        });
    }
    let (first, done) = entered.recv().await.expect("one leads");
    assert!(entered.try_recv().is_err());
    drop(done);
    let (second, _) = entered.recv().await.expect("the other takes over");
    assert!(second > first);
    while let Some(led) = leaders.join_next().await {
        led.expect("it does not panic").expect("it led");
    }
}

/// Otherwise a sum of times overflows in the task, and no request is answered any more.
#[tokio::test]
async fn settings_that_are_out_of_range_are_brought_into_it() {
    let pool = pool(2).await;
    for time in [Duration::ZERO, Duration::MAX] {
        let builder = PgKeyedLock::<String>::builder(&pool).lease(time).poll_interval(time);
        builder.create_table().await.expect("the role may create tables");
        let (one, other) = (builder.connect().await.expect("the table is there"), locks(&pool).await);
        let held = other.lock_owned(key()).await.expect("nobody has it");
        let waiting = tokio::spawn({
            let one = one.clone();
            async move { one.lock_owned(key()).await.map(drop) }
        });
        while one.stats().counts().batches == 0 {
            tokio::task::yield_now().await;
        }
        drop(held);
        waiting.await.expect("it does not panic").expect("it was released, and that was said");
        one.shut_down().await;
    }
}

/// A key that breaks its contract: upper and lower case are different keys, with the same bytes.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Loud(&'static str);

impl StableKey for Loud {
    fn write_to(&self, bytes: &mut Vec<u8>) {
        self.0.to_lowercase().write_to(bytes);
    }
}

#[tokio::test]
async fn keys_with_the_same_bytes_are_refused_and_do_not_share_a_lease() {
    let pool = pool(2).await;
    let builder = PgKeyedLock::<Loud>::builder(&pool).lease(LEASE);
    builder.create_table().await.expect("the role may create tables");
    let locks = builder.connect().await.expect("the table is there");
    let held = locks.lock_owned(Loud("Ada")).await.expect("nobody has it");
    for request in [locks.lock_owned(Loud("ADA")), locks.try_lock_owned(Loud("ADA"))] {
        let error = request.await.expect_err("it is another key, with the same bytes");
        assert!(matches!(error, LockError::BadKey(_)), "{error:?}");
    }
    held.release().await.expect("it was held to its end");
    locks.lock_owned(Loud("ADA")).await.expect("nobody has it").release().await.expect("held");
}
