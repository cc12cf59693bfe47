//! Waiters that were notified and are not polled: they hold nothing, and the others go on.
//!
//! The "futurelock" of Oxide RFD 609 is a future that was granted a lock while its task awaits
//! something else that needs the same lock.

use std::sync::Arc;
use std::thread;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use latchwork::{KeyedLock, Mutex, RwLock, Semaphore, helper};
use tokio::runtime::{Builder, Runtime};

use crate::support::{
    Hand, alone, alone_with_helper, alone_without_threads, no_hang, rounds_of_patience, until,
};
use crate::ways::{Acquiring, Way, every_way, ways};

/// More than newcomers may overtake.
const OFTEN: usize = 2000;

/// A future that was notified, and is not polled by the tests.
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

#[test]
fn a_task_acquires_past_its_own_silent_future_on_a_current_thread_runtime() {
    alone_with_helper(
        "wait::futurelock::a_task_acquires_past_its_own_silent_future_on_a_current_thread_runtime",
        || runtime(0).block_on(acquires_past_a_silent_future_of_its_own()),
    );
}

#[test]
fn a_task_acquires_past_its_own_silent_future_on_a_multi_thread_runtime() {
    alone_with_helper(
        "wait::futurelock::a_task_acquires_past_its_own_silent_future_on_a_multi_thread_runtime",
        || {
            let runtime = runtime(2);
            let task = runtime.spawn(acquires_past_a_silent_future_of_its_own());
            runtime.block_on(task).expect("the task does not panic");
        },
    );
}

fn runtime(workers: usize) -> Runtime {
    let runtime = match workers {
        0 => Builder::new_current_thread().enable_all().build(),
        _ => Builder::new_multi_thread().worker_threads(workers).enable_all().build(),
    };
    runtime.expect("a runtime starts")
}

