//! `max_waiters` and `try_now`: the same for every lock that waits in one queue.

use std::fmt::Debug;
use std::time::Duration;

use latchwork::{
    Acquire, Busy, KeyedLock, KeyedSemaphore, Mutex, RwLock, Semaphore,
    acquire::{Attempt, OneQueue},
    error::NotAcquired,
    verdict::{Classify, RetryKind, Verdict},
};

use crate::support::Hand;

/// What holds for `acquire`, which acquires all of a lock that is free.
fn has_a_bound<A>(acquire: impl Fn() -> Acquire<A>)
where
    A: OneQueue + Attempt,
    A::Guard: Debug,
{
    // Free, and without any room: it is acquired at once, however it is waited for.
    assert!(acquire().max_waiters(0).wait().is_ok());
    assert!(Hand::new(acquire().max_waiters(0)).poll().is_some_and(|had| had.is_ok()));
    drop(acquire().try_now().expect("it is free"));

    let guard = acquire().wait();
    assert_eq!(acquire().try_now().map(drop).expect_err("it is held").waiters, 0);
    let mut queue: Vec<_> = (0..3).map(|_| Hand::queued(acquire().max_waiters(3))).collect();
    let refused = Hand::new(acquire().max_waiters(3)).poll().expect("there is no room");
    assert_eq!(refused.map(drop).expect_err("there is no room").waiters, 3);
    assert_eq!(acquire().max_waiters(3).wait().map(drop).expect_err("there is no room").waiters, 3);
    assert_eq!(acquire().try_now().map(drop).expect_err("it is held").waiters, 3);

    // Others may have more patience, and one that leaves makes room.
    let patient = Hand::queued(acquire());
    assert!(Hand::new(acquire().max_waiters(4)).poll().is_some_and(|refused| refused.is_err()));
    drop((patient, queue.pop()));
    queue.push(Hand::queued(acquire().max_waiters(3)));

    // One that waits already is not refused when it looks again.
    let _others = [Hand::queued(acquire()), Hand::queued(acquire())];
    queue[0].change_task();
    assert!(queue[0].poll().is_none(), "it is in the queue, however long that is");

    drop(guard);
    for waiter in &mut queue {
        drop(waiter.poll_while_woken().expect("it is its turn").expect("it had room"));
    }
}

#[test]
fn every_lock_that_waits_in_one_queue_has_a_bound() {
    let (mutex, rwlock, semaphore) = (Mutex::new(1), RwLock::new(2), Semaphore::new(3));
    has_a_bound(|| mutex.lock());
    has_a_bound(|| rwlock.write());
    has_a_bound(|| semaphore.acquire_many(3));
    let (keys, seats) = (KeyedLock::<String>::new(), KeyedSemaphore::<u32>::new(3));
    has_a_bound(|| keys.lock("ada"));
    has_a_bound(|| seats.acquire_many(7, 3));
    assert!(!mutex.is_locked() && !rwlock.is_locked() && semaphore.available() == 3);
    assert!(keys.is_empty() && seats.is_empty(), "a refusal leaves no entry");
}

#[test]
fn readers_that_share_are_no_waiters() {
    let lock = RwLock::new(1);
    let readers = [lock.read().max_waiters(0).wait(), lock.read().max_waiters(0).wait()];
    assert!(readers.iter().all(Result::is_ok));
    assert!(lock.write().max_waiters(0).wait().is_err());
    let writer = Hand::queued(lock.write().max_waiters(1));
    assert!(lock.write().max_waiters(1).wait().is_err());
    drop((readers, writer));
    assert!(!lock.is_locked());
}

#[test]
fn no_permits_are_had_behind_any_queue() {
    let semaphore = Semaphore::new(0);
    let _waiter = Hand::queued(semaphore.acquire());
    assert!(semaphore.acquire_many(0).max_waiters(0).wait().is_ok());
    assert!(semaphore.acquire().max_waiters(1).wait().is_err());
}

#[test]
fn with_a_time_limit_there_is_one_error() {
    let lock = Mutex::new(1);
    let limit = Duration::from_micros(50);
    let guard = lock.lock().max_waiters(0).wait_timeout(limit).expect("it is free");
    let busy = lock.lock().max_waiters(0).wait_timeout(limit).map(drop).expect_err("there is no room");
    assert!(matches!(busy, NotAcquired::Busy(Busy { waiters: 0, .. })));
    assert_eq!(busy.to_string(), "the lock is busy, 0 waiting");
    let late = lock.lock().max_waiters(1).wait_timeout(limit).map(drop).expect_err("it is held");
    assert!(matches!(late, NotAcquired::TimedOut(_)));
    assert_eq!(late.to_string(), "timed out waiting for the lock");
    for error in [busy, late] {
        assert_eq!(error.classify(), Verdict::Retry(RetryKind::LockTimeout));
    }
    drop(guard);
    assert!(lock.lock().max_waiters(0).wait_deadline(std::time::Instant::now()).is_ok());
}

#[cfg(feature = "tokio")]
#[tokio::test(start_paused = true)]
async fn a_task_with_a_time_limit_has_the_same_error() {
    let keys = KeyedLock::<u32>::new();
    let limit = Duration::from_secs(1);
    let guard = keys.lock(7).max_waiters(0).timeout(limit).await.expect("it is free");
    let busy = keys.lock(7).max_waiters(0).timeout(limit).await.map(drop).expect_err("there is no room");
    assert!(matches!(busy, NotAcquired::Busy(busy) if busy.holder == Some(guard.fence())));
    let late = keys.lock(7).max_waiters(1).timeout(limit).await.map(drop).expect_err("it is held");
    assert!(matches!(late, NotAcquired::TimedOut(_)));
    let counts = keys.counts();
    assert_eq!((counts.busy, counts.timed_out, counts.waiting), (1, 1, 0));
}

#[test]
fn several_keys_can_be_tried_now() {
    let keys = KeyedLock::<u32>::new();
    let guard = keys.lock(2).wait();
    let busy = keys.lock_many([1, 2, 3]).try_now().map(drop).expect_err("one is held");
    assert_eq!((busy.holder, keys.len()), (Some(guard.fence()), 1), "the others were given back");
    drop(guard);
    assert_eq!(keys.lock_many([1, 2, 3]).try_now().expect("they are free").len(), 3);
    assert!(keys.is_empty());
}

#[test]
fn a_try_is_a_newcomer_that_stands_back_behind_a_reservation() {
    let semaphore = Semaphore::new(2);
    let one = semaphore.acquire().wait();
    let _both = Hand::queued(semaphore.acquire_many(2));
    assert_eq!(semaphore.available(), 1);
    assert_eq!(semaphore.acquire().try_now().map(drop).expect_err("it is reserved").waiters, 1);
    drop(one);
}
