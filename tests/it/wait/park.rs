//! Waiting on a thread, and waiting for a limited time.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use latchwork::{Mutex, TimedOut};

use crate::support::{Hand, alone_with_helper, no_hang, until};
use crate::ways::every_way;

/// Shorter than a timer's tick, shorter than the clock's, and nothing.
const SHORT: [Duration; 4] =
    [Duration::ZERO, Duration::from_nanos(1), Duration::from_micros(50), Duration::from_millis(2)];

#[test]
fn a_thread_waits_until_the_release() {
    no_hang(|| {
        every_way(|way| {
            let held = way.wait();
            thread::scope(|s| {
                let waiters = [(); 3].map(|()| s.spawn(|| drop(way.wait())));
                until(|| way.waiters() == 3);
                drop(held);
                for waiter in waiters {
                    waiter.join().expect("it gets the lock");
                }
            });
            assert!(way.is_free());
        });
    });
}

#[test]
fn any_timeout_is_enough_for_what_is_free() {
    every_way(|way| {
        for timeout in SHORT.into_iter().chain([Duration::MAX]) {
            assert!(way.wait_timeout(timeout).is_ok());
        }
    });
}

#[test]
fn a_short_timeout_ends_with_an_error_and_leaves_nothing() {
    every_way(|way| {
        for timeout in SHORT {
            let held = way.wait();
            let begin = Instant::now();
            assert!(way.wait_timeout(timeout).is_err());
            assert!(begin.elapsed() >= timeout, "it gave up early");
            assert_eq!(way.waiters(), 0);
            drop(held);
            assert!(way.is_free());
        }
    });
}

#[test]
fn an_endless_timeout_ends_with_the_guard() {
    no_hang(|| {
        every_way(|way| {
            let held = way.wait();
            thread::scope(|s| {
                let waiter = s.spawn(|| way.wait_timeout(Duration::MAX).is_ok());
                until(|| way.waiters() == 1);
                drop(held);
                assert!(waiter.join().expect("it does not panic"));
            });
        });
    });
}

#[test]
fn a_long_timeout_ends_with_the_release() {
    no_hang(|| {
        every_way(|way| {
            let held = way.wait();
            thread::scope(|s| {
                let waiter = s.spawn(|| way.wait_timeout(Duration::from_secs(3600)).is_ok());
                until(|| way.waiters() == 1);
                drop(held);
                assert!(waiter.join().expect("it does not panic"));
            });
        });
    });
}

#[test]
fn a_deadline_in_the_past_tries_once() {
    let mutex = Mutex::new(1);
    let past = Instant::now();
    let guard = mutex.lock().wait_deadline(past).expect("it is free");
    assert!(mutex.lock().wait_deadline(past).is_err());
    drop(guard);
    assert!(mutex.lock().wait_deadline(Instant::now() + Duration::from_secs(3600)).is_ok());
}

#[test]
fn a_thread_that_times_out_passes_on_what_it_was_told() {
    every_way(|way| {
        // Timeouts that come at the same time as the release, now before it and now after it.
        for round in 0..50 {
            let held = way.wait();
            thread::scope(|s| {
                let impatient = s.spawn(|| drop(way.wait_timeout(Duration::from_micros(20 * round))));
                let patient = s.spawn(|| drop(way.wait()));
                until(|| way.waiters() >= 1);
                drop(held);
                patient.join().expect("it gets the lock");
                impatient.join().expect("it gets the lock or gives up");
            });
            assert!(way.is_free());
        }
    });
}

#[test]
fn a_thread_waits_past_a_silent_waiter_with_and_without_a_timeout() {
    alone_with_helper("wait::park::a_thread_waits_past_a_silent_waiter_with_and_without_a_timeout", || {
        every_way(|way| {
            let held = way.wait();
            let silent = Hand::queued(way.acquire());
            thread::scope(|s| {
                let waiters = [
                    s.spawn(|| drop(way.wait())),
                    s.spawn(|| drop(way.wait_timeout(Duration::from_secs(3600)).expect("an hour is enough"))),
                ];
                until(|| way.waiters() == 3);
                drop(held);
                for waiter in waiters {
                    waiter.join().expect("it gets the lock");
                }
            });
            drop(silent);
            assert!(way.is_free());
        });
    });
}

