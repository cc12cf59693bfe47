//! Requests that are dropped, guards that are dropped anywhere, and runtimes that end. No row stays held.

use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Wake, Waker};
use std::time::Duration;

use latchwork::pg::{PgGuard, PgKeyedLock};
use latchwork::provider::LockError;
use sqlx::{Pool, query_scalar};
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::{Db, connect, options, pool};
use crate::polls::up_to;

/// A row that stays held is not hidden by its end.
const LONG: Duration = Duration::from_secs(600);
const SHORT: Duration = Duration::from_secs(1);

fn key() -> String {
    "ada".to_owned()
}

async fn locks(pool: &Pool<Db>, lease: Duration) -> PgKeyedLock<String> {
    let builder = PgKeyedLock::builder(pool).lease(lease).poll_interval(Duration::from_millis(2));
    builder.create_table().await.expect("the role may create tables");
    builder.connect().await.expect("the table is there")
}

/// Waits until no process holds a row.
async fn nothing_held(pool: &Pool<Db>) {
    let held = "select count(*) from latchwork_locks where holder is not null";
    let all_free = async {
        while query_scalar::<_, i64>(held).fetch_one(pool).await.expect("a number") > 0 {
            tokio::task::yield_now().await;
        }
    };
    timeout(LONG / 20, all_free).await.expect("a row stays held");
}

#[tokio::test]
async fn a_request_dropped_at_any_time_takes_nothing_from_those_that_wait() {
    let pool = pool(2).await;
    let (one, other) = (locks(&pool, LONG).await, locks(&pool, LONG).await);
    for polls in 1..25 {
        let first = other.lock_owned(key()).await.expect("its turn comes");
        let mut tasks = JoinSet::new();
        let mut wait = |locks: &PgKeyedLock<String>| {
            let locks = locks.clone();
            tasks.spawn(async move { locks.lock_owned(key()).await.expect("its turn comes").fence() });
        };
        wait(&one);
        let dropped = tokio::spawn({
            let one = one.clone();
            async move { up_to(polls, async { one.lock_owned(key()).await }).await.map(drop) }
        });
        wait(&one);
        wait(&other);
        first.release().await.expect("it was held to its end");
        dropped.await.expect("it does not panic");
        while let Some(done) = tasks.join_next().await {
            done.expect("it does not panic");
        }
        nothing_held(&pool).await;
    }
}

/// It is the only one that waits, so the database is asked for it.
#[tokio::test]
async fn a_request_dropped_while_its_key_is_released_keeps_no_row() {
    let pool = pool(2).await;
    let (one, other) = (locks(&pool, LONG).await, locks(&pool, LONG).await);
    for polls in 1..25 {
        let first = other.lock_owned(key()).await.expect("its turn comes");
        let asked = up_to(polls, async { one.lock_owned(key()).await });
        let (released, asked) = tokio::join!(first.release(), asked);
        released.expect("it was held to its end");
        drop(asked);
        nothing_held(&pool).await;
    }
}

/// Its grant lies ready, and it is not polled again.
#[tokio::test]
async fn a_request_dropped_after_its_grant_keeps_no_row() {
    let pool = pool(2).await;
    let locks = locks(&pool, LONG).await;
    for granted in 1..4 {
        let mut asked = Box::pin(async { locks.lock_owned(key()).await });
        assert!(futures::poll!(&mut asked).is_pending());
        while locks.stats().counts().granted < granted {
            tokio::task::yield_now().await;
        }
        drop(asked);
        nothing_held(&pool).await;
    }
}

type Asked = Pin<Box<dyn Future<Output = Result<PgGuard<String>, LockError>> + Send>>;

/// A request that is polled by whatever wakes it, at once.
struct PolledWhenWoken(Mutex<Asked>);

