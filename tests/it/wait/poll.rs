//! What polling an acquisition does, step by step.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Waker};

use latchwork::{KeyedLock, Mutex, RwLock, Semaphore};

use crate::support::{Event, Hand, hooked, panic_of};
use crate::ways::every_way;

#[test]
fn nothing_happens_before_the_first_poll() {
    every_way(|way| {
        let acquire = way.acquire();
        let held = way.attempt().expect("an acquisition that was not polled holds nothing");
        assert_eq!(way.waiters(), 0, "nor does it wait");
        drop(held);
        drop(acquire);
        assert!(way.is_free());
    });
}

#[test]
fn what_is_free_is_had_at_the_first_poll() {
    every_way(|way| {
        let held = Hand::new(way.acquire()).poll().expect("it is free");
        assert!(!way.is_free());
        drop(held);
        assert!(way.is_free());
    });
}

#[test]
fn a_waiter_is_woken_once_by_the_release_and_not_before() {
    every_way(|way| {
        let held = way.attempt().expect("it is free");
        let mut waiter = Hand::queued(way.acquire());
        assert_eq!((waiter.wakes(), way.waiters()), (0, 1));
        drop(held);
        assert_eq!(waiter.wakes(), 1);
        let held = waiter.poll().expect("it was told");
        assert!(!way.is_free());
        drop(held);
        assert_eq!(waiter.wakes(), 1);
    });
}

#[test]
fn waiters_are_told_in_the_order_in_which_they_came() {
    every_way(|way| {
        let mut held = way.attempt().expect("it is free");
        let mut waiters: Vec<_> = (0..5).map(|_| Hand::queued(way.acquire())).collect();
        assert_eq!(way.waiters(), 5);
        for turn in 0..5 {
            drop(held);
            let woken: Vec<_> = (0..5).filter(|&i| waiters[i].is_woken()).collect();
            assert_eq!(woken, [turn]);
            held = waiters[turn].poll().expect("it was told");
        }
        drop(held);
        assert!(way.is_free());
    });
}

#[test]
fn a_newcomer_may_overtake_a_told_waiter_which_stays_first() {
    every_way(|way| {
        let held = way.attempt().expect("it is free");
        let mut first = Hand::queued(way.acquire());
        let second = Hand::queued(way.acquire());
        drop(held);
        let newcomer = Hand::new(way.acquire()).poll().expect("a release hands nothing over");
        assert!(first.is_woken() && first.poll().is_none(), "it came in vain");
        drop(newcomer);
        assert!(first.is_woken() && !second.is_woken(), "it has not lost its place");
        assert!(first.poll().is_some());
    });
}

#[test]
fn a_waiter_polled_without_being_told_keeps_its_place() {
    every_way(|way| {
        let held = way.attempt().expect("it is free");
        let mut first = Hand::queued(way.acquire());
        let mut second = Hand::queued(way.acquire());
        for _ in 0..3 {
            assert!(second.poll().is_none());
            assert!(first.poll().is_none());
        }
        assert_eq!(way.waiters(), 2);
        drop(held);
        assert!(first.is_woken() && !second.is_woken());
    });
}

#[test]
fn the_waker_of_the_latest_poll_is_the_one_that_is_woken() {
    every_way(|way| {
        let held = way.attempt().expect("it is free");
        let mut waiter = Hand::queued(way.acquire());
        let woken = Arc::new(AtomicUsize::new(0));
        let count = woken.clone();
        let latest = hooked(move |event| {
            count.fetch_add(usize::from(event == Event::Woken), Ordering::SeqCst);
        });
        assert!(waiter.poll_with(&latest).is_none());
        drop(held);
        assert_eq!((waiter.wakes(), woken.load(Ordering::SeqCst)), (0, 1));
        assert!(waiter.poll_with(&latest).is_some());
    });
}

#[test]
fn polling_with_the_same_waker_clones_it_once() {
    every_way(|way| {
        let clones = Arc::new(AtomicUsize::new(0));
        let count = clones.clone();
        let waker = hooked(move |event| {
            count.fetch_add(usize::from(event == Event::Cloned), Ordering::SeqCst);
        });
        let held = way.attempt().expect("it is free");
        let mut waiter = Hand::new(way.acquire());
        for _ in 0..5 {
            assert!(waiter.poll_with(&waker).is_none());
        }
        assert_eq!(clones.load(Ordering::SeqCst), 1);
        drop(held);
    });
}

#[test]
fn no_waker_is_left_behind() {
    every_way(|way| {
        let alive = Arc::new(());
        let held = way.attempt().expect("it is free");
        let mut waiters: Vec<_> = (0..3).map(|_| Hand::new(way.acquire())).collect();
        for waiter in &mut waiters {
            for _ in 0..2 {
                let mine = alive.clone();
                assert!(waiter.poll_with(&hooked(move |_| drop(mine.clone()))).is_none());
            }
        }
        assert_eq!(Arc::strong_count(&alive), 4, "one waker for each waiter");
        drop(held);
        assert_eq!(Arc::strong_count(&alive), 3, "a told waiter's waker is spent");
        drop(waiters);
        assert_eq!(Arc::strong_count(&alive), 1);
    });
}

