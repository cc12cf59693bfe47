//! Threads and tasks on the same lock, guards on the move, runtimes that go away.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Barrier};
use std::thread;

use latchwork::{KeyedLock, Mutex, RwLock, Semaphore};
use tokio::runtime::{Builder, Runtime};

use crate::support::{Hand, no_hang, until};
use crate::ways::every_way;

fn runtime() -> Runtime {
    Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime starts")
}

#[test]
fn threads_and_tasks_exclude_each_other() {
    const ROUNDS: usize = 2000;
    no_hang(|| {
        let mutex = Arc::new(Mutex::new(0_usize));
        let runtime = runtime();
        let tasks: Vec<_> = (0..4)
            .map(|_| {
                let mutex = mutex.clone();
                runtime.spawn(async move {
                    for round in 0..ROUNDS {
                        let mut guard = mutex.lock().await;
                        let seen = *guard;
                        if round % 8 == 0 {
                            tokio::task::yield_now().await;
                        }
                        *guard = seen + 1;
                    }
                })
            })
            .collect();
        thread::scope(|s| {
            for _ in 0..2 {
                s.spawn(|| (0..ROUNDS).for_each(|_| *mutex.lock().wait() += 1));
            }
        });
        runtime.block_on(async {
            for task in tasks {
                task.await.expect("no task panics");
            }
        });
        assert_eq!(*mutex.lock().wait(), 6 * ROUNDS);
    });
}

#[test]
fn every_way_excludes_threads_and_tasks() {
    const ROUNDS: usize = 300;
    no_hang(|| {
        let runtime = runtime();
        every_way(|way| {
            let (inside, entered) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
            let visit = {
                let (inside, entered) = (inside.clone(), entered.clone());
                move || {
                    assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0, "two are inside");
                    entered.fetch_add(1, Ordering::SeqCst);
                    inside.fetch_sub(1, Ordering::SeqCst);
                }
            };
            let tasks: Vec<_> = (0..3)
                .map(|_| {
                    let (way, visit) = (way.clone(), visit.clone());
                    runtime.spawn(async move {
                        for _ in 0..ROUNDS {
                            let held = way.acquire().await;
                            visit();
                            tokio::task::yield_now().await;
                            drop(held);
                        }
                    })
                })
                .collect();
            thread::scope(|s| {
                for _ in 0..2 {
                    s.spawn(|| {
                        for _ in 0..ROUNDS {
                            let held = way.wait();
                            visit();
                            drop(held);
                        }
                    });
                }
            });
            for task in tasks {
                runtime.block_on(task).expect("no task panics");
            }
            assert_eq!(entered.load(Ordering::SeqCst), 5 * ROUNDS);
            assert!(way.is_free());
        });
    });
}

#[test]
fn a_thread_that_parks_is_woken_by_a_task_and_a_task_by_a_thread() {
    no_hang(|| {
        let runtime = runtime();
        every_way(|way| {
            let held = runtime.block_on(way.acquire());
            thread::scope(|s| {
                let waiter = s.spawn(|| drop(way.wait()));
                until(|| way.waiters() == 1);
                runtime.block_on(async { drop(held) });
                waiter.join().expect("it gets the lock");
            });
            let held = way.wait();
            let task = runtime.spawn({
                let way = way.clone();
                async move { drop(way.acquire().await) }
            });
            until(|| way.waiters() == 1);
            drop(held);
            runtime.block_on(task).expect("it gets the lock");
        });
    });
}

#[test]
fn a_runtime_that_shuts_down_with_waiters_queued_leaves_the_lock_to_the_others() {
    no_hang(|| {
        every_way(|way| {
            let runtime = runtime();
            let held = way.wait();
            for _ in 0..10 {
                let way = way.clone();
                runtime.spawn(async move { drop(way.acquire().await) });
            }
            until(|| way.waiters() == 10);
            thread::scope(|s| {
                let thread = s.spawn(|| drop(way.wait()));
                until(|| way.waiters() == 11);
                drop(runtime);
                until(|| way.waiters() == 1);
                drop(held);
                thread.join().expect("it gets the lock");
            });
            assert!(way.is_free());
        });
    });
}

#[test]
fn a_runtime_that_shuts_down_with_the_lock_held_releases_it() {
    no_hang(|| {
        every_way(|way| {
            let runtime = runtime();
            let (send, taken) = channel();
            let lock = way.clone();
            runtime.spawn(async move {
                let _held = lock.acquire().await;
                send.send(()).expect("the test listens");
                std::future::pending::<()>().await;
            });
            taken.recv().expect("the task sends");
            assert!(!way.is_free());
            drop(runtime);
            assert!(way.is_free());
        });
    });
}

