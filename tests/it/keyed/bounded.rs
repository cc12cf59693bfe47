//! Queues with room for so many.

use std::sync::Arc;

use latchwork::KeyedLock;

use crate::support::Hand;

#[test]
fn a_queue_has_room_for_so_many_and_no_more() {
    let keys = KeyedLock::<String>::new();
    let guard = keys.try_lock("ada").expect("it is free");
    let mut queue: Vec<_> = (0..3).map(|_| Hand::queued(keys.lock("ada").max_waiters(3))).collect();
    let refused = Hand::new(keys.lock("ada").max_waiters(3)).poll().expect("there is no room");
    let busy = refused.expect_err("there is no room");
    assert_eq!((busy.waiters, busy.holder), (3, Some(guard.fence())));
    assert_eq!((keys.counts().busy, keys.counts().longest_queue), (1, 3));

    // Others may have more patience, and one that goes makes room.
    let patient = Hand::queued(keys.lock("ada"));
    assert!(Hand::new(keys.lock("ada").max_waiters(3)).poll().is_some_and(|refused| refused.is_err()));
    drop((patient, queue.pop()));
    queue.push(Hand::queued(keys.lock("ada").max_waiters(3)));

    drop(guard);
    for waiter in &mut queue {
        drop(waiter.poll_while_woken().expect("it is its turn").expect("it had room"));
    }
    assert!(keys.is_empty());
}

#[test]
fn one_who_waits_already_is_not_refused_when_it_looks_again() {
    let keys = KeyedLock::<u32>::new();
    let guard = keys.try_lock(7).expect("it is free");
    let mut first = Hand::queued(keys.lock(7).max_waiters(1));
    let _others = [Hand::queued(keys.lock(7)), Hand::queued(keys.lock(7))];
    first.change_task();
    assert!(first.poll().is_none(), "it is in the queue, however long that is");
    drop(guard);
    assert!(first.poll_while_woken().expect("it is the first").is_ok());
}

#[test]
fn without_room_a_free_key_is_had_and_a_held_one_is_not() {
    let keys = Arc::new(KeyedLock::<u32>::new());
    let guard = keys.lock(7).max_waiters(0).wait().expect("it is free");
    assert!(
        keys.lock(7).max_waiters(0).wait().is_err() && keys.lock_shared(7).max_waiters(0).wait().is_err()
    );
    assert!(keys.lock_owned(7).max_waiters(0).wait().is_err());
    drop(guard);
    let sharers =
        [keys.lock_shared_owned(7).max_waiters(0).wait(), keys.lock_shared_owned(7).max_waiters(0).wait()];
    assert!(sharers.iter().all(Result::is_ok) && keys.lock(7).max_waiters(0).wait().is_err());
    drop(sharers);
    assert!(keys.is_empty(), "a refusal leaves no entry");
}

#[test]
#[should_panic(expected = "not polled again after it was ready")]
fn a_refused_acquisition_is_over() {
    let keys = KeyedLock::<u32>::new();
    let _guard = keys.try_lock(7).expect("it is free");
    let mut refused = Hand::new(keys.lock(7).max_waiters(0));
    assert!(refused.poll().is_some());
    drop(refused.poll());
}
