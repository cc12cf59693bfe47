//! Every acquisition and every guard can be used in a spawned task and on another thread.

use std::sync::Arc;
use std::thread;

use latchwork::{KeyedLock, KeyedSemaphore, Mutex, RwLock, Semaphore};

static STATIC: Mutex<u32> = Mutex::new(0);

async fn held_across_an_await<G>(guard: G) {
    tokio::task::yield_now().await;
    drop(guard);
}

#[tokio::test]
async fn guards_travel_with_tasks_and_threads() {
    let mutex = Arc::new(Mutex::new(std::cell::Cell::new(0)));
    let rwlock = Arc::new(RwLock::new(String::new()));
    let semaphore = Arc::new(Semaphore::new(10));
    let keys = Arc::new(KeyedLock::<String>::new());
    let seats = Arc::new(KeyedSemaphore::<(u16, u64)>::new(10));

    let task = tokio::spawn({
        let (mutex, rwlock, semaphore, keys, seats) =
            (mutex.clone(), rwlock.clone(), semaphore.clone(), keys.clone(), seats.clone());
        async move {
            // Borrowed.
            held_across_an_await(mutex.lock().await).await;
            held_across_an_await(rwlock.read().await).await;
            held_across_an_await(rwlock.write().await).await;
            held_across_an_await(semaphore.acquire().await).await;
            held_across_an_await(keys.lock("ada").await).await;
            held_across_an_await(keys.lock_shared(String::from("ada")).await).await;
            held_across_an_await(keys.lock_many(["ada", "bob"]).await).await;
            held_across_an_await(seats.acquire((1, 2)).await).await;
            held_across_an_await(STATIC.lock().await).await;
            keys.drained().await;
            // Owned.
            held_across_an_await(mutex.lock_owned().await).await;
            held_across_an_await(rwlock.read_owned().await).await;
            held_across_an_await(rwlock.write_owned().await).await;
            held_across_an_await(semaphore.acquire_owned().await).await;
            held_across_an_await(keys.lock_owned("ada").await).await;
            held_across_an_await(keys.lock_many_owned(["ada"]).await).await;
            held_across_an_await(seats.acquire_owned((1, 2)).await).await;
        }
    });
    task.await.expect("it does not panic");

    // Pending acquisitions can be sent before they are polled.
    let pending = (mutex.lock_owned(), keys.lock_owned("ada"), seats.acquire_many_owned((1, 2), 2));
    thread::spawn(move || drop((pending.0.wait(), pending.1.wait(), pending.2.wait())))
        .join()
        .expect("no panic");

    // Guards can be taken to another task.
    let guards = (mutex.lock_owned().await, keys.lock_owned("ada").await, semaphore.acquire_owned().await);
    tokio::spawn(async move { drop(guards) }).await.expect("it does not panic");
    assert!(!keys.is_locked("ada"));
}
