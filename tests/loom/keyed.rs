//! The table of keys: its entries come and go with those who hold and wait.

use std::collections::hash_map::DefaultHasher;
use std::hash::BuildHasherDefault;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use latchwork::{KeyedLock, helper, keyed::KeyedBuilder};
use loom::thread;

use crate::support::{Seen, Watched, check, poll_once};

/// The same hash in every execution; a model's table has one shard.
type Fixed = BuildHasherDefault<DefaultHasher>;
type Locks = Arc<KeyedLock<u8, Fixed>>;

fn locks() -> Locks {
    let builder: KeyedBuilder<u8, Fixed> = KeyedLock::builder().hasher(Fixed::default());
    Arc::new(builder.build())
}

#[test]
fn an_entry_is_never_removed_under_one_who_is_about_to_queue() {
    let seen = Seen::default();
    let noted = seen.clone();
    check(None, 5_100, move || {
        let (locks, value) = (locks(), Arc::new(Watched::default()));
        let actors: Vec<_> = (0..2)
            .map(|_| {
                let (locks, value, noted) = (locks.clone(), value.clone(), noted.clone());
                thread::spawn(move || {
                    let _guard = noted.task(locks.lock(7));
                    value.add(1);
                })
            })
            .collect();
        {
            let _guard = locks.lock(7).wait();
            value.add(1);
        }
        for actor in actors {
            actor.join().unwrap();
        }
        assert_eq!(value.get(), 3);
        assert!(locks.is_empty(), "the entry goes with its last user");
    });
    seen.both();
}

#[test]
fn an_entry_stays_for_a_waiter_that_a_round_gave_up() {
    check(None, 1, || {
        let locks = locks();
        let guard = locks.try_lock(7).unwrap();
        let (mut silent, mut behind) = (Box::pin(locks.lock(7)), Box::pin(locks.lock(7)));
        assert!(poll_once(silent.as_mut()).is_pending());
        assert!(poll_once(behind.as_mut()).is_pending());
        drop(guard);
        helper::round();
        drop(Seen::default().task(behind));
        assert_eq!(locks.len(), 1, "nobody counts on the silent one, but it waits");
        assert_eq!(*Seen::default().task(silent).key(), 7);
        assert!(locks.is_empty());
    });
}

#[test]
fn the_last_waiters_cancel_and_the_release_leave_no_entry() {
    check(None, 14, || {
        let locks = locks();
        let guard = locks.lock_owned(7).wait();
        let holder = thread::spawn(move || drop(guard));
        let mut waiter = Box::pin(locks.lock(7));
        drop(poll_once(waiter.as_mut()));
        drop(waiter);
        holder.join().unwrap();
        assert!(locks.is_empty());
    });
}

#[test]
fn a_cancelled_waiter_of_a_key_passes_it_on() {
    check(None, 160, || {
        let (locks, value) = (locks(), Arc::new(Watched::default()));
        let guard = locks.lock_owned(7).wait();
        let mut cancelled = Box::pin(locks.lock(7));
        assert!(poll_once(cancelled.as_mut()).is_pending());
        let third = {
            let (locks, value) = (locks.clone(), value.clone());
            thread::spawn(move || {
                let _guard = locks.lock(7).wait();
                value.add(1);
            })
        };
        let holder = thread::spawn(move || drop(guard));
        drop(cancelled);
        third.join().unwrap();
        holder.join().unwrap();
        assert_eq!(value.get(), 1);
        assert!(locks.is_empty());
    });
}

#[test]
fn many_keys_hold_nothing_while_they_wait_and_leave_nothing_when_cancelled() {
    check(None, 1_700, || {
        let locks = locks();
        let second = locks.lock_owned(2).wait();
        let mut both = Box::pin(locks.lock_many([2, 1]));
        assert!(poll_once(both.as_mut()).is_pending());
        assert!(!locks.is_locked(1), "it holds a key while it waits");
        let rival = {
            let locks = locks.clone();
            thread::spawn(move || drop(locks.lock(1).wait()))
        };
        let holder = thread::spawn(move || drop(second));
        drop(both);
        rival.join().unwrap();
        holder.join().unwrap();
        assert!(locks.is_empty());
    });
}

#[test]
fn many_keys_named_in_opposite_orders_do_not_deadlock() {
    let seen = Seen::default();
    let noted = seen.clone();
    check(None, 110, move || {
        let (locks, value) = (locks(), Arc::new(Watched::default()));
        let rival = {
            let (locks, value) = (locks.clone(), value.clone());
            thread::spawn(move || {
                let _guard = locks.lock_many([1, 2]).wait();
                value.add(1);
            })
        };
        {
            let _guard = noted.task(locks.lock_many([2, 1]));
            value.add(1);
        }
        rival.join().unwrap();
        assert_eq!(value.get(), 2);
        assert!(locks.is_empty());
    });
    seen.both();
}

#[test]
fn many_keys_that_overlap_do_not_wait_for_each_other_beside_a_single_one() {
    let seen = Seen::default();
    let noted = seen.clone();
    check(Some(4), 5_000, move || {
        let (locks, value) = (locks(), Arc::new(Watched::default()));
        let rival = {
            let (locks, value) = (locks.clone(), value.clone());
            thread::spawn(move || {
                let _guard = locks.lock_many([3, 2]).wait();
                value.add(1);
            })
        };
        let single = {
            let (locks, value) = (locks.clone(), value.clone());
            thread::spawn(move || {
                let _guard = locks.lock(2).wait();
                value.add(1);
            })
        };
        {
            let _guard = noted.task(locks.lock_many([2, 1]));
            value.add(1);
        }
        rival.join().unwrap();
        single.join().unwrap();
        assert_eq!(value.get(), 3);
        assert!(locks.is_empty());
    });
    seen.both();
}