impl Wake for PolledWhenWoken {
    fn wake(self: Arc<Self>) {
        let mut asked = self.0.lock().expect("it does not panic");
        assert!(asked.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    }
}

#[tokio::test]
async fn a_request_that_is_polled_inside_the_release_of_its_key_gets_it() {
    let pool = pool(2).await;
    let locks = locks(&pool, LONG).await;
    let guard = locks.lock_owned(key()).await.expect("nobody has it");
    let next = Arc::new(PolledWhenWoken(Mutex::new(Box::pin(locks.lock_owned(key()).into_future()))));
    let waker = Waker::from(next.clone());
    let polled = next.0.lock().expect("it does not panic").as_mut().poll(&mut Context::from_waker(&waker));
    assert!(polled.is_pending());
    // The database is asked for the next request before this returns.
    drop(guard);
    drop(waker);
    let next = Arc::into_inner(next).expect("nothing wakes it").0.into_inner().expect("it does not panic");
    let next = next.await.expect("its turn comes");
    next.release().await.expect("it was held to its end");
    nothing_held(&pool).await;
}

#[tokio::test]
async fn a_request_for_several_keys_dropped_at_any_time_gives_all_back() {
    let pool = pool(2).await;
    let locks = locks(&pool, LONG).await;
    for polls in 1..12 {
        let keys = ["a", "b", "c"].map(str::to_owned);
        drop(up_to(polls, async { locks.lock_many_owned(keys).await }).await);
        nothing_held(&pool).await;
    }
}

#[tokio::test]
async fn a_release_dropped_at_any_time_goes_on() {
    let pool = pool(2).await;
    let locks = locks(&pool, LONG).await;
    for polls in 1..4 {
        let guard = locks.lock_owned(key()).await.expect("nobody has it");
        drop(up_to(polls, guard.release()).await);
        nothing_held(&pool).await;
    }
}

#[tokio::test]
async fn guards_are_dropped_on_threads_without_a_runtime() {
    let pool = pool(2).await;
    let locks = locks(&pool, LONG).await;
    let guard = locks.lock_owned(key()).await.expect("nobody has it");
    let waiting = tokio::spawn({
        let locks = locks.clone();
        async move { locks.lock_owned(key()).await }
    });
    while locks.local().snapshot().iter().all(|view| view.waiters() == 0) {
        tokio::task::yield_now().await;
    }
    std::thread::spawn(move || drop(guard)).join().expect("it does not panic");
    let next = waiting.await.expect("it does not panic").expect("its turn comes");
    std::thread::spawn(move || drop((next, locks))).join().expect("it does not panic");
    nothing_held(&pool).await;
}

fn runtime(threads: usize) -> Runtime {
    let mut builder = if threads == 0 { Builder::new_current_thread() } else { Builder::new_multi_thread() };
    builder.worker_threads(threads.max(1)).enable_all().build().expect("threads can be started")
}

#[test]
fn a_guard_outlives_its_runtime_and_is_lost() {
    for threads in [0, 2] {
        let (own, beside) = (runtime(threads), runtime(0));
        let pool = beside.block_on(pool(2));
        let name = pool.connect_options().get_database().expect("it has one").to_owned();
        let other = beside.block_on(locks(&pool, SHORT));
        let (guard, locks, waiting) = own.block_on(async {
            let locks = locks(&connect(1, options(&name)).await, SHORT).await;
            let guard = locks.lock_owned(key()).await.expect("nobody has it");
            let waiting = tokio::spawn({
                let locks = locks.clone();
                async move { locks.lock_owned("bob".to_owned()).await }
            });
            (guard, locks, waiting)
        });
        drop(own);
        assert!(guard.is_lost());
        drop(waiting);
        // In another runtime, too, nothing waits for a task that is gone.
        beside.block_on(async {
            guard.lost().await;
            assert!(matches!(locks.lock_owned("eve".to_owned()).await, Err(LockError::Unavailable(_))));
            assert!(matches!(guard.release().await, Err(LockError::Unavailable(_))));
            locks.shut_down().await;
            let next = other.lock_owned(key()).await.expect("the lease ends");
            next.release().await.expect("it was held to its end");
        });
    }
}

/// To the library such a guard lives as long as its process.
#[tokio::test]
#[expect(clippy::mem_forget, reason = "a program may")]
async fn a_key_of_a_forgotten_guard_is_free_after_the_shutdown() {
    let pool = pool(2).await;
    let (one, other) = (locks(&pool, LONG).await, locks(&pool, LONG).await);
    std::mem::forget(one.lock_owned(key()).await.expect("nobody has it"));
    assert!(matches!(other.try_lock_owned(key()).await, Err(LockError::Busy(_))));
    one.shut_down().await;
    let next = other.try_lock_owned(key()).await.expect("it was released");
    next.release().await.expect("it was held to its end");
    nothing_held(&pool).await;
}

#[test]
fn a_connection_that_is_being_made_can_be_dropped_without_a_runtime() {
    let runtime = runtime(0);
    let pool = runtime.block_on(async {
        let pool = pool(1).await;
        PgKeyedLock::<String>::builder(&pool).create_table().await.expect("the role may create tables");
        pool
    });
    for polls in 1..100 {
        let mut connecting = Box::pin(PgKeyedLock::<String>::builder(&pool).connect());
        let connected = runtime.block_on(up_to(polls, connecting.as_mut()));
        drop(connecting);
        if let Some(locks) = connected {
            runtime.block_on(locks.expect("the table is there").shut_down());
            return;
        }
    }
    panic!("it connects after some polls");
}
