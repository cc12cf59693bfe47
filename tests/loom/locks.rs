//! The locks from outside: exclusion, with the data it protects.

use std::pin::pin;

use latchwork::{Mutex, RwLock, Semaphore, rwlock::RwLockWriteGuard};
use loom::sync::Arc as LoomArc;
use loom::thread;
use std::sync::Arc;

use crate::support::{Seen, Watched, check, poll_once};

#[test]
fn two_tasks_never_hold_the_mutex_together_and_see_each_others_writes() {
    let seen = Seen::default();
    let noted = seen.clone();
    check(None, 18, move || {
        let mutex = Arc::new(Mutex::new(Watched::default()));
        let (other, noted) = (mutex.clone(), noted.clone());
        let task = thread::spawn({
            let noted = noted.clone();
            move || noted.task(other.lock()).add(1)
        });
        noted.task(mutex.lock()).add(1);
        task.join().unwrap();
        assert_eq!(mutex.try_lock().unwrap().get(), 2);
    });
    seen.both();
}

#[test]
fn three_waiters_never_hold_the_mutex_together() {
    check(Some(3), 1_300, || {
        let mutex = Arc::new(Mutex::new(Watched::default()));
        let actors: Vec<_> = (0..2)
            .map(|_| {
                let mutex = mutex.clone();
                thread::spawn(move || mutex.lock().wait().add(1))
            })
            .collect();
        mutex.lock().wait().add(1);
        for actor in actors {
            actor.join().unwrap();
        }
        assert_eq!(mutex.try_lock().unwrap().get(), 3);
    });
}

#[test]
fn a_thread_and_a_task_exclude_each_other() {
    let seen = Seen::default();
    let noted = seen.clone();
    check(None, 240, move || {
        let mutex = Arc::new(Mutex::new(Watched::default()));
        let other = mutex.clone();
        let worker = thread::spawn(move || {
            other.lock().wait().add(1);
            other.lock().wait().add(1);
        });
        noted.task(mutex.lock()).add(1);
        worker.join().unwrap();
        assert_eq!(mutex.try_lock().unwrap().get(), 3);
    });
    seen.both();
}

#[test]
fn try_lock_excludes_and_sees_what_the_last_holder_wrote() {
    check(None, 10, || {
        let mutex = Arc::new(Mutex::new(Watched::default()));
        let other = mutex.clone();
        let worker = thread::spawn(move || usize::from(other.try_lock().map(|guard| guard.add(1)).is_ok()));
        let here = usize::from(mutex.try_lock().map(|guard| guard.add(1)).is_ok());
        let there = worker.join().unwrap();
        assert!(here + there >= 1);
        assert_eq!(mutex.try_lock().unwrap().get(), here + there);
    });
}

#[test]
fn the_last_owned_guard_may_take_the_mutex_with_it() {
    check(None, 18, || {
        let alive = LoomArc::new(());
        let mutex = Arc::new(Mutex::new((Watched::default(), alive.clone())));
        let other = mutex.clone();
        let worker = thread::spawn(move || {
            let guard = other.lock_owned().wait();
            drop(other);
            guard.0.add(1);
        });
        let guard = mutex.lock_owned().wait();
        drop(mutex);
        guard.0.add(1);
        drop(guard);
        worker.join().unwrap();
        assert_eq!(LoomArc::strong_count(&alive), 1, "the mutex and its value are gone");
    });
}

#[test]
fn readers_share_and_see_what_the_writer_wrote() {
    let seen = Seen::default();
    let noted = seen.clone();
    check(Some(3), 10_000, move || {
        let lock = Arc::new(RwLock::new(Watched::default()));
        let readers: Vec<_> = (0..2)
            .map(|_| {
                let (lock, noted) = (lock.clone(), noted.clone());
                thread::spawn(move || {
                    let value = noted.task(lock.read()).get();
                    assert!(value == 0 || value == 2, "a reader saw a half-done write: {value}");
                })
            })
            .collect();
        let writer = lock.write().wait();
        writer.add(1);
        writer.add(1);
        drop(writer);
        for reader in readers {
            reader.join().unwrap();
        }
    });
    seen.both();
}

#[test]
fn a_writer_waits_for_every_reader() {
    let seen = Seen::default();
    let noted = seen.clone();
    check(Some(3), 10_000, move || {
        let lock = Arc::new(RwLock::new(Watched::default()));
        let readers: Vec<_> = (0..2)
            .map(|_| {
                let lock = lock.clone();
                thread::spawn(move || lock.read().wait().get())
            })
            .collect();
        noted.task(lock.write()).add(1);
        for reader in readers {
            assert!(reader.join().unwrap() <= 1);
        }
        assert_eq!(lock.try_read().unwrap().get(), 1);
    });
    seen.both();
}

