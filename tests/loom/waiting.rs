//! The waiting core: no wake-up is lost, whatever is cancelled, silent, given up, swapped or notified in vain.

use std::sync::Arc;

use latchwork::{Mutex, RwLock, Semaphore, helper};
use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::thread;

use crate::support::{Seen, Watched, Woken, check, poll_once};

#[test]
fn a_release_that_races_a_cancel_reaches_the_third_waiter() {
    check(None, 70_000, || {
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
fn a_notified_head_that_is_dropped_passes_it_on() {
    let seen = Seen::default();
    let noted = seen.clone();
    check(None, 2_300, move || {
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

/// Plays rounds until all have finished, as the helper thread does.
fn rounds_until_all_are_done(done: &AtomicUsize, all: usize) {
    while done.load(Ordering::Acquire) < all {
        helper::round();
        thread::yield_now();
    }
}

#[test]
fn one_parked_behind_a_silent_head_has_its_turn() {
    check(Some(2), 88, || {
        let mutex = Arc::new(Mutex::new(Watched::default()));
        let done = Arc::new(AtomicUsize::new(0));
        let guard = mutex.try_lock().unwrap();
        let mut silent = Box::pin(mutex.lock());
        assert!(poll_once(silent.as_mut()).is_pending());
        let behind = {
            let (mutex, done) = (mutex.clone(), done.clone());
            thread::spawn(move || {
                mutex.lock().wait().add(1);
                done.fetch_add(1, Ordering::Release);
            })
        };
        drop(guard);
        rounds_until_all_are_done(&done, 1);
        behind.join().unwrap();
        assert_eq!(Seen::default().task(silent).get(), 1);
    });
}

#[test]
fn a_silent_head_keeps_neither_of_two_rivals_out() {
    check(Some(2), 5_900, || {
        let mutex = Arc::new(Mutex::new(Watched::default()));
        let done = Arc::new(AtomicUsize::new(0));
        let guard = mutex.try_lock().unwrap();
        let mut silent = Box::pin(mutex.lock());
        assert!(poll_once(silent.as_mut()).is_pending());
        drop(guard);
        let rivals: Vec<_> = (0..2)
            .map(|_| {
                let (mutex, done) = (mutex.clone(), done.clone());
                thread::spawn(move || {
                    mutex.lock().wait().add(1);
                    mutex.lock().wait().add(1);
                    done.fetch_add(1, Ordering::Release);
                })
            })
            .collect();
        rounds_until_all_are_done(&done, 2);
        for rival in rivals {
            rival.join().unwrap();
        }
        drop(silent);
        assert_eq!(mutex.try_lock().unwrap().get(), 4);
    });
}

#[test]
fn a_round_that_gives_up_one_who_comes_loses_nobody() {
    let seen = Seen::default();
    let noted = seen.clone();
    check(Some(3), 2_600, move || {
        let mutex = Arc::new(Mutex::new(Watched::default()));
        let guard = mutex.try_lock().unwrap();
        let both: Vec<_> = (0..2)
            .map(|_| {
                let (mutex, noted) = (mutex.clone(), noted.clone());
                thread::spawn(move || noted.task(mutex.lock()).add(1))
            })
            .collect();
        drop(guard);
        helper::round();
        for waiter in both {
            waiter.join().unwrap();
        }
        assert_eq!(mutex.try_lock().unwrap().get(), 2);
    });
    seen.both();
}

#[test]
fn a_round_that_gives_up_one_who_cancels_loses_nobody() {
    check(Some(3), 700, || {
        let mutex = Arc::new(Mutex::new(Watched::default()));
        let guard = mutex.try_lock().unwrap();
        let mut head = Box::pin(mutex.lock());
        assert!(poll_once(head.as_mut()).is_pending());
        let next = {
            let mutex = mutex.clone();
            thread::spawn(move || mutex.lock().wait().add(1))
        };
        let rounds = thread::spawn(helper::round);
        drop(guard);
        drop(head);
        next.join().unwrap();
        rounds.join().unwrap();
        assert_eq!(mutex.try_lock().unwrap().get(), 1);
    });
}

/// The word still says that permits are reserved for one that was given up.
#[test]
fn a_newcomer_sees_through_what_a_round_left_in_the_word() {
    check(None, 1, || {
        let mutex = Mutex::new(Watched::default());
        let guard = mutex.try_lock().unwrap();
        let mut silent = [(); 3].map(|()| Box::pin(mutex.lock()));
        for waiter in &mut silent {
            assert!(poll_once(waiter.as_mut()).is_pending());
        }
        drop(guard);
        mutex.lock().wait().add(1);
        mutex.lock().wait().add(1);
        assert!(mutex.try_lock().is_err(), "two have passed the first one");
        helper::round();
        mutex.try_lock().unwrap().add(1);
        Seen::default().task(mutex.lock()).add(1);
        assert!(mutex.try_lock().is_err(), "and two the second one");
        for waiter in silent {
            Seen::default().task(waiter).add(1);
        }
        assert_eq!(mutex.try_lock().unwrap().get(), 7);
    });
}

#[test]
fn a_newcomer_that_queues_while_a_round_gives_up_the_others_is_served() {
    check(Some(3), 14, || {
        let mutex = Arc::new(Mutex::new(Watched::default()));
        let done = Arc::new(AtomicUsize::new(0));
        let guard = mutex.try_lock().unwrap();
        let mut silent = Box::pin(mutex.lock());
        let mut other = Box::pin(mutex.lock());
        assert!(poll_once(silent.as_mut()).is_pending());
        assert!(poll_once(other.as_mut()).is_pending());
        drop(guard);
        let newcomer = {
            let (mutex, done) = (mutex.clone(), done.clone());
            thread::spawn(move || {
                for _ in 0..3 {
                    mutex.lock().wait().add(1);
                }
                done.fetch_add(1, Ordering::Release);
            })
        };
        rounds_until_all_are_done(&done, 1);
        newcomer.join().unwrap();
        drop((silent, other));
        assert_eq!(mutex.try_lock().unwrap().get(), 3);
    });
}

/// The releases found the lock taken again each time, and woke nobody.
#[test]
fn a_waiter_is_notified_though_a_newcomer_takes_what_was_released() {
    check(None, 30, || {
        let mutex = Arc::new(Mutex::new(Watched::default()));
        let guard = mutex.try_lock_owned().unwrap();
        let woken = Arc::new(Woken::default());
        let mut waiter = Box::pin(mutex.lock());
        assert!(woken.poll(waiter.as_mut()).is_pending());
        let holder = thread::spawn(move || drop(guard));
        let newcomer = mutex.try_lock();
        holder.join().unwrap();
        assert!(woken.is(), "it must come to see that it is passed");
        drop(newcomer);
        drop(waiter);
    });
}

#[test]
fn one_that_wanted_more_than_there_was_is_served_when_there_is() {
    let seen = Seen::default();
    let noted = seen.clone();
    check(None, 10, move || {
        let semaphore = Arc::new(Semaphore::new(1));
        let both = {
            let (semaphore, noted) = (semaphore.clone(), noted.clone());
            thread::spawn(move || drop(noted.task(semaphore.acquire_many(2))))
        };
        semaphore.add_permits(1);
        both.join().unwrap();
        assert_eq!(semaphore.available(), 2);
    });
    seen.both();
}

#[test]
fn permits_that_are_forgotten_let_those_through_behind_one_that_wants_them() {
    check(None, 7, || {
        let semaphore = Arc::new(Semaphore::new(2));
        let held = semaphore.try_acquire_owned().unwrap();
        let mut both = Box::pin(semaphore.acquire_many(2));
        assert!(poll_once(both.as_mut()).is_pending());
        let one = {
            let semaphore = semaphore.clone();
            thread::spawn(move || drop(semaphore.acquire().wait()))
        };
        held.forget();
        one.join().unwrap();
        assert_eq!((semaphore.available(), semaphore.total()), (1, 1));
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
    check(None, 34_000, || {
        let mutex = Arc::new(Mutex::new(Watched::default()));
        let guard = mutex.try_lock().unwrap();
        let mut head = Box::pin(mutex.lock());
        assert!(poll_once(head.as_mut()).is_pending());
        drop(guard);
        // Two that pass exhaust the bound of the model.
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
fn a_head_that_comes_in_vain_is_notified_again() {
    let seen = Seen::default();
    let noted = seen.clone();
    check(None, 1_700, move || {
        let mutex = Arc::new(Mutex::new(Watched::default()));
        let guard = mutex.try_lock().unwrap();
        let head = {
            let (mutex, noted) = (mutex.clone(), noted.clone());
            thread::spawn(move || noted.task(mutex.lock()).add(1))
        };
        drop(guard);
        // A newcomer that passes the head: notified, it comes, finds the lock taken, and queues again.
        let passing = mutex.lock().wait();
        passing.add(1);
        drop(passing);
        head.join().unwrap();
        assert_eq!(mutex.try_lock().unwrap().get(), 2);
    });
    seen.both();
}

#[test]
fn a_timeout_is_a_cancel_that_loses_nothing() {
    check(None, 1_600, || {
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
fn a_cancelled_writer_makes_way_for_the_reader_behind_it() {
    check(None, 7, || {
        let lock = Arc::new(RwLock::new(Watched::default()));
        let reader = lock.try_read().unwrap();
        let mut writer = Box::pin(lock.write());
        assert!(poll_once(writer.as_mut()).is_pending());
        let behind = {
            let lock = lock.clone();
            thread::spawn(move || lock.read().wait().get())
        };
        drop(writer);
        assert_eq!(behind.join().unwrap(), 0);
        drop(reader);
    });
}

#[test]
fn a_release_reaches_the_next_whoever_left_or_is_silent_before_it() {
    check(None, 1, || {
        let semaphore = Semaphore::new(2);
        let held = [semaphore.try_acquire().unwrap(), semaphore.try_acquire().unwrap()];
        let mut waiters = [(); 3].map(|()| Box::pin(semaphore.acquire()));
        let woken = [(); 3].map(|()| Arc::new(Woken::default()));
        for (waiter, woken) in waiters.iter_mut().zip(&woken) {
            assert!(woken.poll(waiter.as_mut()).is_pending());
        }
        let [first, second] = held;
        let [leaves, silent, last] = waiters;
        drop(first);
        assert!(woken[0].is() && !woken[1].is());
        drop(leaves);
        assert!(woken[1].is() && !woken[2].is());
        drop(second);
        assert!(woken[2].is());
        drop((silent, last));
    });
}

#[test]
fn a_cancelled_big_waiter_makes_way_for_the_small_one_behind_it() {
    check(Some(3), 12_000, || {
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