#[test]
fn stray_unparks_do_not_end_a_wait() {
    no_hang(|| {
        let mutex = Mutex::new(());
        let guard = mutex.lock().wait();
        thread::scope(|s| {
            let waiter = s.spawn(|| drop(mutex.lock().wait()));
            until(|| mutex.try_lock().is_err_and(|busy| busy.waiters == 1));
            for _ in 0..100 {
                waiter.thread().unpark();
                thread::yield_now();
            }
            assert!(!waiter.is_finished());
            drop(guard);
        });
    });
}

#[test]
fn a_thread_local_destructor_may_wait() {
    struct AtExit(Arc<Mutex<u32>>);
    impl Drop for AtExit {
        fn drop(&mut self) {
            *self.0.lock().wait() += 1;
        }
    }
    thread_local! {
        static AT_EXIT: std::cell::RefCell<Option<AtExit>> = const { std::cell::RefCell::new(None) };
    }
    no_hang(|| {
        let mutex = Arc::new(Mutex::new(0));
        let guard = mutex.lock().wait();
        let thread = thread::spawn({
            let mutex = mutex.clone();
            move || AT_EXIT.with(|at_exit| *at_exit.borrow_mut() = Some(AtExit(mutex)))
        });
        until(|| mutex.try_lock().is_err_and(|busy| busy.waiters == 1));
        drop(guard);
        thread.join().expect("its destructors run");
        assert_eq!(*mutex.lock().wait(), 1);
    });
}

#[test]
fn the_error_says_what_happened_and_can_be_sent() {
    fn sendable<E: std::error::Error + Send + Sync + 'static>(
        error: E,
    ) -> Box<dyn std::error::Error + Send + Sync> {
        Box::new(error)
    }
    let mutex = Mutex::new(());
    let _guard = mutex.lock().wait();
    let timed_out: TimedOut = mutex.lock().wait_timeout(Duration::ZERO).map(drop).expect_err("it is held");
    assert_eq!(sendable(timed_out).to_string(), "timed out waiting for the lock");
    let busy = mutex.try_lock().map(drop).expect_err("it is held");
    assert_eq!((busy.waiters, busy.holder), (0, None));
    assert_eq!(sendable(busy).to_string(), "the lock is busy, 0 waiting");
}

#[cfg(feature = "tokio")]
mod in_a_task {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_timeout_in_a_task_takes_its_time_and_leaves_nothing() {
        for way in crate::ways::ways() {
            let held = way.acquire().await;
            let begin = tokio::time::Instant::now();
            assert!(way.timeout(Duration::from_secs(5)).await.is_err());
            assert!(begin.elapsed() >= Duration::from_secs(5));
            assert_eq!(way.waiters(), 0);
            drop(held);
            assert!(way.is_free());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn short_timeouts_in_a_task_end() {
        for way in crate::ways::ways() {
            for timeout in SHORT {
                drop(way.timeout(timeout).await.expect("it is free"));
                let held = way.acquire().await;
                assert!(way.timeout(timeout).await.is_err());
                drop(held);
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_endless_timeout_in_a_task_ends_with_the_guard() {
        for way in crate::ways::ways() {
            drop(way.timeout(Duration::MAX).await.expect("it is free"));
            let held = way.acquire().await;
            let task = tokio::spawn(way.timeout(Duration::MAX));
            tokio::time::sleep(Duration::from_secs(86_400)).await;
            assert_eq!(way.waiters(), 1);
            drop(held);
            assert!(task.await.expect("it does not panic").is_ok());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_task_that_times_out_passes_on_what_it_was_told() {
        for way in crate::ways::ways() {
            let held = way.acquire().await;
            let mut impatient = Hand::queued(way.timeout(Duration::from_secs(1)));
            let mut patient = Hand::queued(way.acquire());
            drop(held);
            let newcomer = way.attempt().expect("nothing was handed over");
            tokio::time::advance(Duration::from_secs(2)).await;
            assert!(impatient.poll().expect("its time is up").is_err());
            drop(newcomer);
            assert!(patient.poll_while_woken().is_some());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_timeout_that_is_dropped_leaves_nothing() {
        for way in crate::ways::ways() {
            let held = way.acquire().await;
            drop(Hand::queued(way.timeout(Duration::from_secs(1))));
            assert_eq!(way.waiters(), 0);
            drop(held);
        }
    }
}
