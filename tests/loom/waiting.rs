//! The waiting core: no wake-up is lost, whatever is cancelled, silent, swapped or told in vain.

use std::sync::Arc;

use latchwork::{Mutex, Semaphore};
use loom::thread;

use crate::support::{Seen, Watched, Woken, check, poll_once};

#[test]
fn a_release_that_races_a_cancel_reaches_the_third_waiter() {
    check(None, 18_000, || {
        let mutex = Arc::new(Mutex::new(Watched::default()));
        let guard = mutex.try_lock_owned().unwrap();
        let mut cancelled = Box::pin(mutex.lock());
        assert!(poll_once(cancelled.as_mut()).is_pending());
        let third = {
            let mutex = mutex.clone();
            thread::spawn(move || mutex.lock().wait().add(1))
        };
        let holder = thread::spawn(move || {
            guard.add(1);
            drop(guard);
        });
        drop(cancelled);
        third.join().unwrap();
        holder.join().unwrap();
        assert_eq!(mutex.try_lock().unwrap().get(), 2);
    });
}

#[test]
fn a_told_head_that_is_dropped_passes_it_on() {
    let seen = Seen::default();
    let noted = seen.clone();
    check(None, 560, move || {
        let mutex = Arc::new(Mutex::new(Watched::default()));
        let guard = mutex.try_lock().unwrap();
        let mut head = Box::pin(mutex.lock());
        assert!(poll_once(head.as_mut()).is_pending());
        let next = {
            let (mutex, noted) = (mutex.clone(), noted.clone());
            thread::spawn(move || noted.task(mutex.lock()).add(1))
        };
        drop(guard);
        drop(head);
        next.join().unwrap();
        assert_eq!(mutex.try_lock().unwrap().get(), 1);
    });
    seen.both();
}

#[test]
fn a_silent_head_keeps_neither_of_two_rivals_out() {
    check(Some(3), 7_100, || {
        let mutex = Arc::new(Mutex::new(Watched::default()));
        let guard = mutex.try_lock().unwrap();
        let mut silent = Box::pin(mutex.lock());
        assert!(poll_once(silent.as_mut()).is_pending());
        drop(guard);
        let rivals: Vec<_> = (0..2)
            .map(|_| {
                let mutex = mutex.clone();
                thread::spawn(move || {
                    mutex.lock().wait().add(1);
                    mutex.lock().wait().add(1);
                })
            })
            .collect();
        for rival in rivals {
            rival.join().unwrap();
        }
        assert_eq!(mutex.try_lock().unwrap().get(), 4);
        drop(silent);
    });
}

#[test]
fn whoever_goes_past_a_silent_head_tells_those_parked_behind_it() {
    check(None, 1, || {
        let mutex = Arc::new(Mutex::new(Watched::default()));
        let guard = mutex.try_lock().unwrap();
        let mut silent = Box::pin(mutex.lock());
        assert!(poll_once(silent.as_mut()).is_pending());
        let woken = Arc::new(Woken::default());
        let mut second = Box::pin(mutex.lock());
        assert!(woken.poll(second.as_mut()).is_pending());
        drop(guard);
        let newcomer = {
            let mutex = mutex.clone();
            thread::spawn(move || mutex.lock().wait().add(1))
        };
        newcomer.join().unwrap();
        assert!(woken.is(), "the newcomer's release tells the second");
        Seen::default().task(second).add(1);
        assert_eq!(mutex.try_lock().unwrap().get(), 2);
        drop(silent);
    });
}

#[test]
fn the_same_task_goes_past_its_own_silent_future_for_ever() {
    check(None, 1, || {
        let mutex = Mutex::new(Watched::default());
        let guard = mutex.try_lock().unwrap();
        let mut silent = Box::pin(mutex.lock());
        assert!(poll_once(silent.as_mut()).is_pending());
        drop(guard);
        for _ in 0..6 {
            Seen::default().task(mutex.lock()).add(1);
        }
        assert_eq!(Seen::default().task(silent).get(), 6);
    });
}

#[test]
fn a_waker_swapped_between_polls_is_the_one_that_is_woken() {
    let seen = Seen::default();
    let noted = seen.clone();
    check(None, 98, move || {
        let mutex = Arc::new(Mutex::new(Watched::default()));
        let guard = mutex.try_lock_owned().unwrap();
        let moved = {
            let (mutex, noted) = (mutex.clone(), noted.clone());
            thread::spawn(move || {
                let mut waiting = Box::pin(mutex.lock());
                match poll_once(waiting.as_mut()) {
                    std::task::Poll::Ready(guard) => {
                        noted.note(false);
                        guard.add(1);
                    }
                    std::task::Poll::Pending => {
                        noted.note(true);
                        Seen::default().task(waiting).add(1);
                    }
                }
            })
        };
        guard.add(1);
        drop(guard);
        moved.join().unwrap();
        assert_eq!(mutex.try_lock().unwrap().get(), 2);
    });
    seen.both();
}

