//! `Semaphore` and its permits.

use std::sync::Arc;
use std::thread;

use latchwork::Semaphore;

use crate::support::{Hand, panic_of};

static ANALYSES: Semaphore = Semaphore::new(2);

#[test]
fn a_semaphore_can_be_a_static() {
    let permits = (ANALYSES.acquire().wait(), ANALYSES.acquire().wait());
    assert!(ANALYSES.try_acquire().is_err());
    drop(permits);
    assert_eq!(ANALYSES.available(), 2);
}

#[test]
fn permits_are_taken_and_given_back() {
    let semaphore = Arc::new(Semaphore::new(10));
    let permits = (
        semaphore.acquire().wait(),
        semaphore.acquire_many(2).wait(),
        semaphore.try_acquire_many(3).expect("they are there"),
    );
    let owned = (semaphore.acquire_owned().wait(), semaphore.acquire_many_owned(2).wait());
    let last = semaphore.try_acquire_owned().expect("it is there");
    assert_eq!((permits.0.count(), permits.1.count(), permits.2.count()), (1, 2, 3));
    assert_eq!((owned.0.count(), owned.1.count(), last.count()), (1, 2, 1));
    assert_eq!((semaphore.available(), semaphore.total()), (0, 10));
    let busy = semaphore.try_acquire_owned().map(drop).expect_err("all are out");
    assert_eq!((busy.waiters, busy.holder), (0, None));
    assert!(
        format!("{:?} {semaphore:?}", permits.1).starts_with("Permits { count: 2 } Semaphore { available: 0")
    );
    drop(permits);
    assert_eq!(semaphore.available(), 6);
    thread::spawn(move || drop((owned, last))).join().expect("it gives them back");
    assert_eq!(semaphore.available(), 10);
}

#[test]
fn forgotten_permits_are_gone() {
    let semaphore = Semaphore::new(3);
    semaphore.acquire_many(2).wait().forget();
    assert_eq!((semaphore.available(), semaphore.total()), (1, 1));
    semaphore.acquire_many(0).wait().forget();
    assert_eq!(semaphore.total(), 1);
    semaphore.add_permits(5);
    assert_eq!((semaphore.available(), semaphore.total()), (6, 6));
}

#[test]
fn permits_split_off_go_back_on_their_own() {
    let semaphore = Arc::new(Semaphore::new(4));
    let mut four = semaphore.acquire_many_owned(4).wait();
    assert!(four.split(5).is_none() && four.count() == 4, "there are not so many");
    let none = four.split(0).expect("none is always there");
    let all = four.split(4).expect("there are four");
    assert_eq!((none.count(), all.count(), four.count()), (0, 4, 0));
    drop((none, four));
    assert_eq!(semaphore.available(), 0);
    let mut waiter = Hand::queued(semaphore.acquire());
    let mut all = all;
    drop(all.split(1));
    assert!(waiter.poll_while_woken().is_some());
    all.split(1).expect("there are three").forget();
    drop(all);
    assert_eq!((semaphore.available(), semaphore.total()), (3, 3));
}

#[test]
fn added_permits_wake_those_who_wait_for_them() {
    let semaphore = Semaphore::new(0);
    let mut three = Hand::queued(semaphore.acquire_many(3));
    semaphore.add_permits(0);
    semaphore.add_permits(2);
    assert!(!three.is_woken());
    semaphore.add_permits(2);
    let three = three.poll_while_woken().expect("four are there");
    assert_eq!((three.count(), semaphore.available(), semaphore.total()), (3, 1, 4));
}

#[test]
fn more_permits_than_a_semaphore_can_have_are_not_added() {
    const MAX: usize = Semaphore::MAX_PERMITS;
    let full = Semaphore::new(MAX);
    let held = full.acquire_many(7).wait();
    for too_many in [1, MAX, usize::MAX] {
        assert_eq!(panic_of(|| full.add_permits(too_many)), "more than Semaphore::MAX_PERMITS permits");
        assert_eq!((full.available(), full.total()), (MAX - 7, MAX));
    }
    full.add_permits(0);
    held.forget();
    full.add_permits(7);
    assert_eq!((full.available(), full.total()), (MAX, MAX));
    assert_eq!(full.acquire_many(MAX).wait().count(), MAX);
    assert!(full.try_acquire_many(MAX + 1).is_err());
    assert_eq!(panic_of(|| Semaphore::new(MAX + 1)), "more than MAX_PERMITS permits");
    assert_eq!(panic_of(|| Semaphore::new(usize::MAX)), "more than MAX_PERMITS permits");
}

