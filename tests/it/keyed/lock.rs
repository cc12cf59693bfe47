//! Locks for each key: every method, fences, and what is left behind (nothing).

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use latchwork::{Fence, KeyedLock, KeyedSemaphore, fence::FenceGate, keyed::KeyedGuard};

use crate::support::{Hand, no_hang, until};

#[test]
fn one_caller_at_a_time_holds_a_key() {
    let keys = KeyedLock::<String>::new();
    let guard = keys.try_lock("ada").expect("it is free");
    assert_eq!((guard.key().as_str(), guard.is_shared()), ("ada", false));
    assert!(keys.is_locked("ada"));
    assert!(keys.try_lock("ada").is_err() && keys.try_lock_shared("ada").is_err());
    drop(guard);
    assert!(!keys.is_locked("ada"));
    assert!(keys.try_lock("ada").is_ok());
}

#[test]
fn many_callers_share_a_key() {
    let keys = KeyedLock::<u32>::new();
    let mut sharers: Vec<_> =
        (0..10).map(|_| keys.try_lock_shared(7).expect("nobody has it alone")).collect();
    sharers.push(keys.lock_shared(7).wait());
    assert!(sharers.iter().all(KeyedGuard::is_shared) && keys.is_locked(7));
    assert_eq!((keys.len(), keys.snapshot()[0].holders()), (1, 11));
    let mut alone = Hand::queued(keys.lock(7));
    while let Some(sharer) = sharers.pop() {
        assert!(!alone.is_woken());
        drop(sharer);
    }
    let alone = alone.poll_while_woken().expect("all sharers have gone");
    assert!(!alone.is_shared() && keys.try_lock_shared(7).is_err());
}

#[test]
fn the_release_of_one_who_had_it_alone_lets_all_sharers_in() {
    let keys = KeyedLock::<u32>::new();
    let alone = keys.try_lock(7).expect("it is free");
    let mut sharers: Vec<_> = (0..20).map(|_| Hand::queued(keys.lock_shared(7))).collect();
    let mut next = Hand::queued(keys.lock(7));
    drop(alone);
    let guards: Vec<_> = sharers.iter_mut().map(|sharer| sharer.poll_while_woken().expect("told")).collect();
    assert!(!next.is_woken());
    drop(guards);
    assert!(next.poll_while_woken().is_some());
}

#[test]
fn owned_guards_leave_their_scope() {
    let keys = Arc::new(KeyedLock::<String>::new());
    let alone = keys.try_lock_owned("a").expect("it is free");
    let shared =
        [keys.lock_shared_owned("b").wait(), keys.try_lock_shared_owned("b").expect("nobody has it alone")];
    let many = keys.lock_many_owned(["c", "d"]).wait();
    assert!(keys.try_lock_many_owned(["d", "e"]).is_err() && keys.try_lock_owned("b").is_err());
    assert!(keys.try_lock_shared_owned("a").is_err() && !keys.is_locked("e"));
    let waiter = thread::spawn({
        let keys = keys.clone();
        move || keys.lock_owned("a").wait().fence()
    });
    until(|| keys.try_lock("a").is_err_and(|busy| busy.waiters == 1));
    let first = alone.fence();
    thread::spawn(move || drop((alone, shared, many))).join().expect("it drops them");
    assert!(waiter.join().expect("it gets the key") > first);
    assert!(keys.is_empty());
}

#[test]
fn different_keys_do_not_wait_for_each_other() {
    for shards in [1, 2, 64] {
        let keys: KeyedLock<u32> = KeyedLock::builder().shards(shards).build();
        let guards: Vec<_> = (0..200).map(|key| keys.try_lock(key).expect("no other key matters")).collect();
        assert_eq!(keys.len(), 200);
        assert!((0..200).all(|key| keys.try_lock(key).is_err()));
        drop(guards);
        assert_eq!(keys.len(), 0);
    }
}

#[test]
fn a_thread_that_waits_for_one_key_does_not_block_the_others() {
    no_hang(|| {
        let keys: KeyedLock<u32> = KeyedLock::builder().shards(1).build();
        let guard = keys.lock(1).wait();
        thread::scope(|s| {
            s.spawn(|| drop(keys.lock(1).wait()));
            until(|| keys.try_lock(1).is_err_and(|busy| busy.waiters == 1));
            for key in 2..100 {
                drop(keys.lock(key).wait());
            }
            drop(guard);
        });
        assert!(keys.is_empty());
    });
}