/// The second one passes the first at key 1, and is before it at key 2: each is the eldest at one of them.
#[test]
fn many_keys_that_are_reserved_crosswise_do_not_wait_for_each_other() {
    check(Some(3), 2_500, || {
        let locks = locks();
        let (one, two) = (locks.lock(1).wait(), locks.lock_owned(2).wait());
        let [mut first, mut second] = [(); 2].map(|()| Box::pin(locks.lock_many_owned([1, 2])));
        assert!(poll_once(first.as_mut()).is_pending());
        drop(one);
        assert!(poll_once(second.as_mut()).is_pending());
        let holder = thread::spawn(move || drop(two));
        let first = thread::spawn(move || drop(Seen::default().task_pinned(first.as_mut())));
        drop(Seen::default().task_pinned(second.as_mut()));
        holder.join().unwrap();
        first.join().unwrap();
        assert!(locks.is_empty());
    });
}

/// The single one waits for a key that is reserved for the others, and holds what they wait for.
#[test]
fn what_is_reserved_for_many_keys_is_given_up_after_a_while() {
    check(Some(3), 10, || {
        let locks = locks();
        let two = locks.lock_owned(2).wait();
        let mut both = Box::pin(locks.lock_many([1, 2]));
        assert!(poll_once(both.as_mut()).is_pending());
        let mut single = Box::pin(locks.lock(1));
        assert!(poll_once(single.as_mut()).is_pending());
        let rounds = thread::spawn(latchwork::helper::round);
        drop((Seen::default().task_pinned(single.as_mut()), two));
        rounds.join().unwrap();
        drop(Seen::default().task_pinned(both.as_mut()));
        drop((single, both));
        assert!(locks.is_empty());
    });
}

#[test]
fn two_keys_in_one_shard_do_not_wait_for_each_other() {
    check(None, 27, || {
        let locks = locks();
        let kept = locks.lock_owned(1).wait();
        let other = {
            let locks = locks.clone();
            thread::spawn(move || assert!(locks.try_lock(2).is_ok()))
        };
        assert!(locks.try_lock(1).is_err());
        drop(locks.lock(3).wait());
        other.join().unwrap();
        drop(kept);
        assert!(locks.is_empty());
    });
}

#[test]
fn fences_rise_from_holder_to_holder_though_the_entry_is_made_anew() {
    check(None, 71, || {
        let (locks, last) = (locks(), Arc::new(AtomicU64::new(0)));
        let rise = |locks: &Locks, last: &AtomicU64| {
            let guard = locks.lock(7).wait();
            let fence = guard.fence().get();
            let before = last.swap(fence, Ordering::Relaxed);
            assert!(before < fence, "fence not bumped: {before} then {fence}");
        };
        let other = {
            let (locks, last) = (locks.clone(), last.clone());
            thread::spawn(move || rise(&locks, &last))
        };
        rise(&locks, &last);
        rise(&locks, &last);
        other.join().unwrap();
    });
}

#[test]
fn those_who_share_a_key_keep_out_who_wants_it_alone() {
    let seen = Seen::default();
    let noted = seen.clone();
    check(None, 5_300, move || {
        let (locks, value) = (locks(), Arc::new(Watched::default()));
        let readers: Vec<_> = (0..2)
            .map(|_| {
                let (locks, value) = (locks.clone(), value.clone());
                thread::spawn(move || {
                    let _guard = locks.lock_shared(7).wait();
                    value.get()
                })
            })
            .collect();
        {
            let _guard = noted.task(locks.lock(7));
            value.add(1);
        }
        for reader in readers {
            assert!(reader.join().unwrap() <= 1);
        }
        assert!(locks.is_empty());
    });
    seen.both();
}

#[test]
fn who_waits_for_an_empty_table_hears_of_the_last_release() {
    let seen = Seen::default();
    let noted = seen.clone();
    check(None, 21_000, move || {
        let locks = locks();
        let (one, two) = (locks.lock_owned(1).wait(), locks.lock_owned(2).wait());
        let holder = thread::spawn(move || drop(one));
        let other = {
            let locks = locks.clone();
            thread::spawn(move || locks.drained().wait())
        };
        drop(two);
        noted.task(locks.drained());
        assert!(locks.is_empty());
        holder.join().unwrap();
        other.join().unwrap();
    });
    seen.both();
}

#[test]
fn a_bounded_queue_never_has_more_waiters_than_it_may() {
    let seen = Seen::default();
    let noted = seen.clone();
    check(None, 1_000, move || {
        let (locks, value) = (locks(), Arc::new(Watched::default()));
        let guard = locks.lock_owned(7).wait();
        let actors: Vec<_> = (0..2)
            .map(|_| {
                let (locks, value, noted) = (locks.clone(), value.clone(), noted.clone());
                thread::spawn(move || match locks.lock(7).max_waiters(1).wait() {
                    Ok(_guard) => {
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
        drop(guard);
        let had = actors.into_iter().filter_map(|actor| actor.join().ok()).filter(|had| *had).count();
        assert_eq!(value.get(), had);
        let stats = locks.counts();
        assert!(stats.longest_queue <= 1, "{} waited", stats.longest_queue);
        assert_eq!((stats.busy as usize, stats.keys), (2 - had, 0));
    });
    seen.both();
}
