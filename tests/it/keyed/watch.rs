//! What a table tells about itself: counters, times, callers, views, and when it is empty.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use latchwork::{
    KeyedLock, KeyedSemaphore,
    keyed::{KeyView, KeyedBuilder, KeyedCounts},
};

use crate::support::{Hand, no_hang, panic_of, until};

fn numbers(counts: KeyedCounts) -> [u64; 7] {
    [
        counts.keys as u64,
        counts.acquired,
        counts.waited,
        counts.busy,
        counts.timed_out,
        counts.cancelled,
        counts.longest_queue as u64,
    ]
}

#[test]
fn every_counter_counts_what_it_says() {
    let keys = KeyedLock::<u32>::new();
    assert_eq!(keys.counts(), KeyedCounts::default());
    let guard = keys.try_lock(1).expect("it is free");
    let shared = [keys.lock_shared(2).wait(), keys.lock_shared(2).wait()];
    assert_eq!(numbers(keys.counts()), [2, 3, 0, 0, 0, 0, 0]);
    assert!(keys.try_lock(1).is_err() && keys.try_lock_shared(1).is_err() && keys.try_lock(2).is_err());
    assert!(keys.try_lock_many([0, 1]).is_err(), "key 0 was given back: no grant");
    assert_eq!(numbers(keys.counts()), [2, 3, 0, 4, 0, 0, 0]);
    let mut waiters: Vec<_> = (0..3).map(|_| Hand::queued(keys.lock(1))).collect();
    assert_eq!(numbers(keys.counts()), [2, 3, 3, 4, 0, 0, 3]);
    drop(waiters.pop());
    assert!(keys.lock(2).wait_timeout(Duration::ZERO).is_err());
    assert_eq!(numbers(keys.counts()), [2, 3, 4, 4, 1, 1, 3]);
    drop(guard);
    assert!(waiters.iter_mut().all(|waiter| waiter.poll_while_woken().is_some()));
    drop(keys.lock(7));
    drop((shared, waiters));
    assert_eq!(
        numbers(keys.counts()),
        [0, 5, 4, 4, 1, 1, 3],
        "asking for a key and not waiting is not counted"
    );
}

#[test]
fn a_waiter_that_comes_in_vain_is_counted_once() {
    let keys = KeyedLock::<u32>::new();
    let guard = keys.try_lock(1).expect("it is free");
    let mut waiter = Hand::queued(keys.lock(1));
    drop(guard);
    let newcomer = keys.try_lock(1).expect("nothing was handed over");
    assert!(waiter.poll().is_none());
    drop(newcomer);
    assert!(keys.try_lock(1).is_err(), "it does not come in vain again");
    assert!(waiter.poll().is_some());
    assert_eq!(numbers(keys.counts()), [0, 3, 1, 1, 0, 0, 1]);
}

#[cfg(feature = "tokio")]
#[tokio::test(start_paused = true)]
async fn a_timeout_in_a_task_counts_as_one() {
    let keys = KeyedLock::<u32>::new();
    let guard = keys.lock(1).await;
    assert!(keys.lock(1).timeout(Duration::from_secs(1)).await.is_err());
    assert!(keys.lock_many([0, 1]).timeout(Duration::from_secs(1)).await.is_err());
    drop(Hand::queued(keys.lock(1).timeout(Duration::from_secs(1))));
    drop(guard);
    assert_eq!(numbers(keys.counts()), [0, 1, 3, 0, 2, 1, 1]);
}

#[test]
fn the_counters_of_a_semaphore_count_as_well() {
    let seats = KeyedSemaphore::<u32>::new(2);
    let two = seats.acquire_many(1, 2).wait();
    assert!(seats.try_acquire(1).is_err() && seats.try_acquire_many(2, 3).is_err());
    let waiter = Hand::queued(seats.acquire(1));
    assert_eq!(numbers(seats.counts()), [1, 1, 1, 2, 0, 0, 1]);
    drop((waiter, two));
    assert_eq!(numbers(seats.counts()), [0, 1, 1, 2, 0, 1, 1]);
}

#[test]
fn times_are_measured_if_asked_for() {
    assert_eq!(KeyedLock::<u32>::new().counts().times, None);
    let keys: KeyedLock<u32> = KeyedLock::builder().track_times(true).build();
    let pause = Duration::from_millis(2);
    let guard = keys.lock(1).wait();
    let mut waiter = Hand::queued(keys.lock(1));
    thread::sleep(pause);
    let view = keys.snapshot();
    assert!(view[0].held_for().expect("it is held") >= pause);
    drop(view);
    let waiting = keys.counts().times.expect("they are tracked");
    assert_eq!((waiting.waited_max, waiting.held_max), (Duration::ZERO, Duration::ZERO), "neither has ended");
    drop(guard);
    let second = waiter.poll().expect("it was told");
    thread::sleep(pause);
    drop(second);
    drop(keys.lock(1).wait());
    let times = keys.counts().times.expect("they are tracked");
    assert!(
        times.waited_max >= pause && times.waited_total == times.waited_max,
        "only one waited: {times:?}"
    );
    assert!(times.held_max >= pause && times.held_total >= 2 * pause && times.held_max < times.held_total);
}