#[test]
fn an_entry_goes_with_whoever_is_the_last_to_use_it() {
    let keys = KeyedLock::<u32>::new();
    assert!(keys.is_empty());
    let guard = keys.try_lock(1).expect("it is free");
    let waiter = Hand::queued(keys.lock(1));
    drop(guard);
    assert_eq!(keys.len(), 1, "a told waiter still wants it");
    drop(waiter);
    assert_eq!(keys.len(), 0, "cancelled after its wake-up");

    let guard = keys.try_lock(1).expect("it is free");
    drop(Hand::queued(keys.lock(1)));
    assert_eq!(keys.len(), 1);
    let view = keys.snapshot();
    drop(guard);
    assert_eq!(keys.len(), 1, "a view keeps it");
    assert_eq!(view[0].key(), &1);
    drop(keys.try_lock(1).expect("a view does not hold it"));
    drop(view);
    assert_eq!(keys.len(), 0);
}

#[test]
fn a_refused_call_leaves_no_entry() {
    let seats = KeyedSemaphore::<u32>::new(1);
    assert!(seats.try_acquire_many(1, 2).is_err());
    assert!(seats.acquire_many(1, 2).wait_timeout(Duration::ZERO).is_err());
    assert_eq!(seats.len(), 0);
}

#[test]
fn busy_tells_who_holds_the_key_and_how_many_wait() {
    let keys = KeyedLock::<u32>::new();
    let guard = keys.try_lock(1).expect("it is free");
    let busy = keys.try_lock(1).map(drop).expect_err("it is held");
    assert_eq!((busy.waiters, busy.holder), (0, Some(guard.fence())));
    let waiters = [Hand::queued(keys.lock(1)), Hand::queued(keys.lock(1))];
    let busy = keys.try_lock_many([0, 1]).map(drop).expect_err("it is held");
    assert_eq!((busy.waiters, busy.holder), (2, Some(guard.fence())));
    assert_eq!(busy.to_string(), "the lock is busy, 2 waiting");
    drop(waiters);
    drop(guard);
    let sharers = [keys.lock_shared(1).wait(), keys.lock_shared(1).wait()];
    let busy = keys.try_lock(1).map(drop).expect_err("it is shared");
    assert_eq!((busy.waiters, busy.holder), (0, Some(sharers[1].fence())), "the latest grant is named");
}

#[test]
fn fences_of_a_key_rise_with_each_grant_also_when_its_entry_was_made_anew() {
    for keys in [KeyedLock::<u32>::new(), KeyedLock::builder().shards(1).build()] {
        let mut latest: Vec<Option<Fence>> = vec![None; 20];
        for round in 0..5 {
            for key in 0..20 {
                let guard = if round % 2 == 0 { keys.lock(key).wait() } else { keys.lock_shared(key).wait() };
                assert!(latest[key as usize].replace(guard.fence()) < Some(guard.fence()));
            }
            assert!(keys.is_empty());
        }
    }
}

#[test]
fn fences_go_on_above_the_start() {
    for start in [0, 41, i64::MAX as u64] {
        let keys: KeyedLock<u32> = KeyedLock::builder().fence_start(start).build();
        assert!((0..200).all(|key| keys.lock(key).wait().fence().get() > start));
        assert_eq!(keys.counts().acquired, 200);
    }
    let seats: KeyedSemaphore<u32> = KeyedLock::builder().shards(1).fence_start(9).build_semaphore(2);
    assert_eq!([(); 3].map(|()| seats.acquire(1).wait().fence().get()), [10, 11, 12]);
}

