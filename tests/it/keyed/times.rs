//! What an observer of times is told, when, and what its panics do.

use std::panic::{panic_any, resume_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use latchwork::{
    KeyedLock,
    keyed::{KeyedBuilder, Timing},
};

use crate::support::{Event, Hand, hooked, no_hang, panic_of};

type Seen = Arc<Mutex<Vec<Timing>>>;

fn observed() -> (KeyedBuilder<u32>, Seen) {
    let seen = Seen::default();
    let book = seen.clone();
    let note = move |timing| book.lock().expect("it is not poisoned").push(timing);
    (KeyedLock::builder().observe_times(note), seen)
}

/// What was told since it was last asked: `w` for a wait, `h` for a hold.
fn kinds(seen: &Seen) -> String {
    let kind = |timing: Timing| match timing {
        Timing::Waited(_) => 'w',
        Timing::Held(_) => 'h',
        _ => '?',
    };
    seen.lock().expect("it is not poisoned").drain(..).map(kind).collect()
}

#[test]
fn each_wait_that_ends_with_a_grant_and_each_hold_is_told_once() {
    let (builder, seen) = observed();
    let keys = Arc::new(builder.build());
    drop(keys.try_lock(1));
    drop(keys.lock_shared(1).wait());
    drop(keys.lock_many([1, 2, 3]).wait());
    drop(keys.lock_owned(1).wait_timeout(Duration::ZERO));
    assert_eq!(kinds(&seen), "hhhhhh", "nobody waited");
    let guard = keys.lock(1).wait();
    let mut waiters = [Hand::queued(keys.lock(1)), Hand::queued(keys.lock(1))];
    drop(Hand::queued(keys.lock(1)));
    assert!(keys.try_lock(1).is_err() && keys.lock(1).wait_timeout(Duration::ZERO).is_err());
    assert_eq!(kinds(&seen), "", "whoever is refused or gives up is not told of");
    drop(guard);
    assert_eq!(kinds(&seen), "h");
    for waiter in &mut waiters {
        let guard = waiter.poll_while_woken().expect("it was told");
        assert_eq!(kinds(&seen), "w");
        drop(guard);
        assert_eq!(kinds(&seen), "h");
    }

    let (builder, seen) = observed();
    let seats = builder.build_semaphore(2);
    let two = seats.acquire_many(1, 2).wait();
    let mut waiter = Hand::queued(seats.acquire(1));
    drop(two);
    drop(waiter.poll());
    assert_eq!(kinds(&seen), "hwh", "permits that are held together are one hold");
}

#[test]
fn what_is_told_adds_up_to_the_times_of_the_table() {
    let (builder, seen) = observed();
    let keys = builder.build();
    for round in 0..20 {
        let guard = keys.lock(round % 3).wait();
        let mut waiter = Hand::queued(keys.lock(round % 3));
        drop(guard);
        drop(waiter.poll());
    }
    let (mut waited, mut held) = (Duration::ZERO, Duration::ZERO);
    assert_eq!(seen.lock().expect("it is not poisoned").len(), 60);
    for timing in seen.lock().expect("it is not poisoned").drain(..) {
        match timing {
            Timing::Waited(time) => waited += time,
            Timing::Held(time) => held += time,
            other => panic!("{other:?}"),
        }
    }
    let times = keys.counts().times.expect("an observer turns them on");
    assert_eq!((waited, held), (times.waited_total, times.held_total));
}

/// The key is released between its first attempt, which is refused, and the second.
#[test]
fn a_call_that_was_about_to_queue_and_did_not_has_not_waited() {
    let (builder, seen) = observed();
    let keys = Arc::new(builder.build());
    let guard = Mutex::new(Some(keys.lock_owned(1).wait()));
    let waker = hooked(move |event| {
        if event == Event::Cloned {
            drop(guard.lock().expect("it is not poisoned").take());
        }
    });
    let second = Hand::new(keys.lock(1)).poll_with(&waker).expect("the waker's clone has released it");
    assert_eq!((kinds(&seen).as_str(), keys.counts().waited), ("h", 0));
    drop(second);
    assert_eq!((kinds(&seen).as_str(), keys.counts().waiting), ("h", 0));
}

#[test]
fn without_an_observer_or_with_times_off_again_nothing_is_measured() {
    let keys = KeyedLock::<u32>::new();
    drop(keys.lock(1).wait());
    assert_eq!(keys.counts().times, None);
    let (builder, seen) = observed();
    let keys = builder.track_times(false).build();
    drop(keys.lock(1).wait());
    assert_eq!((keys.counts().times, kinds(&seen).as_str()), (None, ""));
}

#[test]
fn an_observer_may_use_the_table_of_which_it_is_told() {
    no_hang(|| {
        let slot: Arc<OnceLock<KeyedLock<u32>>> = Arc::default();
        let (table, was_free) = (slot.clone(), Arc::new(AtomicBool::new(false)));
        let (inside, free) = (AtomicBool::new(false), was_free.clone());
        let observer = move |timing| {
            let keys = table.get().expect("it was built");
            if inside.swap(true, Ordering::SeqCst) {
                return;
            }
            let _ = (keys.counts(), keys.snapshot().len(), keys.lock(2).wait().fence());
            let is_held = matches!(timing, Timing::Waited(_));
            free.store(keys.try_lock(1).is_err() == is_held, Ordering::SeqCst);
            inside.store(false, Ordering::SeqCst);
        };
        let built = KeyedLock::builder().shards(1).observe_times(observer).build();
        let keys = slot.get_or_init(|| built);
        let guard = keys.lock(1).wait();
        let mut waiter = Hand::queued(keys.lock(1));
        drop(guard);
        assert!(was_free.swap(false, Ordering::SeqCst), "it is told after the release");
        let guard = waiter.poll();
        assert!(was_free.load(Ordering::SeqCst), "it is told after the grant");
        drop(guard);
        assert!(keys.is_empty());
    });
}

/// A table whose observer panics when it is armed.
fn touchy() -> (KeyedLock<u32>, Arc<AtomicBool>) {
    let armed = Arc::new(AtomicBool::new(false));
    let fuse = armed.clone();
    let observer = move |_| assert!(!fuse.load(Ordering::SeqCst), "an observer that panics");
    (KeyedLock::builder().observe_times(observer).build(), armed)
}

#[test]
fn a_panic_of_the_observer_keeps_no_key() {
    let (keys, armed) = touchy();
    let guard = keys.lock(1).wait();
    let mut waiter = Hand::queued(keys.lock(1));
    armed.store(true, Ordering::SeqCst);
    assert_eq!(panic_of(|| drop(guard)), "an observer that panics");
    assert!(!keys.is_locked(1) && waiter.is_woken());
    // The guard that is given back is told of while the thread unwinds: that panic is swallowed.
    assert_eq!(panic_of(|| waiter.poll().is_some()), "an observer that panics");
    drop(waiter);
    assert_eq!(panic_of(|| keys.lock_many([1, 2, 3]).wait().len()), "an observer that panics");
    assert!(keys.is_empty());
    assert_eq!((keys.counts().acquired, keys.counts().waiting), (5, 0));
}

#[test]
fn a_panic_of_the_observer_while_a_thread_unwinds_is_swallowed() {
    let (keys, armed) = touchy();
    let guard = keys.lock(1).wait();
    let many = keys.lock_many([2, 3]).wait();
    armed.store(true, Ordering::SeqCst);
    let said = panic_of(|| {
        let _held = (guard, many);
        panic_any("the handler's own");
    });
    assert_eq!(said, "the handler's own");
    assert!(keys.is_empty());
}

/// Panics when it is dropped, as the payload of a panic may.
struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        panic!("a payload that panics");
    }
}