#[test]
fn downgrade_lets_queued_readers_in_and_keeps_the_writer_out() {
    let seen = Seen::default();
    let noted = seen.clone();
    check(Some(3), 5_800, move || {
        let lock = Arc::new(RwLock::new(Watched::default()));
        let writer = lock.try_write().unwrap();
        let (reads, writes) = (lock.clone(), lock.clone());
        let reader = thread::spawn({
            let noted = noted.clone();
            move || noted.task(reads.read()).get()
        });
        let next = thread::spawn(move || writes.write().wait().add(1));
        writer.add(1);
        let kept = RwLockWriteGuard::downgrade(writer);
        assert_eq!(kept.get(), 1);
        drop(kept);
        assert!(reader.join().unwrap() >= 1);
        next.join().unwrap();
    });
    seen.both();
}

#[test]
fn permits_of_many_are_conserved() {
    let seen = Seen::default();
    let noted = seen.clone();
    check(Some(3), 10_000, move || {
        let semaphore = Arc::new(Semaphore::new(2));
        let held = Arc::new(std::sync::atomic::AtomicUsize::new(0));
        let actors: Vec<_> = [2, 1]
            .map(|count| {
                let (semaphore, noted, held) = (semaphore.clone(), noted.clone(), held.clone());
                thread::spawn(move || {
                    let permits = noted.task(semaphore.acquire_many(count));
                    assert!(held.fetch_add(count, std::sync::atomic::Ordering::Relaxed) + count <= 2);
                    held.fetch_sub(count, std::sync::atomic::Ordering::Relaxed);
                    drop(permits);
                })
            })
            .into_iter()
            .collect();
        drop(semaphore.acquire().wait());
        for actor in actors {
            actor.join().unwrap();
        }
        assert_eq!((semaphore.available(), semaphore.total()), (2, 2));
    });
    seen.both();
}

#[test]
fn one_release_of_many_permits_reaches_everyone_it_suffices_for() {
    check(None, 18_000, || {
        let semaphore = Arc::new(Semaphore::new(0));
        let actors: Vec<_> = (0..2)
            .map(|_| {
                let semaphore = semaphore.clone();
                thread::spawn(move || semaphore.acquire().wait().forget())
            })
            .collect();
        semaphore.add_permits(2);
        for actor in actors {
            actor.join().unwrap();
        }
        assert_eq!((semaphore.available(), semaphore.total()), (0, 0));
    });
}

#[test]
fn what_a_big_taker_leaves_reaches_the_next_small_one() {
    check(None, 2_600, || {
        let semaphore = Arc::new(Semaphore::new(0));
        let big = semaphore.clone();
        let mut first = pin!(big.acquire_many(2));
        assert!(poll_once(first.as_mut()).is_pending());
        let small = {
            let semaphore = semaphore.clone();
            thread::spawn(move || semaphore.acquire().wait().forget())
        };
        semaphore.add_permits(1);
        semaphore.add_permits(2);
        Seen::default().task_pinned(first).forget();
        small.join().unwrap();
        assert_eq!(semaphore.available(), 0);
    });
}

#[test]
fn a_bounded_line_never_has_more_waiters_than_it_may() {
    let seen = Seen::default();
    let noted = seen.clone();
    check(Some(3), 100, move || {
        let mutex = Arc::new(Mutex::new(Watched::default()));
        let guard = mutex.try_lock_owned().unwrap();
        let actors: Vec<_> = (0..2)
            .map(|_| {
                let (mutex, noted) = (mutex.clone(), noted.clone());
                thread::spawn(move || match mutex.lock().max_waiters(1).wait() {
                    Ok(value) => {
                        value.add(1);
                        noted.note(false);
                        true
                    }
                    Err(busy) => {
                        assert_eq!(busy.waiters, 1);
                        noted.note(true);
                        false
                    }
                })
            })
            .collect();
        let waiters = mutex.try_lock().map(drop).unwrap_err().waiters;
        assert!(waiters <= 1, "{waiters} wait");
        drop(guard);
        let had = actors.into_iter().filter_map(|actor| actor.join().ok()).filter(|had| *had).count();
        assert_eq!(mutex.try_lock().unwrap().get(), had);
    });
    seen.both();
}