#[test]
fn a_task_that_is_aborted_releases_what_it_holds_or_waits_for() {
    no_hang(|| {
        let runtime = runtime();
        every_way(|way| {
            let held = way.wait();
            let lock = way.clone();
            let task = runtime.spawn(async move {
                let _held = lock.acquire().await;
                std::future::pending::<()>().await;
            });
            until(|| way.waiters() == 1);
            task.abort();
            assert!(runtime.block_on(task).expect_err("it was aborted").is_cancelled());
            assert_eq!(way.waiters(), 0);
            drop(held);
            assert!(way.is_free());
        });
    });
}

#[test]
fn a_guard_may_be_dropped_on_another_thread() {
    no_hang(|| {
        every_way(|way| {
            let held = way.wait();
            thread::scope(|s| {
                let waiter = s.spawn(|| drop(way.wait()));
                until(|| way.waiters() == 1);
                s.spawn(move || drop(held));
                waiter.join().expect("it gets the lock");
            });
        });
    });
}

#[test]
fn a_waiting_future_may_move_to_another_thread() {
    no_hang(|| {
        every_way(|way| {
            let held = way.wait();
            let (mut moved, dropped) = (Hand::queued(way.acquire()), Hand::queued(way.acquire()));
            thread::scope(|s| {
                s.spawn(move || drop(dropped)).join().expect("it leaves the line there");
                assert_eq!(way.waiters(), 1);
                let polled = s.spawn(move || {
                    moved.change_task();
                    assert!(moved.poll().is_none());
                    moved
                });
                let mut moved = polled.join().expect("it waits on");
                drop(held);
                let served = s.spawn(move || moved.poll_while_woken().is_some());
                assert!(served.join().expect("it does not panic"));
            });
            assert!(way.is_free());
        });
    });
}

#[test]
fn a_thread_that_panics_while_it_holds_the_lock_releases_it() {
    every_way(|way| {
        let lock = way.clone();
        let panicked = thread::spawn(move || {
            let _held = lock.wait();
            panic!("while it is held");
        })
        .join();
        assert!(panicked.is_err() && way.is_free());
    });
}

#[test]
fn an_owned_guard_may_be_the_last_to_hold_its_lock() {
    let mutex = Arc::new(Mutex::new(String::from("kept")));
    let guard = mutex.lock_owned().wait();
    drop(mutex);
    assert_eq!(*guard, "kept");
    thread::spawn(move || drop(guard)).join().expect("the lock goes with its guard");

    let keys = Arc::new(KeyedLock::<String>::new());
    let guard = keys.lock_owned("key").wait();
    drop(keys);
    assert_eq!(guard.key(), "key");
    thread::spawn(move || drop(guard)).join().expect("the table goes with its guard");

    let (rw, semaphore) = (Arc::new(RwLock::new(1)), Arc::new(Semaphore::new(1)));
    drop((rw.read_owned().wait(), semaphore.acquire_owned().wait(), rw, semaphore));
}

#[test]
fn readers_see_what_the_writer_before_them_wrote() {
    const ROUNDS: usize = 1000;
    no_hang(|| {
        let lock = RwLock::new((0_usize, 0_usize));
        let start = Barrier::new(4);
        thread::scope(|s| {
            for _ in 0..2 {
                s.spawn(|| {
                    start.wait();
                    for _ in 0..ROUNDS {
                        let mut both = lock.write().wait();
                        both.0 += 1;
                        both.1 += 1;
                    }
                });
                s.spawn(|| {
                    start.wait();
                    let mut latest = 0;
                    for _ in 0..ROUNDS {
                        let both = lock.read().wait();
                        assert!(both.0 == both.1 && both.0 >= latest);
                        latest = both.0;
                    }
                });
            }
        });
        assert_eq!(lock.into_inner(), (2 * ROUNDS, 2 * ROUNDS));
    });
}

#[test]
fn no_more_than_the_permits_are_ever_out() {
    const ROUNDS: usize = 500;
    no_hang(|| {
        let semaphore = Semaphore::new(3);
        let out = AtomicUsize::new(0);
        thread::scope(|s| {
            for count in [1, 1, 2, 3] {
                let (semaphore, out) = (&semaphore, &out);
                s.spawn(move || {
                    for _ in 0..ROUNDS {
                        let permits = semaphore.acquire_many(count).wait();
                        assert!(out.fetch_add(count, Ordering::SeqCst) + count <= 3);
                        out.fetch_sub(count, Ordering::SeqCst);
                        drop(permits);
                    }
                });
            }
        });
        assert_eq!(semaphore.available(), 3);
    });
}