#[test]
fn callers_are_named_if_asked_for() {
    let keys: Arc<KeyedLock<u32>> = Arc::new(KeyedLock::builder().track_callers(true).shards(1).build());
    let here = |views: &[KeyView<'_, u32, _>]| {
        let caller = views[0].caller().expect("it is held");
        assert_eq!(caller.file(), file!());
        caller.line()
    };
    let line = line!();
    let guard = keys.try_lock(1).expect("it is free");
    assert_eq!(here(&keys.snapshot()), line + 1);
    let mut waiter = Hand::queued(keys.lock(1));
    drop(guard);
    let guard = waiter.poll();
    assert_eq!(here(&keys.snapshot()), line + 3, "where it was asked for, not where it was polled");
    drop(guard);
    for caller in [
        {
            let _guard = keys.lock_shared(1).wait();
            here(&keys.snapshot())
        },
        {
            let _guard = keys.try_lock_shared(1);
            here(&keys.snapshot())
        },
        {
            let _guard = keys.lock_owned(1).wait();
            here(&keys.snapshot())
        },
        {
            let _guard = keys.lock_shared_owned(1).wait();
            here(&keys.snapshot())
        },
        {
            let _guard = keys.try_lock_owned(1);
            here(&keys.snapshot())
        },
        {
            let _guard = keys.try_lock_shared_owned(1);
            here(&keys.snapshot())
        },
        {
            let _guard = keys.lock_many([1]).wait();
            here(&keys.snapshot())
        },
        {
            let _guard = keys.try_lock_many([1]);
            here(&keys.snapshot())
        },
        {
            let _guard = keys.lock_many_owned([1]).wait();
            here(&keys.snapshot())
        },
        {
            let _guard = keys.try_lock_many_owned([1]);
            here(&keys.snapshot())
        },
    ] {
        assert!(caller > line);
    }
    let untracked = KeyedLock::<u32>::new();
    let _guard = untracked.lock(1).wait();
    assert_eq!((untracked.snapshot()[0].caller(), untracked.snapshot()[0].held_for()), (None, None));
}

#[test]
fn a_snapshot_shows_who_holds_and_how_many_wait() {
    let keys = KeyedLock::<String>::new();
    let alone = keys.lock("alone").wait();
    let shared = [(); 3].map(|()| keys.lock_shared("shared").wait());
    let waiters = [Hand::queued(keys.lock("shared")), Hand::queued(keys.lock("shared"))];
    let mut views = keys.snapshot();
    views.sort_by(|a, b| a.key().cmp(b.key()));
    let seen: Vec<_> = views.iter().map(|view| (view.holders(), view.is_shared(), view.waiters())).collect();
    assert_eq!(seen, [(1, false, 0), (3, true, 2)]);
    assert_eq!(views[0].fence(), Some(alone.fence()));
    assert_eq!(views[1].fence(), Some(shared[2].fence()));
    assert!(format!("{:?}", views[1]).contains("waiters: 2"));

    // Views are of one moment, and outlive the guards that they saw.
    drop((alone, shared, waiters));
    assert_eq!((views[1].holders(), views[1].key().as_str()), (3, "shared"));
    let later = keys.snapshot();
    assert_eq!(later.len(), 2, "the views keep the entries");
    assert!(later.iter().all(|view| view.holders() == 0 && !view.is_shared() && view.waiters() == 0));
    drop(views);
    assert_eq!(keys.len(), 2);
    drop(later);
    assert!(keys.is_empty() && keys.snapshot().is_empty());
}

#[test]
fn an_entry_that_a_view_keeps_can_be_locked_and_waited_for() {
    let keys = KeyedLock::<u32>::new();
    let guard = keys.lock(1).wait();
    let views = keys.snapshot();
    drop(guard);
    let guard = keys.try_lock(1).expect("it is free");
    let mut waiter = Hand::queued(keys.lock(1));
    drop(guard);
    drop(views);
    let guard = waiter.poll_while_woken().expect("it was told");
    assert_eq!(keys.snapshot()[0].fence(), Some(guard.fence()));
    drop(guard);
    assert!(keys.is_empty());
}

#[test]
fn a_table_is_drained_when_its_last_key_goes() {
    for shards in [1, 64] {
        let keys: KeyedLock<u32> = KeyedLock::builder().shards(shards).build();
        assert!(Hand::new(keys.drained()).poll().is_some(), "it is empty");
        let mut guards: Vec<_> = (0..20).map(|key| keys.lock(key).wait()).collect();
        let waiter = Hand::queued(keys.lock(3));
        let mut drained = Hand::queued(keys.drained());
        while guards.pop().is_some() {
            assert!(drained.poll_while_woken().is_none(), "a waiter is left");
        }
        drop(waiter);
        assert!(drained.poll_while_woken().is_some());
    }
}

