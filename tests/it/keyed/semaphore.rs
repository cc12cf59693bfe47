//! Permits for each key.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use latchwork::{KeyedLock, KeyedSemaphore, Semaphore};

use crate::support::{Hand, no_hang};

#[test]
fn each_key_has_its_own_permits() {
    let seats = KeyedSemaphore::<String>::new(3);
    assert_eq!((seats.available("a"), seats.len()), (3, 0));
    let two = seats.acquire_many("a", 2).wait();
    let one = seats.try_acquire("a").expect("one is left");
    assert_eq!((two.count(), one.count(), two.key().as_str()), (2, 1, "a"));
    assert_eq!((seats.available("a"), seats.available("b"), seats.len()), (0, 3, 1));
    assert!(seats.try_acquire("a").is_err() && seats.try_acquire_many("b", 4).is_err());
    assert!(two.fence() < one.fence());
    drop(two);
    assert_eq!(seats.available("a"), 2);
    let view = seats.snapshot();
    assert_eq!((view[0].holders(), view[0].is_shared(), view[0].waiters()), (1, true, 0));
    drop((one, view));
    assert!(seats.is_empty());
}

#[test]
fn owned_permits_leave_their_scope() {
    let seats = Arc::new(KeyedSemaphore::<u32>::new(2));
    let permits = (
        seats.acquire_owned(1).wait(),
        seats.try_acquire_owned(1).expect("one is left"),
        seats.acquire_many_owned(2, 2).wait(),
    );
    assert!(seats.try_acquire_owned(1).is_err());
    thread::spawn(move || drop(permits)).join().expect("it drops them");
    assert!(seats.is_empty());
}

#[test]
fn no_permits_keep_their_key_all_the_same() {
    let seats = KeyedSemaphore::<String>::new(1);
    let none = seats.acquire_many("a", 0).wait();
    assert_eq!((none.count(), none.key().as_str(), seats.len()), (0, "a", 1));
    let one = seats.try_acquire("a").expect("none was taken");
    let another = seats.try_acquire_many("a", 0).expect("none is needed");
    drop(one);
    assert_eq!((none.key().as_str(), another.key().as_str()), ("a", "a"));
    drop(none);
    assert_eq!((another.key().as_str(), seats.len()), ("a", 1));
    drop(another);
    assert_eq!(seats.len(), 0);
}

#[test]
fn no_permits_are_had_past_a_line_and_leave_it_alone() {
    let seats = KeyedSemaphore::<u32>::new(1);
    let one = seats.try_acquire(1).expect("it is free");
    let mut waiter = Hand::queued(seats.acquire(1));
    let none = Hand::new(seats.acquire_many(1, 0)).poll().expect("none is needed");
    drop(one);
    drop(none);
    assert!(waiter.poll_while_woken().is_some());
    assert!(seats.is_empty());
}

#[test]
fn a_table_without_permits_has_only_waiters() {
    let seats = KeyedSemaphore::<u32>::new(0);
    assert!(seats.try_acquire(1).is_err());
    assert_eq!(seats.acquire_many(1, 0).wait().count(), 0);
    let waiter = Hand::queued(seats.acquire(1));
    assert_eq!((seats.len(), seats.available(1), seats.snapshot()[0].waiters()), (1, 0, 1));
    drop(waiter);
    assert!(seats.is_empty());
}

#[test]
fn more_than_a_key_has_is_waited_for_until_the_caller_gives_up() {
    let seats = KeyedSemaphore::<u32>::new(2);
    for too_many in [3, usize::MAX] {
        assert!(seats.acquire_many(1, too_many).wait_timeout(Duration::from_millis(1)).is_err());
        let waiter = Hand::queued(seats.acquire_many(1, too_many));
        assert_eq!((seats.len(), seats.available(1)), (1, 2));
        drop(waiter);
        assert!(seats.is_empty());
    }
}

#[test]
fn those_who_want_many_are_served_before_those_behind_them() {
    let seats = KeyedSemaphore::<u32>::new(3);
    let held = [(); 3].map(|()| seats.try_acquire(1).expect("three are there"));
    let mut all = Hand::queued(seats.acquire_many(1, 3));
    let mut one = Hand::queued(seats.acquire(1));
    for permit in held {
        assert!(!all.is_woken() && !one.is_woken());
        drop(permit);
    }
    let all = all.poll_while_woken().expect("all are there");
    assert!(!one.is_woken());
    drop(all);
    assert!(one.poll_while_woken().is_some());
}

#[test]
fn a_table_of_permits_is_drained_when_the_last_one_goes() {
    let seats = KeyedSemaphore::<u32>::new(2);
    let permits = [1, 1, 2].map(|key| seats.acquire(key).wait());
    let none = seats.acquire_many(3, 0).wait();
    let mut drained = Hand::queued(seats.drained());
    for permit in permits {
        drop(permit);
        assert!(drained.poll_while_woken().is_none(), "one key is left at least");
    }
    drop(none);
    assert!(drained.poll_while_woken().is_some());
}

#[test]
fn a_key_may_have_as_many_permits_as_there_are() {
    let seats = KeyedSemaphore::<u32>::new(Semaphore::MAX_PERMITS);
    let all = seats.acquire_many(1, Semaphore::MAX_PERMITS).wait();
    assert!(seats.try_acquire(1).is_err());
    drop(all);
    assert_eq!((seats.available(1), seats.len()), (Semaphore::MAX_PERMITS, 0));
}

#[test]
fn no_more_than_a_keys_permits_are_ever_out() {
    no_hang(|| {
        let seats = KeyedSemaphore::<usize>::new(2);
        let out: [AtomicUsize; 2] = Default::default();
        thread::scope(|s| {
            for _ in 0..4 {
                s.spawn(|| {
                    for round in 0..1000 {
                        let key = round % 2;
                        let count = 1 + round % 3 / 2;
                        let permits = seats.acquire_many(key, count).wait();
                        assert!(out[key].fetch_add(count, Ordering::SeqCst) + count <= 2);
                        out[key].fetch_sub(count, Ordering::SeqCst);
                        drop(permits);
                    }
                });
            }
        });
        assert_eq!((seats.len(), seats.counts().acquired), (0, 4000));
    });
}

/// An entry that was used again kept the fence of its last key.
#[test]
fn a_key_that_was_never_granted_has_no_fence() {
    let seats: KeyedSemaphore<u32> = KeyedLock::builder().shards(1).build_semaphore(1);
    drop(seats.try_acquire(1).expect("it is free"));
    let _waiter = Hand::queued(seats.acquire_many(2, 2));
    assert_eq!(seats.snapshot()[0].fence(), None);
    assert_eq!(seats.try_acquire_many(2, 2).map(drop).expect_err("one is there").holder, None);
}