#[test]
fn fences_rise_in_the_order_of_grants_on_all_threads() {
    no_hang(|| {
        let keys = Arc::new(KeyedLock::<u32>::new());
        let latest: Arc<[AtomicUsize; 3]> = Arc::default();
        thread::scope(|s| {
            for _ in 0..3 {
                s.spawn(|| {
                    for round in 0..3000_usize {
                        let guard = keys.lock((round % 3) as u32).wait();
                        let fence = guard.fence().get() as usize;
                        // Nobody else writes while the key is held.
                        assert!(latest[round % 3].swap(fence, Ordering::Relaxed) < fence);
                    }
                });
            }
        });
        assert_eq!(keys.counts().acquired, 9000);
        assert!(keys.is_empty());
    });
}

#[test]
fn a_gate_admits_no_fence_below_the_greatest_of_its_key() {
    let gate = FenceGate::<String>::default();
    let [one, two, three] = [1, 2, 3].map(|number| Fence::new(number).expect("not zero"));
    assert_eq!((gate.admit("a", two), gate.admit("b", one)), (Ok(()), Ok(())));
    let stale = gate.admit("a", one).expect_err("two was admitted");
    assert_eq!((stale.offered, stale.latest), (one, two));
    assert_eq!(stale.to_string(), "fence 1 is stale, 2 was admitted already");
    assert_eq!(gate.admit("a", two), Ok(()), "the same holder writes again");
    assert_eq!(gate.admit("a", three), Ok(()));
    assert_eq!((gate.latest("a"), gate.latest("c")), (Some(three), None));
    assert_eq!((gate.forget("a"), gate.forget("a")), (Some(three), None));
    assert_eq!(gate.admit("a", one), Ok(()));
    assert_eq!(Fence::new(0), None);
    assert_eq!(format!("{three} {three:?}"), "3 Fence(3)");
}

#[test]
fn a_burst_of_a_million_keys_is_held_and_given_back() {
    let keys = KeyedLock::<u32>::new();
    let guards: Vec<_> = (0..1_000_000).map(|key| keys.try_lock(key).expect("each is free")).collect();
    assert_eq!(keys.len(), 1_000_000);
    assert!(keys.try_lock(123_456).is_err());
    // Half of them in the order in which they came, half in the other.
    let mut guards = guards.into_iter();
    while guards.next().is_some() && guards.next_back().is_some() {}
    assert_eq!((keys.len(), keys.counts().acquired), (0, 1_000_000));
    assert!(keys.try_lock(123_456).is_ok());
}

#[test]
fn debug_of_a_table_shows_no_key_and_does_not_block() {
    let keys = KeyedLock::<String>::default();
    let guard = keys.lock("secret").wait();
    let _waiter = Hand::queued(keys.lock("secret"));
    assert_eq!(format!("{keys:?}"), "KeyedLock { keys: 1, .. }");
    assert!(format!("{guard:?}").starts_with("KeyedHold { key: \"secret\", fence: Fence("));
    let seats = KeyedSemaphore::<String>::new(1);
    assert_eq!(format!("{seats:?}"), "KeyedSemaphore { keys: 0, .. }");
    assert!(format!("{:?}", keys.lock("secret")).starts_with("Acquire { enlisted: false"));
    let builder = format!("{:?}", KeyedLock::<u32>::builder().shards(3));
    assert!(builder.contains("shards: 4"), "{builder}");
}

#[test]
fn a_guard_knows_its_lock() {
    let (keys, seats) = (Arc::new(KeyedLock::<u32>::new()), KeyedSemaphore::<u32>::new(2));
    let (borrowed, owned) = (keys.lock(1).wait(), keys.lock_owned(2).wait());
    assert!(std::ptr::eq(*borrowed.keyed_lock(), &*keys) && Arc::ptr_eq(owned.keyed_lock(), &keys));
    let permit = seats.acquire(1).wait();
    assert_eq!(permit.keyed_semaphore().available(1), 1);
}

#[test]
fn permits_of_a_key_are_tried_for_one_by_one_or_many_at_once() {
    let seats = Arc::new(KeyedSemaphore::<u32>::new(4));
    let (one, two) = (seats.try_acquire_owned(7), seats.try_acquire_many_owned(7, 2));
    assert_eq!((one.map(|one| one.count()), two.as_ref().map(|two| two.count())), (Ok(1), Ok(2)));
    assert!(seats.try_acquire_many_owned(7, 3).is_err());
    drop(two);
    assert!(seats.is_empty());
}
