//! Dropping an acquisition at every point of its life.

use std::sync::Arc;

use latchwork::{KeyedLock, Mutex, Semaphore};

use crate::support::Hand;
use crate::ways::{Acquiring, Way, every_way};

/// Polls whoever is woken until nobody is. Returns how many were served; each releases at once.
fn serve(waiters: &mut Vec<Hand<Acquiring>>) -> usize {
    let mut served = 0;
    while let Some(at) = waiters.iter().position(Hand::is_woken) {
        if let Some(held) = waiters[at].poll() {
            drop(waiters.remove(at));
            drop(held);
            served += 1;
        }
    }
    served
}

fn line(way: &Arc<dyn Way>, len: usize) -> Vec<Hand<Acquiring>> {
    (0..len).map(|_| Hand::queued(way.acquire())).collect()
}

#[test]
fn dropped_waiter_passes_the_notification_on() {
    every_way(|way| {
        let held = way.attempt().expect("it is free");
        let (first, mut second) = (Hand::queued(way.acquire()), Hand::queued(way.acquire()));
        drop(held);
        assert!(first.is_woken() && !second.is_woken());
        drop(first);
        assert!(second.is_woken());
        assert!(second.poll().is_some());
    });
}

#[test]
fn whoever_leaves_the_queue_the_others_are_served() {
    every_way(|way| {
        for leaver in 0..4 {
            let held = way.attempt().expect("it is free");
            let mut waiters = line(&way, 4);
            drop(waiters.remove(leaver));
            assert_eq!(way.waiters(), 3);
            drop(held);
            assert_eq!(serve(&mut waiters), 3);
            assert!(way.is_free());
        }
    });
}

#[test]
fn whoever_leaves_after_the_release_the_others_are_served() {
    every_way(|way| {
        for first in 0..4 {
            for second in 0..3 {
                let held = way.attempt().expect("it is free");
                let mut waiters = line(&way, 4);
                drop(held);
                drop(waiters.remove(first));
                drop(waiters.remove(second));
                assert_eq!(serve(&mut waiters), 2);
                assert!(way.is_free());
            }
        }
    });
}

#[test]
fn whoever_leaves_while_one_came_in_vain_the_others_are_served() {
    for leaver in 0..3 {
        every_way(|way| {
            let held = way.attempt().expect("it is free");
            let mut waiters = line(&way, 3);
            drop(held);
            let newcomer = way.attempt().expect("nothing was handed over");
            assert!(waiters[0].poll().is_none());
            drop(waiters.remove(leaver));
            drop(newcomer);
            assert_eq!(serve(&mut waiters), 2);
            assert!(way.is_free());
        });
    }
}

#[test]
fn a_whole_line_that_leaves_leaves_nothing() {
    every_way(|way| {
        for told in [false, true] {
            let mut held = Some(way.attempt().expect("it is free"));
            let waiters = line(&way, 5);
            if told {
                held = None;
            }
            drop(waiters);
            drop(held);
            assert!(way.is_free());
            assert_eq!(way.waiters(), 0);
        }
    });
}

#[test]
fn a_newcomer_that_was_refused_and_leaves_keeps_nobody_out() {
    every_way(|way| {
        let held = way.attempt().expect("it is free");
        let first = Hand::queued(way.acquire());
        drop(held);
        let newcomer = refused(&way);
        let mut behind = Hand::queued(way.acquire());
        drop(newcomer);
        drop(first);
        assert!(behind.is_woken(), "its turn has come");
        drop(behind.poll().expect("nobody holds it"));
        assert!(way.is_free());
    });
}

/// Lets newcomers pass the line until one is refused although nobody holds the lock.
fn refused(way: &Arc<dyn Way>) -> Hand<Acquiring> {
    for _ in 0..=512 {
        let mut newcomer = Hand::new(way.acquire());
        match newcomer.poll() {
            Some(held) => drop(held),
            None => return newcomer,
        }
    }
    panic!("the eldest is passed 512 times at most")
}

#[test]
fn a_told_waiter_for_many_that_leaves_tells_all_who_fit() {
    let semaphore = Semaphore::new(4);
    let held = semaphore.acquire_many(4).wait();
    let four = Hand::queued(semaphore.acquire_many(4));
    let mut ones: Vec<_> = (0..5).map(|_| Hand::queued(semaphore.acquire())).collect();
    drop(held);
    assert!(four.is_woken() && !ones.iter().any(Hand::is_woken));
    drop(four);
    assert_eq!(ones.iter().filter(|one| one.is_woken()).count(), 4);
    assert_eq!(ones.iter_mut().filter_map(Hand::poll_while_woken).count(), 5);
}

#[test]
fn a_queued_waiter_for_many_that_leaves_lets_those_behind_it_through() {
    let semaphore = Semaphore::new(4);
    let held = semaphore.acquire_many(2).wait();
    let four = Hand::queued(semaphore.acquire_many(4));
    // As many newcomers as may pass the line have passed it.
    let mut ones = Vec::new();
    while ones.len() < 3 {
        let mut one = Hand::new(semaphore.acquire());
        if one.poll().is_none() {
            ones.push(one);
        }
    }
    assert_eq!(semaphore.available(), 2);
    drop(four);
    assert_eq!(ones.iter().filter(|one| one.is_woken()).count(), 2, "two permits were there all the time");
    drop(held);
    assert_eq!(ones.iter_mut().filter_map(Hand::poll_while_woken).count(), 3);
}

#[test]
#[allow(clippy::mem_forget)] // That is the case.
fn a_forgotten_waiter_outlives_its_lock_unharmed() {
    let mutex = Mutex::new(String::from("kept"));
    let guard = mutex.try_lock().expect("it is free");
    std::mem::forget(Hand::queued(mutex.lock()));
    drop(guard);
    assert!(mutex.try_lock().is_ok_and(|guard| *guard == "kept"), "what it was notified of is not held");
    drop(Hand::new(mutex.lock()).poll().expect("nobody holds it"));
    drop(mutex);

    let keys = KeyedLock::<u32>::new();
    let guard = keys.try_lock(7).expect("it is free");
    std::mem::forget(Hand::queued(keys.lock(7)));
    drop(guard);
    assert!(keys.try_lock(7).is_ok());
    assert_eq!(keys.len(), 1, "it still waits, for all that one can know");
    drop(keys);
}
