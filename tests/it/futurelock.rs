//! Waiters that were told and are not polled: they hold nothing, and the others go on.
//!
//! The "futurelock" of Oxide RFD 609 is a future that was granted a lock while its task awaits
//! something else that needs the same lock.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use latchwork::{Mutex, RwLock, Semaphore};

use crate::support::{Hand, no_hang};
use crate::ways::{Acquiring, Way, every_way, ways};

/// More than newcomers may overtake.
const OFTEN: usize = 2000;

/// A future that was told to come, and is not polled by the tests.
fn silent(way: &Arc<dyn Way>) -> Hand<Acquiring> {
    let held = way.attempt().expect("it is free");
    let waiter = Hand::queued(way.acquire());
    drop(held);
    assert!(waiter.is_woken());
    waiter
}

async fn acquires_past_a_silent_future_of_its_own() {
    for way in ways() {
        println!("{}", way.name());
        let mut silent = silent(&way);
        for _ in 0..OFTEN {
            drop(way.acquire().await);
        }
        assert!(silent.poll().is_some(), "it may come late");
    }
}

#[tokio::test]
async fn a_task_acquires_past_its_own_silent_future_on_a_current_thread_runtime() {
    acquires_past_a_silent_future_of_its_own().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_task_acquires_past_its_own_silent_future_on_a_multi_thread_runtime() {
    tokio::spawn(acquires_past_a_silent_future_of_its_own()).await.expect("the task does not panic");
}

#[test]
fn a_thread_acquires_past_a_silent_future() {
    every_way(|way| {
        let silent = silent(&way);
        no_hang({
            let way = way.clone();
            move || (0..OFTEN).for_each(|_| drop(way.wait()))
        });
        drop(silent);
    });
}

#[test]
fn threads_and_tasks_take_turns_past_a_silent_future() {
    every_way(|way| {
        let silent = silent(&way);
        no_hang({
            let way = way.clone();
            move || {
                thread::scope(|s| {
                    for _ in 0..2 {
                        s.spawn(|| (0..OFTEN).for_each(|_| drop(way.wait())));
                    }
                    s.spawn(|| {
                        let runtime = tokio::runtime::Builder::new_current_thread().build();
                        runtime.expect("a runtime starts").block_on(async {
                            for _ in 0..OFTEN {
                                drop(way.acquire().await);
                            }
                        });
                    });
                });
            }
        });
        drop(silent);
        assert!(way.is_free());
    });
}

#[test]
fn two_rivals_behind_a_silent_head_hear_of_the_next_releases() {
    every_way(|way| {
        let held = way.attempt().expect("it is free");
        let head = Hand::queued(way.acquire());
        let mut rivals = [Hand::queued(way.acquire()), Hand::queued(way.acquire())];
        drop(held);
        assert!(head.is_woken() && !rivals.iter().any(Hand::is_woken));
        drop(Hand::new(way.acquire()).poll().expect("nobody holds it"));
        assert!(rivals[0].is_woken() && !rivals[1].is_woken(), "a release goes past the silent head");
        drop(rivals[0].poll().expect("nobody holds it"));
        assert!(rivals[1].is_woken());
        drop(rivals[1].poll().expect("nobody holds it"));
        drop(head);
        assert!(way.is_free());
    });
}

#[test]
fn a_stand_in_makes_room_for_the_one_that_was_told() {
    every_way(|way| {
        let mut told = silent(&way);
        let mut stand_in = loop {
            let mut newcomer = Hand::new(way.acquire());
            match newcomer.poll() {
                Some(held) => drop(held),
                None => break newcomer,
            }
        };
        assert!(stand_in.is_woken(), "it looks again by itself, nobody else might wake it");
        let held = told.poll().expect("the told one comes first whenever it comes");
        assert!(stand_in.poll().is_none() && !stand_in.is_woken(), "now a release will wake it");
        drop(held);
        assert!(stand_in.poll_while_woken().is_some());
    });
}

#[test]
fn a_stand_in_goes_first_when_the_one_that_was_told_stays_away() {
    every_way(|way| {
        let silent = silent(&way);
        let mut newcomers = 0;
        let mut stand_in = loop {
            let mut newcomer = Hand::new(way.acquire());
            match newcomer.poll() {
                Some(held) => drop(held),
                None => break newcomer,
            }
            newcomers += 1;
        };
        assert!(newcomers <= 512);
        let held = loop {
            assert!(stand_in.is_woken(), "no other wake-up is to be expected");
            if let Some(held) = stand_in.poll() {
                break held;
            }
        };
        drop(held);
        drop(Hand::new(way.acquire()).poll().expect("the count of overtakings starts again"));
        drop(silent);
    });
}

#[tokio::test]
async fn a_loop_over_many_acquisitions_may_acquire_in_its_body() {
    let mutex = Mutex::new(0);
    let held = mutex.lock().await;
    let mut pending: FuturesUnordered<_> = (0..50).map(|_| mutex.lock()).collect();
    assert!(futures::poll!(pending.next()).is_pending());
    drop(held);
    while let Some(mut guard) = pending.next().await {
        *guard += 1;
        drop(guard);
        for _ in 0..50 {
            *mutex.lock().await += 1;
        }
    }
    assert_eq!(*mutex.lock().await, 50 + 50 * 50);
}

#[test]
fn silent_readers_do_not_keep_a_writer_out() {
    no_hang(|| {
        let lock = RwLock::new(0);
        let held = lock.try_write().expect("it is free");
        let silent: Vec<_> = (0..20).map(|_| Hand::queued(lock.read())).collect();
        drop(held);
        assert!(silent.iter().all(Hand::is_woken));
        for _ in 0..OFTEN {
            *lock.write().wait() += 1;
        }
        drop(silent);
        assert_eq!(lock.into_inner(), OFTEN);
    });
}

#[test]
fn a_silent_waiter_for_all_permits_does_not_keep_them() {
    no_hang(|| {
        let semaphore = Semaphore::new(4);
        let held = semaphore.acquire_many(1).wait();
        let mut all = Hand::queued(semaphore.acquire_many(4));
        drop(held);
        assert!(all.is_woken());
        for count in (1..=4).cycle().take(OFTEN) {
            drop(semaphore.acquire_many(count).wait());
        }
        assert_eq!(all.poll().map(|permits| permits.count()), Some(4));
    });
}

/// A refused newcomer told one waiter, and hung if another one stood before it.
#[test]
fn a_newcomer_gets_past_any_number_of_silent_waiters() {
    no_hang(|| {
        every_way(|way| {
            let held = way.attempt().expect("it is free");
            let silent: Vec<_> = (0..600).map(|_| Hand::queued(way.acquire())).collect();
            drop(held);
            for _ in 0..600 {
                let mut newcomer = Hand::new(way.acquire());
                while newcomer.poll().is_none() {
                    assert!(newcomer.is_woken(), "{}: it hangs, and nobody holds the lock", way.name());
                }
            }
            drop(silent);
        });
    });
}

/// The same with few futures, half a millisecond after the first overtaking.
#[tokio::test]
async fn a_task_acquires_twice_past_five_silent_futures_of_its_own() {
    let mutex = Arc::new(Mutex::new(()));
    let held = mutex.lock().await;
    let _silent: Vec<_> = (0..5).map(|_| Hand::queued(mutex.clone().lock_owned())).collect();
    drop(held);
    for _ in 0..3 {
        let got = tokio::time::timeout(Duration::from_secs(1), mutex.lock()).await;
        drop(got.expect("the lock is free, and this task is the only one that is polled"));
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}
