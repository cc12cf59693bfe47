//! A lock for each user, and a lock that threads and tasks share.

use std::sync::Arc;
use std::time::Duration;

use latchwork::{Busy, KeyedLock, Mutex};
use tokio::task::spawn_blocking;

/// Makes a plan, or says at once that one is being made for this user already.
async fn make_plan(locks: &KeyedLock<String>, user: &str) -> Result<String, Busy> {
    let _guard = locks.try_lock(user)?; // free again after return, `?`, panic or cancellation
    tokio::time::sleep(Duration::from_millis(10)).await;
    Ok(format!("a plan for {user}"))
}

#[tokio::main]
async fn main() {
    let locks = KeyedLock::new();
    let (click, second_click, other_user) =
        tokio::join!(make_plan(&locks, "ada"), make_plan(&locks, "ada"), make_plan(&locks, "grace"));
    println!("{click:?}, {second_click:?}, {other_user:?}");
    assert!(click.is_ok() && second_click.is_err() && other_user.is_ok());
    assert!(make_plan(&locks, "ada").await.is_ok() && locks.is_empty());

    let total = Arc::new(Mutex::new(0));
    let worker = spawn_blocking({
        let total = total.clone();
        move || (0..1000).for_each(|_| *total.lock().wait() += 1)
    });
    for _ in 0..1000 {
        *total.lock().await += 1;
    }
    worker.await.expect("it doesn't panic");
    println!("thread and task counted to {}", total.lock().await);
    assert_eq!(*total.lock().await, 2000);
}