#[test]
fn a_semaphore_without_permits_has_nothing_to_give() {
    let semaphore = Semaphore::new(0);
    assert!(semaphore.try_acquire().is_err());
    let waiter = Hand::queued(semaphore.acquire());
    assert_eq!(semaphore.try_acquire().map(drop).expect_err("there are none").waiters, 1);
    drop(waiter);
    assert_eq!(semaphore.acquire_many(0).wait().count(), 0);
}

#[test]
fn a_panic_gives_permits_back() {
    let semaphore = Semaphore::new(2);
    panic_of(|| {
        let _permits = semaphore.acquire_many(2).wait();
        panic!("while they are out");
    });
    assert_eq!(semaphore.available(), 2);
}

#[test]
fn free_permits_are_forgotten_as_far_as_they_reach() {
    let semaphore = Semaphore::new(5);
    let held = semaphore.acquire_many(2).wait();
    assert_eq!(semaphore.forget_permits(0), 0);
    assert_eq!(semaphore.forget_permits(1), 1);
    assert_eq!((semaphore.available(), semaphore.total()), (2, 4));
    assert_eq!(semaphore.forget_permits(usize::MAX), 2);
    assert_eq!((semaphore.available(), semaphore.total()), (0, 2));
    assert_eq!(semaphore.forget_permits(1), 0);
    drop(held);
    assert_eq!((semaphore.available(), semaphore.total()), (2, 2));
}

#[test]
fn a_waiter_that_was_notified_of_permits_that_are_forgotten_waits_on() {
    let semaphore = Semaphore::new(1);
    let held = semaphore.acquire().wait();
    let mut waiter = Hand::queued(semaphore.acquire());
    drop(held);
    assert!(waiter.is_woken());
    assert_eq!(semaphore.forget_permits(1), 1);
    assert!(waiter.poll().is_none());
    semaphore.add_permits(1);
    assert!(waiter.poll_while_woken().is_some());
    assert_eq!((semaphore.available(), semaphore.total()), (1, 1));
}

#[test]
fn permits_that_are_forgotten_let_others_by_one_that_wants_them() {
    let semaphore = Semaphore::new(3);
    let held = semaphore.acquire().wait();
    let mut all = Hand::queued(semaphore.acquire_many(3));
    let mut one = Hand::queued(semaphore.acquire());
    assert_eq!(semaphore.forget_permits(1), 1);
    // Three are more than there ever will be, so it does not stand in front of the other any more.
    let one = one.poll_while_woken().expect("it is its turn");
    drop((one, held));
    assert!(all.poll().is_none());
    semaphore.add_permits(1);
    assert!(all.poll_while_woken().is_some());
}

#[test]
fn permits_are_merged_and_go_back_together() {
    let semaphore = Arc::new(Semaphore::new(4));
    let mut one = semaphore.acquire_owned().wait();
    one.merge(semaphore.acquire_many_owned(2).wait());
    one.merge(semaphore.acquire_many_owned(0).wait());
    assert_eq!((one.count(), semaphore.available()), (3, 1));
    assert!(Arc::ptr_eq(one.semaphore(), &semaphore));
    drop(one.split(2));
    assert_eq!(semaphore.available(), 3);

    let other = Semaphore::new(1);
    let mut foreign = other.acquire().wait();
    let panic = panic_of(|| foreign.merge(semaphore.acquire().wait()));
    assert_eq!(panic, "permits of different semaphores");
    assert_eq!((foreign.count(), semaphore.available()), (1, 3), "each goes back to its own");
    drop(foreign);
    assert_eq!(other.available(), 1);
}

#[test]
fn one_permit_or_many_are_tried_for() {
    let semaphore = Arc::new(Semaphore::new(4));
    let one = semaphore.try_acquire().expect("it is there");
    let two = semaphore.try_acquire_many_owned(2).expect("they are there");
    assert!(semaphore.try_acquire_many(2).is_err() && semaphore.try_acquire_many_owned(2).is_err());
    let last = semaphore.try_acquire_owned().expect("it is there");
    assert_eq!((one.count(), two.count(), last.count(), semaphore.available()), (1, 2, 1, 0));
}