#[test]
fn threads_and_tasks_take_turns_past_a_silent_future() {
    alone_with_helper("wait::futurelock::threads_and_tasks_take_turns_past_a_silent_future", || {
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
                            runtime(0).block_on(async {
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
    });
}

#[test]
fn a_thread_parked_behind_many_silent_futures_has_its_turn() {
    alone_with_helper("wait::futurelock::a_thread_parked_behind_many_silent_futures_has_its_turn", || {
        every_way(|way| {
            let held = way.attempt().expect("it is free");
            let silent: Vec<_> = (0..600).map(|_| Hand::queued(way.acquire())).collect();
            no_hang({
                let way = way.clone();
                move || {
                    thread::scope(|s| {
                        s.spawn(|| drop(way.wait()));
                        until(|| way.waiters() == 601);
                        drop(held);
                    });
                }
            });
            drop(silent);
        });
    });
}

#[test]
fn a_parked_thread_gets_past_a_silent_future_where_the_helper_thread_cannot_start() {
    let name =
        "wait::futurelock::a_parked_thread_gets_past_a_silent_future_where_the_helper_thread_cannot_start";
    alone_without_threads(name, || {
        assert!(thread::Builder::new().spawn(|| ()).is_err(), "blind: threads start");
        every_way(|way| {
            let mut silent = silent(&way);
            while way.attempt().is_ok() {}
            assert_eq!(way.waiters(), 1, "it is reserved for the silent one");
            no_hang({
                let way = way.clone();
                move || drop(way.wait())
            });
            assert!(!helper::is_running());
            assert!(silent.poll().is_some(), "it may come late");
        });
    });
}

#[test]
fn one_behind_a_silent_waiter_is_woken_when_that_does_not_come() {
    alone("wait::futurelock::one_behind_a_silent_waiter_is_woken_when_that_does_not_come", || {
        every_way(|way| {
            let held = way.attempt().expect("it is free");
            let mut head = Hand::queued(way.acquire());
            let mut rivals = [Hand::queued(way.acquire()), Hand::queued(way.acquire())];
            drop(held);
            assert!(head.is_woken() && !rivals.iter().any(Hand::is_woken));
            rounds_of_patience();
            assert!(rivals[0].is_woken() && !rivals[1].is_woken());
            drop(rivals[0].poll().expect("nobody holds it"));
            assert!(rivals[1].is_woken(), "nobody counts on the silent one any more");
            let held = rivals[1].poll().expect("nobody holds it");
            assert!(head.poll().is_none());
            drop(held);
            assert!(head.poll_while_woken().is_some(), "it may come late");
        });
    });
}

#[test]
fn a_newcomer_gets_past_any_number_of_silent_waiters() {
    alone("wait::futurelock::a_newcomer_gets_past_any_number_of_silent_waiters", || {
        every_way(|way| {
            let held = way.attempt().expect("it is free");
            let silent: Vec<_> = (0..10_000).map(|_| Hand::queued(way.acquire())).collect();
            drop(held);
            let mut newcomer = loop {
                let mut newcomer = Hand::new(way.acquire());
                match newcomer.poll() {
                    Some(held) => drop(held),
                    None => break newcomer,
                }
            };
            // It may be woken together with silent ones that are older, and in vain until these are given up.
            let rounds = (0..100).find(|_| {
                helper::round();
                newcomer.poll_while_woken().is_some()
            });
            assert!(rounds.is_some(), "a hundred rounds do not do");
            // When nobody counts on them any more, they cost nothing.
            for _ in 0..100 {
                helper::round();
            }
            for _ in 0..OFTEN {
                drop(Hand::new(way.acquire()).poll().expect("nobody holds it"));
            }
            drop(silent);
        });
    });
}

#[test]
fn a_lock_that_is_only_tried_is_not_reserved_for_a_silent_waiter() {
    alone("wait::futurelock::a_lock_that_is_only_tried_is_not_reserved_for_a_silent_waiter", || {
        every_way(|way| {
            let silent = silent(&way);
            while way.attempt().is_ok() {}
            assert!(way.attempt().is_err(), "it was passed as often as it may be");
            rounds_of_patience();
            for _ in 0..OFTEN {
                drop(way.attempt().expect("nobody holds it"));
            }
            drop(silent);
        });
    });
}

/// Readers hold it, so the writer that is first in line can't be notified by any release.
#[test]
fn a_reader_gets_past_a_silent_writer() {
    alone("wait::futurelock::a_reader_gets_past_a_silent_writer", || {
        let lock = RwLock::new(());
        let keys = KeyedLock::<u32>::new();
        let held = (lock.try_read().expect("it is free"), keys.try_lock_shared(1).expect("it is free"));
        let silent = (Hand::queued(lock.write()), Hand::queued(keys.lock(1)));
        let mut readers = (Hand::queued(lock.read()), Hand::queued(keys.lock_shared(1)));
        rounds_that_ask();
        assert!(silent.0.is_woken() && silent.1.is_woken(), "they are asked whether they are there");
        rounds_of_patience();
        assert!(readers.0.poll_while_woken().is_some() && readers.1.poll_while_woken().is_some());
        assert!(lock.try_read().is_ok() && keys.try_lock_shared(1).is_ok());
        drop((held, silent));
    });
}

#[test]
fn a_single_permit_gets_past_a_silent_request_for_many() {
    alone("wait::futurelock::a_single_permit_gets_past_a_silent_request_for_many", || {
        let semaphore = Semaphore::new(4);
        let held = semaphore.acquire().wait();
        let silent = Hand::queued(semaphore.acquire_many(4));
        let mut one = Hand::queued(semaphore.acquire());
        rounds_that_ask();
        rounds_of_patience();
        assert!(one.poll_while_woken().is_some());
        drop((held, silent));
    });
}

#[test]
fn a_writer_that_is_there_keeps_its_place_however_often_it_is_asked() {
    alone("wait::futurelock::a_writer_that_is_there_keeps_its_place_however_often_it_is_asked", || {
        let lock = RwLock::new(());
        let held = lock.try_read().expect("it is free");
        let mut writer = Hand::queued(lock.write());
        let mut reader = Hand::queued(lock.read());
        for _ in 0..5000 {
            helper::round();
            assert!(writer.poll_while_woken().is_none() && !reader.is_woken());
        }
        assert!(writer.wakes() < 20, "{} times it was asked", writer.wakes());
        assert!(lock.try_read().is_err() && Hand::new(lock.read()).poll().is_none());
        drop(held);
        let held = writer.poll_while_woken().expect("the readers are gone");
        assert!(!reader.is_woken());
        drop(held);
        assert!(reader.poll_while_woken().is_some());
    });
}

/// Plays so many rounds that a front that has been blocked for long is asked whether it is there.
fn rounds_that_ask() {
    for _ in 0..9 {
        helper::round();
    }
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
    alone_with_helper("wait::futurelock::silent_readers_do_not_keep_a_writer_out", || {
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
    alone_with_helper("wait::futurelock::a_silent_waiter_for_all_permits_does_not_keep_them", || {
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