#[test]
fn polled_again_after_it_was_ready_it_panics() {
    fn claim<F: Future>(future: F) {
        let mut future = pin!(future);
        let mut context = Context::from_waker(Waker::noop());
        let ready = future.as_mut().poll(&mut context);
        assert!(ready.is_ready());
        drop(ready);
        let said = panic_of(|| future.as_mut().poll(&mut context).is_ready());
        assert!(said.contains("not polled again after it was ready"), "{said}");
    }
    let (mutex, rw, permits) = (Mutex::new(0), RwLock::new(0), Semaphore::new(1));
    let keys = KeyedLock::<u32>::new();
    claim(mutex.lock());
    claim(rw.read());
    claim(rw.write());
    claim(permits.acquire());
    claim(keys.lock(1));
    claim(keys.lock_shared(1));
    claim(keys.lock_many([1, 2]));
    claim(keys.drained());
    claim(Arc::new(mutex).lock_owned());
}

#[test]
fn queued_waiters_are_served_with_two_polls_and_one_wake_each() {
    const MANY: usize = 2000;
    every_way(|way| {
        let mut held = way.attempt().expect("it is free");
        let mut waiters: Vec<_> = (0..MANY).map(|_| Hand::queued(way.acquire())).collect();
        for waiter in &mut waiters {
            drop(held);
            assert!(waiter.is_woken());
            held = waiter.poll().expect("the second poll is the last");
        }
        assert_eq!(waiters.iter().map(Hand::wakes).sum::<usize>(), MANY);
    });
}

#[test]
fn a_release_of_many_permits_tells_as_many_as_fit() {
    let semaphore = Semaphore::new(0);
    let mut waiters: Vec<_> = (0..30).map(|_| Hand::queued(semaphore.acquire())).collect();
    semaphore.add_permits(25);
    assert_eq!(waiters.iter().filter(|waiter| waiter.is_woken()).count(), 25);
    let permits: Vec<_> = waiters.iter_mut().filter_map(Hand::poll_while_woken).collect();
    assert_eq!((permits.len(), semaphore.available()), (25, 0));
    drop(permits);
    assert_eq!(waiters.iter_mut().filter_map(Hand::poll_while_woken).count(), 5);
    assert_eq!(semaphore.available(), 25);
}

#[test]
fn those_who_want_many_are_not_passed_by_those_behind_who_want_few() {
    let semaphore = Semaphore::new(4);
    let mut held = semaphore.acquire_many(4).wait();
    let mut three = Hand::queued(semaphore.acquire_many(3));
    let mut one = Hand::queued(semaphore.acquire());
    let part = held.split(2);
    drop(part);
    assert!(!three.is_woken() && !one.is_woken(), "two are there, three are wanted first");
    drop(held);
    assert!(three.is_woken() && one.is_woken(), "four are there, for both");
    let (three, one) = (three.poll().expect("told"), one.poll().expect("told"));
    assert_eq!((three.count(), one.count(), semaphore.available()), (3, 1, 0));
}

#[test]
fn a_release_notifies_all_for_whom_the_permits_suffice_and_nobody_else() {
    let semaphore = Semaphore::new(4);
    let held = [semaphore.acquire_many(2).wait(), semaphore.acquire_many(2).wait()];
    let mut waiters = [1, 2, 1, 1].map(|count| Hand::queued(semaphore.acquire_many(count)));
    let woken = |waiters: &[Hand<_>; 4]| waiters.each_ref().map(Hand::is_woken);
    let [first, second] = held;
    drop(first);
    assert_eq!(woken(&waiters), [true, false, false, false], "one of the two is left, and two are wanted");
    drop(second);
    assert_eq!(woken(&waiters), [true, true, true, false]);
    let taken: Vec<_> = waiters[..3].iter_mut().map(|waiter| waiter.poll().expect("notified")).collect();
    assert!(!waiters[3].is_woken());
    drop(taken);
    let one = waiters[3].poll().expect("notified");
    assert_eq!((one.count(), semaphore.available()), (1, 3));
}

#[test]
fn zero_permits_are_had_without_waiting() {
    let semaphore = Semaphore::new(1);
    let held = semaphore.acquire().wait();
    let waiter = Hand::queued(semaphore.acquire());
    assert_eq!(Hand::new(semaphore.acquire_many(0)).poll().map(|none| none.count()), Some(0));
    assert!(semaphore.try_acquire_many(0).is_ok());
    assert!(!waiter.is_woken(), "giving none back tells nobody");
    drop(held);
    assert!(waiter.is_woken());
}

#[test]
fn more_than_there_will_ever_be_are_waited_for_until_the_caller_gives_up() {
    let semaphore = Semaphore::new(2);
    let too_many = Hand::queued(semaphore.acquire_many(3));
    let far_too_many = Hand::queued(semaphore.acquire_many(usize::MAX));
    assert!(semaphore.try_acquire_many(usize::MAX).is_err());
    drop(far_too_many);
    drop(too_many);
    assert_eq!(Hand::new(semaphore.acquire_many(2)).poll().map(|two| two.count()), Some(2));
}

/// They went back to the front one after the other, the later one before the earlier.
#[test]
fn waiters_that_came_in_vain_keep_their_order() {
    let semaphore = Semaphore::new(4);
    let held = semaphore.try_acquire_many(4).expect("all are there");
    let mut one = Hand::queued(semaphore.acquire_many(1));
    let mut three = Hand::queued(semaphore.acquire_many(3));
    drop(held);
    assert!(one.is_woken() && three.is_woken());
    let mut held = semaphore.try_acquire_many(4).expect("nothing was handed over");
    assert!(one.poll().is_none() && three.poll().is_none());
    drop(held.split(1));
    assert!(one.poll_while_woken().is_some(), "it came first, and what it needs is there");
}