#[test]
fn newcomers_refused_at_the_bound_get_on_when_the_head_is_cancelled() {
    check(None, 26_000, || {
        let mutex = Arc::new(Mutex::new(Watched::default()));
        let guard = mutex.try_lock().unwrap();
        let mut head = Box::pin(mutex.lock());
        assert!(poll_once(head.as_mut()).is_pending());
        drop(guard);
        // Two overtakings exhaust the bound of the model.
        mutex.lock().wait().add(1);
        mutex.lock().wait().add(1);
        let newcomers: Vec<_> = (0..2)
            .map(|_| {
                let mutex = mutex.clone();
                thread::spawn(move || mutex.lock().wait().add(1))
            })
            .collect();
        drop(head);
        for newcomer in newcomers {
            newcomer.join().unwrap();
        }
        assert_eq!(mutex.try_lock().unwrap().get(), 4);
    });
}

#[test]
fn a_head_that_comes_in_vain_is_told_again() {
    let seen = Seen::default();
    let noted = seen.clone();
    check(None, 230, move || {
        let mutex = Arc::new(Mutex::new(Watched::default()));
        let guard = mutex.try_lock().unwrap();
        let head = {
            let (mutex, noted) = (mutex.clone(), noted.clone());
            thread::spawn(move || noted.task(mutex.lock()).add(1))
        };
        drop(guard);
        // A newcomer that overtakes the head: told, it comes, finds the lock taken, and queues again.
        let overtaking = mutex.lock().wait();
        overtaking.add(1);
        drop(overtaking);
        head.join().unwrap();
        assert_eq!(mutex.try_lock().unwrap().get(), 2);
    });
    seen.both();
}

#[test]
fn a_timeout_is_a_cancel_that_loses_nothing() {
    check(None, 540, || {
        let mutex = Arc::new(Mutex::new(Watched::default()));
        let guard = mutex.try_lock_owned().unwrap();
        let holder = thread::spawn(move || drop(guard));
        let mut timed = Box::pin(mutex.lock());
        let taken = match poll_once(timed.as_mut()) {
            std::task::Poll::Ready(guard) => {
                guard.add(1);
                1
            }
            std::task::Poll::Pending => 0,
        };
        drop(timed);
        mutex.lock().wait().add(1);
        holder.join().unwrap();
        assert_eq!(mutex.try_lock().unwrap().get(), 1 + taken);
    });
}

#[test]
fn a_cancelled_big_waiter_makes_way_for_the_small_one_behind_it() {
    check(Some(3), 17_000, || {
        let semaphore = Arc::new(Semaphore::new(1));
        let mut big = Box::pin(semaphore.acquire_many(2));
        assert!(poll_once(big.as_mut()).is_pending());
        let small: Vec<_> = (0..2)
            .map(|_| {
                let semaphore = semaphore.clone();
                thread::spawn(move || {
                    drop(semaphore.acquire().wait());
                    drop(semaphore.acquire().wait());
                })
            })
            .collect();
        // The model's bound lets one of them overtake, then they queue behind the big one.
        drop(big);
        for small in small {
            small.join().unwrap();
        }
        assert_eq!(semaphore.available(), 1);
    });
}

#[test]
fn what_the_last_of_those_told_leaves_reaches_the_next_in_line() {
    check(None, 1, || {
        let semaphore = Semaphore::new(0);
        let mut one = Box::pin(semaphore.acquire());
        assert!(poll_once(one.as_mut()).is_pending());
        semaphore.add_permits(2);
        let mut three = Box::pin(semaphore.acquire_many(3));
        assert!(poll_once(three.as_mut()).is_pending());
        // Two overtakings reach the model's bound: the next one queues though a permit is there.
        drop(semaphore.acquire().wait());
        let woken = Arc::new(Woken::default());
        let mut next = Box::pin(semaphore.acquire());
        assert!(woken.poll(next.as_mut()).is_pending());
        semaphore.add_permits(3);
        Seen::default().task(one).forget();
        Seen::default().task(three).forget();
        assert!(woken.is(), "one permit is left, and nobody else will tell");
        Seen::default().task(next).forget();
        assert_eq!(semaphore.total(), 0);
    });
}