#[test]
fn a_swallowed_panic_whose_payload_panics_aborts_nothing() {
    let keys: KeyedLock<u32> = KeyedLock::builder().observe_times(|_| resume_unwind(Box::new(Bomb))).build();
    let guard = keys.lock(1).wait();
    let said = panic_of(|| {
        let _guard = guard;
        panic_any("the handler's own");
    });
    assert_eq!((said.as_str(), keys.len()), ("the handler's own", 0));
}

#[test]
fn waiting_counts_those_who_are_queued_now() {
    let keys = KeyedLock::<u32>::new();
    let guards = [keys.lock(1).wait(), keys.lock(2).wait()];
    assert_eq!(keys.counts().waiting, 0);
    let mut waiters: Vec<_> = [1, 1, 1, 2].into_iter().map(|key| Hand::queued(keys.lock(key))).collect();
    let not_polled = keys.lock(1);
    assert_eq!((keys.counts().waiting, keys.counts().longest_queue), (4, 3));
    assert!(keys.try_lock(1).is_err() && keys.lock(1).wait_timeout(Duration::ZERO).is_err());
    drop(waiters.remove(1));
    assert_eq!(keys.counts().waiting, 3, "whoever gave up is gone");
    drop(guards);
    assert_eq!(keys.counts().waiting, 3, "who was told waits until it has come");
    let newcomer = keys.try_lock(1).expect("nothing was handed over");
    assert!(waiters[0].poll().is_none());
    assert_eq!(keys.counts().waiting, 3, "whoever came in vain waits on");
    drop((newcomer, not_polled));
    let mut left = waiters.len();
    while let Some(at) = waiters.iter().position(Hand::is_woken) {
        drop(waiters.remove(at).poll().expect("it is free"));
        left -= 1;
        assert_eq!(keys.counts().waiting, left);
    }
    assert_eq!(left, 0);
}
