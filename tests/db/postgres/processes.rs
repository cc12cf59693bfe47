//! Locks over real processes, which die, or stand still for longer than a lease.

use latchwork::Fence;
use latchwork::provider::LockError;
use sqlx::{Pool, query, query_scalar};

use super::child::{Process, locks, write_with};
use super::{Db, pool};

fn key() -> String {
    "ada".to_owned()
}

async fn notes_and_store(connections: u32) -> Pool<Db> {
    let pool = pool(connections).await;
    for sql in [
        "create table notes (text text)",
        "create table store (fence bigint not null)",
        "insert into store values (0)",
    ] {
        query(sql).execute(&pool).await.expect("it is new");
    }
    pool
}

async fn notes(pool: &Pool<Db>) -> i64 {
    query_scalar("select count(*) from notes").fetch_one(pool).await.expect("a number")
}

/// Waits until the lease of the key has ended by the clock of the server.
async fn end_of_lease(pool: &Pool<Db>) {
    let look =
        "select pg_sleep(greatest(0, extract(epoch from expires - clock_timestamp()))) from latchwork_locks";
    let ended = "select count(*) from latchwork_locks where expires > clock_timestamp()";
    loop {
        query(look).execute(pool).await.expect("it is there");
        if query_scalar::<_, i64>(ended).fetch_one(pool).await.expect("a number") == 0 {
            return;
        }
    }
}

#[tokio::test]
async fn a_key_of_a_killed_process_goes_to_the_next_one_after_the_lease() {
    let pool = notes_and_store(2).await;
    let (locks, mut clerk) = (locks(&pool).await, Process::start("clerk", &pool));
    let fence = clerk.number("lock").await;
    // In the middle of a transaction that keeps others out.
    for (order, done) in [("begin", "begun"), ("write", "written"), ("verify", "verified")] {
        assert_eq!(clerk.ask(order).await, done);
    }
    assert!(matches!(locks.try_lock_owned(key()).await, Err(LockError::Busy(_))));
    clerk.kill().await;
    let next = locks.lock_owned(key()).await.expect("the lease ends");
    assert!(next.fence() > Fence::new(fence).expect("it is not zero"));
    assert_eq!(notes(&pool).await, 0);
}

#[tokio::test]
async fn a_process_that_stood_still_past_its_lease_writes_nothing() {
    let pool = notes_and_store(2).await;
    let (locks, mut clerk) = (locks(&pool).await, Process::start("clerk", &pool));
    clerk.number("lock").await;
    assert_eq!(clerk.ask("is it lost").await, "false");
    assert_eq!(clerk.number("write with the fence").await, 1);
    assert_eq!(clerk.ask("begin").await, "begun");
    assert_eq!(clerk.ask("write").await, "written");
    clerk.freeze().await;
    let next = locks.lock_owned(key()).await.expect("the lease ends");
    assert_eq!(write_with(next.fence(), &pool).await, 1);
    clerk.thaw().await;
    assert_eq!(clerk.ask("verify").await, "lost");
    assert_eq!(clerk.number("write with the fence").await, 0);
    assert_eq!(clerk.ask("is it lost").await, "true");
    assert!(!next.is_lost());
    clerk.kill().await;
    assert_eq!(notes(&pool).await, 0);
}

#[tokio::test]
async fn a_verified_transaction_of_a_process_that_stands_still_keeps_others_out() {
    let pool = notes_and_store(2).await;
    let (locks, mut clerk) = (locks(&pool).await, Process::start("clerk", &pool));
    clerk.number("lock").await;
    for (order, done) in [("begin", "begun"), ("verify", "verified"), ("write", "written")] {
        assert_eq!(clerk.ask(order).await, done);
    }
    clerk.freeze().await;
    let waiting = tokio::spawn({
        let locks = locks.clone();
        async move { locks.lock_owned(key()).await }
    });
    end_of_lease(&pool).await;
    let looks = locks.stats().counts().batches;
    while locks.stats().counts().batches < looks + 3 {
        tokio::task::yield_now().await;
    }
    assert!(!waiting.is_finished());
    clerk.thaw().await;
    assert_eq!(clerk.ask("commit").await, "committed");
    // Its guard lives, and may have been renewed since.
    clerk.kill().await;
    let next = waiting.await.expect("it does not panic").expect("the lease ends");
    assert_eq!(notes(&pool).await, 1);
    drop(next);
}