#[test]
fn a_view_is_waited_for_as_well() {
    let keys = KeyedLock::<u32>::new();
    let guard = keys.lock(1).wait();
    let views = keys.snapshot();
    let mut drained = Hand::queued(keys.drained());
    drop(guard);
    assert!(drained.poll_while_woken().is_none());
    drop(views);
    assert!(drained.poll_while_woken().is_some());
}

#[test]
fn several_wait_for_an_empty_table_in_tasks_and_threads() {
    no_hang(|| {
        let keys = Arc::new(KeyedLock::<u32>::new());
        let guards: Vec<_> = (0..30).map(|key| keys.lock_owned(key).wait()).collect();
        let mut tasks: Vec<_> = (0..3).map(|_| Hand::queued(keys.drained())).collect();
        thread::scope(|s| {
            let threads = [(); 3].map(|()| s.spawn(|| keys.drained().wait()));
            s.spawn(move || drop(guards));
            for thread in threads {
                thread.join().expect("it does not panic");
            }
            until(|| tasks.iter().any(Hand::is_woken));
            while let Some(at) = tasks.iter().position(Hand::is_woken) {
                if tasks[at].poll().is_some() {
                    drop(tasks.remove(at));
                }
            }
        });
        assert!(tasks.is_empty(), "{} were not told", tasks.len());
    });
}

#[test]
fn waiting_for_an_empty_table_can_be_given_up() {
    let keys = KeyedLock::<u32>::new();
    let guard = keys.lock(1).wait();
    assert!(keys.drained().wait_timeout(Duration::from_millis(1)).is_err());
    assert!(keys.drained().wait_timeout(Duration::ZERO).is_err());
    let (first, mut second) = (Hand::queued(keys.drained()), Hand::queued(keys.drained()));
    drop(guard);
    assert!(first.is_woken());
    drop(first);
    assert!(second.poll_while_woken().is_some(), "who gives up passes it on");
    assert_eq!(keys.counts().timed_out, 0, "no key was waited for");
}

#[test]
fn a_table_that_fills_up_again_is_waited_for_anew() {
    let keys = KeyedLock::<u32>::new();
    let guard = keys.lock(1).wait();
    let mut drained = Hand::queued(keys.drained());
    for _ in 0..3 {
        drop(keys.lock(2).wait());
    }
    drop(guard);
    assert!(drained.is_woken());
    let guard = keys.lock(1).wait();
    assert!(drained.poll().is_none());
    drop(guard);
    assert!(drained.poll_while_woken().is_some());
}

#[test]
fn a_shutdown_under_load_ends() {
    no_hang(|| {
        let keys = Arc::new(KeyedLock::<u32>::new());
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().expect("it starts");
        for task in 0..20 {
            let keys = keys.clone();
            runtime.spawn(async move {
                for round in 0..200 {
                    let _guard = keys.lock((task + round) % 7).await;
                    tokio::task::yield_now().await;
                }
            });
        }
        until(|| keys.counts().acquired > 100);
        keys.drained().wait();
        runtime.block_on(async { keys.drained().await });
    });
}

#[test]
fn a_builder_refuses_what_makes_no_sense() {
    fn builder() -> KeyedBuilder<u32> {
        KeyedLock::builder()
    }
    for shards in [0, 65_537, usize::MAX] {
        let said = panic_of(|| builder().shards(shards));
        assert_eq!(said, "shards must be between 1 and 65536");
    }
    for start in [i64::MAX as u64 + 1, u64::MAX] {
        assert_eq!(panic_of(|| builder().fence_start(start)), "fences start at i64::MAX at most");
    }
    let too_many = latchwork::Semaphore::MAX_PERMITS + 1;
    assert_eq!(panic_of(|| builder().build_semaphore(too_many)), "more than MAX_PERMITS permits");
    assert_eq!(panic_of(|| KeyedSemaphore::<u32>::new(too_many)), "more than MAX_PERMITS permits");
    for shards in [1, 3, 65_536] {
        let keys = builder().shards(shards).long_wait(Duration::ZERO).build();
        let guards: Vec<_> = (0..10).map(|key| keys.try_lock(key).expect("it is free")).collect();
        assert_eq!((keys.len(), guards.len()), (10, 10));
    }
}

/// Only the first was told, and nothing else happens to an empty table.
#[test]
fn each_of_those_who_wait_for_an_empty_table_hears_of_it() {
    let keys = KeyedLock::<u32>::new();
    let guard = keys.try_lock(1).expect("it is free");
    let silent = Hand::queued(keys.drained());
    let mut waiting = Hand::queued(keys.drained());
    drop(guard);
    assert!(silent.is_woken() && waiting.is_woken(), "nobody else will tell it");
    assert!(waiting.poll_while_woken().is_some());
}
