//! Several keys at once: sorted, each once, all or none.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use latchwork::KeyedLock;

use crate::support::{Hand, no_hang, until};

#[test]
fn keys_are_sorted_and_each_is_held_once() {
    let keys = KeyedLock::<String>::new();
    let many = keys.lock_many(["c", "a", "b", "a", "c"]).wait();
    assert_eq!(many.iter().map(|guard| guard.key().as_str()).collect::<Vec<_>>(), ["a", "b", "c"]);
    assert_eq!((many.len(), many.is_empty(), keys.len()), (3, false, 3));
    assert!(many.iter().all(|guard| !guard.is_shared()));
    assert!(format!("{many:?}").contains("\"b\""));
    drop(many);
    assert!(keys.is_empty());
    assert_eq!(keys.stats().acquired, 3);
}

#[test]
fn no_keys_are_had_at_once() {
    let keys = KeyedLock::<u32>::new();
    let none = keys.lock_many([0_u32; 0]).wait();
    assert!(none.is_empty() && none.iter().next().is_none());
    assert!(keys.try_lock_many(Vec::<u32>::new()).is_ok_and(|none| none.is_empty()));
}

#[test]
fn try_takes_all_or_none() {
    let keys = KeyedLock::<u32>::new();
    let two = keys.try_lock(2).expect("it is free");
    assert!(keys.try_lock_many([1, 2, 3]).is_err());
    assert_eq!((keys.is_locked(1), keys.is_locked(3), keys.len()), (false, false, 1));
    drop(two);
    let many = keys.try_lock_many([3, 1, 2]).expect("all are free");
    assert_eq!(many.len(), 3);
}

#[test]
fn what_comes_first_is_held_while_the_next_is_waited_for() {
    let keys = KeyedLock::<u32>::new();
    let two = keys.try_lock(2).expect("it is free");
    let mut many = Hand::queued(keys.lock_many([3, 2, 1]));
    assert_eq!([1, 2, 3].map(|key| keys.is_locked(key)), [true, true, false]);
    drop(two);
    let many = many.poll_while_woken().expect("all are free");
    assert_eq!(many.len(), 3);
}

#[test]
fn cancelled_half_way_it_holds_nothing() {
    let keys = KeyedLock::<u32>::new();
    let three = keys.try_lock(3).expect("it is free");
    let many = Hand::queued(keys.lock_many([1, 2, 3, 4]));
    let mut behind = Hand::queued(keys.lock(1));
    assert_eq!(keys.len(), 3);
    drop(many);
    assert!(behind.poll_while_woken().is_some(), "the first key is passed on");
    assert_eq!(keys.len(), 1);
    drop(three);

    // The same after it was told.
    let three = keys.try_lock(3).expect("it is free");
    let many = Hand::queued(keys.lock_many([1, 2, 3, 4]));
    let mut behind = Hand::queued(keys.lock(3));
    drop(three);
    assert!(many.is_woken());
    drop(many);
    assert!(behind.poll_while_woken().is_some());
    assert!(keys.is_empty());
}

#[test]
fn timed_out_half_way_it_holds_nothing() {
    let keys = KeyedLock::<u32>::new();
    let three = keys.try_lock(3).expect("it is free");
    for timeout in [Duration::ZERO, Duration::from_millis(1)] {
        assert!(keys.lock_many([1, 2, 3, 4]).wait_timeout(timeout).is_err());
        assert_eq!(keys.len(), 1);
    }
    drop(three);
    assert_eq!((keys.stats().timed_out, keys.stats().cancelled), (2, 0));
}

#[test]
fn it_waits_for_one_key_after_the_other() {
    let keys = KeyedLock::<u32>::new();
    let mut held: Vec<_> = (0..5).map(|key| keys.try_lock(key).expect("it is free")).collect();
    let mut many = Hand::queued(keys.lock_many(0..5));
    for guard in held.drain(..4) {
        drop(guard);
        assert!(many.is_woken() && many.poll().is_none());
    }
    held.clear();
    assert_eq!(many.poll_while_woken().map(|many| many.len()), Some(5));
}

#[test]
fn the_guards_can_be_released_one_by_one() {
    let keys = KeyedLock::<u32>::new();
    let mut guards = keys.lock_many([1, 2, 3]).wait().into_guards();
    drop(guards.remove(1));
    assert_eq!([1, 2, 3].map(|key| keys.is_locked(key)), [true, false, true]);
    drop(guards);
    assert!(keys.is_empty());
}

#[test]
fn opposite_orders_from_many_threads_and_tasks_do_not_deadlock() {
    const ROUNDS: usize = 1000;
    no_hang(|| {
        let keys = Arc::new(KeyedLock::<u32>::new());
        let values: Arc<[AtomicUsize; 4]> = Arc::default();
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().expect("it starts");
        let tasks = [[0, 1, 2], [2, 1, 0], [3, 0, 2]].map(|order| {
            let (keys, values) = (keys.clone(), values.clone());
            runtime.spawn(async move {
                for _ in 0..ROUNDS {
                    let many = keys.lock_many(order).await;
                    for guard in many.iter() {
                        let value = &values[*guard.key() as usize];
                        value.store(value.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
                    }
                    tokio::task::yield_now().await;
                }
            })
        });
        thread::scope(|s| {
            for order in [[3, 2, 1], [1, 2, 3]] {
                let (keys, values) = (&keys, &values);
                s.spawn(move || {
                    for _ in 0..ROUNDS {
                        let many = keys.lock_many(order).wait();
                        for guard in many.iter() {
                            let value = &values[*guard.key() as usize];
                            value.store(value.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
                        }
                    }
                });
            }
        });
        for task in tasks {
            runtime.block_on(task).expect("no task panics");
        }
        assert_eq!(values.each_ref().map(|value| value.load(Ordering::Relaxed) / ROUNDS), [3, 4, 5, 3]);
        assert!(keys.is_empty());
    });
}

#[test]
fn a_thread_that_waits_for_many_is_told_key_by_key() {
    no_hang(|| {
        let keys = KeyedLock::<u32>::new();
        let (one, two) = (keys.lock(1).wait(), keys.lock(2).wait());
        thread::scope(|s| {
            let many = s.spawn(|| keys.lock_many([2, 1]).wait().len());
            until(|| keys.try_lock(1).is_err_and(|busy| busy.waiters == 1));
            drop(one);
            until(|| keys.try_lock(2).is_err_and(|busy| busy.waiters == 1));
            drop(two);
            assert_eq!(many.join().expect("it gets both"), 2);
        });
    });
}
