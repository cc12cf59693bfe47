//! Waiting for a value to change: in tasks and on threads, given up, told by wakers that misbehave.

use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use latchwork::{Stamp, Versioned, VersionedMap, versioned::Expect};

use crate::support::{Event, Hand, hooked, no_hang, panic_of};

fn stamp(number: u64) -> Stamp {
    Stamp::new(number).expect("it is in range")
}

fn with_one() -> (VersionedMap<String, u32>, Stamp) {
    let map = VersionedMap::new();
    let first = map.insert_new("ada".to_owned(), 1).expect("it is new").stamp();
    (map, first)
}

#[test]
fn another_version_is_not_waited_for() {
    let cell = Versioned::starting_at("here", stamp(7));
    assert_eq!(*cell.changed(stamp(6)).wait(), "here");
    assert_eq!(cell.changed(stamp(8)).wait().stamp(), stamp(7), "it only has to differ");
    let (map, first) = with_one();
    assert!(map.changed("ada", stamp(9)).wait().is_some_and(|value| value.stamp() == first));
    assert!(map.changed("grace", first).wait().is_none(), "it was never there");
}

#[test]
fn a_task_is_woken_once_by_the_write_and_gets_what_is_there_when_it_looks() {
    let cell = Versioned::new(1);
    let mut waiter = Hand::queued(cell.changed(Stamp::MIN));
    cell.modify(|_| 2).expect("stamps are left");
    cell.modify(|_| 3).expect("stamps are left");
    assert_eq!(waiter.wakes(), 1);
    assert_eq!(waiter.poll().map(|value| *value), Some(3));
}

#[test]
fn everybody_who_waits_is_told_however_many_they_are() {
    let (map, first) = with_one();
    let mut waiters: Vec<_> = (0..30).map(|_| Hand::queued(map.changed("ada", first))).collect();
    drop(waiters.remove(7));
    map.modify("ada", |n| n + 1).expect("it is there");
    assert!(waiters.iter().all(|waiter| waiter.wakes() == 1));
    assert!(waiters.iter_mut().all(|waiter| waiter.poll().flatten().as_deref() == Some(&2)));
}

#[test]
fn keys_do_not_wake_each_others_waiters() {
    let map: VersionedMap<u32, u32> = VersionedMap::builder().shards(1).build();
    let first = map.insert_new(1, 1).expect("it is new").stamp();
    map.insert_new(2, 1).expect("it is new");
    let mut waiter = Hand::queued(map.changed(&1, first));
    map.modify(&2, |n| n + 1).expect("it is there");
    map.remove(&2, Expect::Any).expect("any will do");
    assert!(!waiter.is_woken() && waiter.poll().is_none());
    map.remove(&1, Expect::Any).expect("any will do");
    assert_eq!(waiter.poll_while_woken().map(|gone| gone.is_none()), Some(true));
}

/// All keys have the same hash.
#[derive(Default)]
struct Alike;

impl Hasher for Alike {
    fn finish(&self) -> u64 {
        7
    }

    fn write(&mut self, _: &[u8]) {}
}

/// Keys with one hash share a watch, so who waits for one of them looks in vain when the other is written.
#[test]
fn waiters_of_keys_with_alike_hashes_lose_no_change_to_each_other() {
    let map: VersionedMap<u32, u32, _> =
        VersionedMap::builder().hasher(BuildHasherDefault::<Alike>::default()).build();
    for key in [1, 2] {
        map.insert_new(key, 1).expect("it is new");
    }
    for looks in [false, true] {
        let [one, two] = [1, 2].map(|key| map.stamp(&key).expect("it is there"));
        let [mut of_one, gives_up] = [(); 2].map(|()| Hand::queued(map.changed(&1, one)));
        let mut of_two = Hand::queued(map.changed(&2, two));
        drop(gives_up);
        map.modify(&1, |n| n + 1).expect("it is there");
        if looks {
            assert!(of_two.poll_while_woken().is_none(), "its own key has not changed");
        }
        map.modify(&2, |n| n + 1).expect("it is there");
        assert!(of_two.poll_while_woken().flatten().is_some_and(|value| value.stamp() > two));
        assert!(of_one.poll_while_woken().flatten().is_some_and(|value| value.stamp() > one));
    }
}

#[test]
fn a_thread_waits_for_news_and_for_the_end() {
    let map = Arc::new(with_one().0);
    let news = no_hang({
        let map = map.clone();
        move || {
            std::thread::scope(|scope| {
                let waiter = scope.spawn(|| map.changed("ada", Stamp::MIN).wait().map(|value| *value));
                map.modify("ada", |n| n + 1).expect("it is there");
                waiter.join().expect("it does not panic")
            })
        }
    });
    assert_eq!(news, Some(2));
    let known = map.stamp("ada").expect("it is there");
    let gone = no_hang(move || {
        std::thread::scope(|scope| {
            let waiter = scope.spawn(|| map.changed("ada", known).wait().is_none());
            map.remove("ada", known).expect("it is current");
            waiter.join().expect("it does not panic")
        })
    });
    assert!(gone);
}

#[test]
fn who_follows_a_counter_from_thread_to_thread_sees_it_rise_to_the_end() {
    const LAST: u64 = 300;
    let cell = Arc::new(Versioned::new(1_u64));
    let followers = [cell.clone(), cell.clone()].map(|cell| {
        move || {
            let mut known = Stamp::MIN;
            while known.get() < LAST {
                let next = cell.changed(known).wait();
                assert!(next.stamp() > known && *next == next.stamp().get());
                known = next.stamp();
            }
        }
    });
    no_hang(move || {
        std::thread::scope(|scope| {
            let threads = followers.map(|follow| scope.spawn(follow));
            (1..LAST).for_each(|_| drop(cell.modify(|n| n + 1)));
            for thread in threads {
                thread.join().expect("it does not panic");
            }
        });
    });
}

#[test]
fn a_wait_ends_with_its_time_and_misses_nothing_for_it() {
    let cell = Versioned::new(1);
    assert!(cell.changed(Stamp::MIN).wait_timeout(Duration::ZERO).is_err());
    assert!(cell.changed(Stamp::MIN).wait_timeout(Duration::from_micros(50)).is_err());
    assert!(cell.changed(Stamp::MIN).wait_deadline(Instant::now()).is_err());
    cell.modify(|n| n + 1).expect("stamps are left");
    assert!(cell.changed(Stamp::MIN).wait_timeout(Duration::ZERO).is_ok());
}

#[cfg(feature = "tokio")]
#[test]
fn a_task_waits_for_a_time() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.expect("it has what it needs").block_on(async {
        let map = Arc::new(with_one().0);
        let second = Duration::from_secs(1);
        assert!(map.changed("ada", Stamp::MIN).timeout(second).await.is_err());
        let waiter = tokio::spawn({
            let map = map.clone();
            async move { map.changed("ada", Stamp::MIN).timeout(second).await.map(|news| news.map(|n| *n)) }
        });
        tokio::task::yield_now().await;
        map.modify("ada", |n| n + 1).expect("it is there");
        assert_eq!(waiter.await.expect("it does not panic"), Ok(Some(2)));
    });
}

#[test]
fn who_is_polled_though_nobody_told_it_waits_on_for_whoever_polls_last() {
    let cell = Versioned::new(1);
    let mut waiter = Hand::queued(cell.changed(Stamp::MIN));
    assert!(waiter.poll().is_none());
    waiter.change_task();
    assert!(waiter.poll().is_none());
    cell.modify(|n| n + 1).expect("stamps are left");
    assert_eq!((waiter.wakes(), waiter.poll().map(|value| *value)), (1, Some(2)));
}

#[test]
fn a_stamp_that_is_seeded_again_is_no_news() {
    let (map, first) = with_one();
    let mut waiter = Hand::queued(map.changed("ada", first));
    map.remove("ada", Expect::Any).expect("any will do");
    assert_eq!(map.seed("ada".to_owned(), 1, first), Ok(true));
    assert!(waiter.is_woken() && waiter.poll().is_none(), "it is the version that it knows");
    assert_eq!(map.seed("ada".to_owned(), 2, stamp(9)), Ok(true));
    assert_eq!(waiter.poll_while_woken().flatten().map(|value| value.stamp()), Some(stamp(9)));
}

#[test]
fn who_was_told_and_gives_up_takes_nothing_away() {
    let cell = Versioned::new(1);
    let (told, mut other) = (Hand::queued(cell.changed(Stamp::MIN)), Hand::queued(cell.changed(Stamp::MIN)));
    cell.modify(|n| n + 1).expect("stamps are left");
    drop(told);
    assert!(other.poll_while_woken().is_some());
    drop(Hand::queued(cell.changed(stamp(2))));
    let mut late = Hand::queued(cell.changed(stamp(2)));
    cell.modify(|n| n + 1).expect("stamps are left");
    assert!(late.poll_while_woken().is_some());
}

#[test]
fn an_answered_wait_is_not_polled_again() {
    let cell = Versioned::new(1);
    let mut answered = Hand::new(cell.changed(stamp(7)));
    assert!(answered.poll().is_some());
    assert_eq!(panic_of(|| answered.poll()), "an Acquire is not polled again after it was ready");
}

#[test]
fn a_waker_that_panics_keeps_nobody_from_being_woken_and_the_write_is_done() {
    let (map, first) = with_one();
    let mut waiters: Vec<_> = (0..12).map(|_| Hand::new(map.changed("ada", first))).collect();
    for (at, waiter) in waiters.iter_mut().enumerate() {
        let done = match at {
            0 | 9 => waiter.poll_with(&hooked(move |event| assert!(event != Event::Woken, "waker {at}"))),
            _ => waiter.poll(),
        };
        assert!(done.is_none());
    }
    assert_eq!(panic_of(|| map.modify("ada", |n| n + 1)), "waker 0", "the first panic is passed on");
    assert_eq!(map.get("ada").as_deref(), Some(&2));
    for (at, waiter) in waiters.iter_mut().enumerate() {
        assert!(matches!(at, 0 | 9) || waiter.is_woken(), "waiter {at} was not woken");
        assert!(waiter.poll().is_some());
    }
}

/// A value or key whose drop panics, once it is the last one and armed.
struct Bomb(bool);

impl Drop for Bomb {
    fn drop(&mut self) {
        assert!(!self.0, "a drop that panics");
    }
}

#[test]
fn a_value_that_panics_in_drop_keeps_nobody_from_being_told() {
    let cell = Versioned::new(Bomb(true));
    let mut waiter = Hand::queued(cell.changed(Stamp::MIN));
    assert_eq!(panic_of(|| cell.compare_and_set(Expect::Any, Bomb(false))), "a drop that panics");
    assert!(waiter.poll_while_woken().is_some(), "a cell's waiter was not told");
    for way in 0..2 {
        let map = VersionedMap::new();
        let first = map.insert_new("ada", Bomb(true)).expect("it is new").stamp();
        let mut waiter = Hand::queued(map.changed("ada", first));
        let write = || match way {
            0 => map.upsert("ada", first, Bomb(false)).is_ok(),
            _ => map.seed("ada", Bomb(false), stamp(9)) == Ok(true),
        };
        assert_eq!(panic_of(write), "a drop that panics");
        assert!(waiter.poll_while_woken().flatten().is_some(), "a key's waiter was not told (way {way})");
    }
}

#[test]
fn a_key_that_panics_in_drop_keeps_nobody_from_being_told_of_its_removal() {
    #[derive(PartialEq, Eq, Hash)]
    struct Key(u8);
    impl Drop for Key {
        fn drop(&mut self) {
            assert!(self.0 != 7, "a drop that panics");
        }
    }
    impl std::borrow::Borrow<u8> for Key {
        fn borrow(&self) -> &u8 {
            &self.0
        }
    }
    let map = VersionedMap::new();
    let first = map.insert_new(Key(7), 1).expect("it is new").stamp();
    let mut waiter = Hand::queued(map.changed(&7, first));
    assert_eq!(panic_of(|| map.remove(&7, first)), "a drop that panics");
    assert!(waiter.poll_while_woken().is_some_and(|gone| gone.is_none()));
}

#[test]
fn a_refused_write_leaves_those_who_wait_for_its_key_where_they_are() {
    for way in 0..4 {
        let (map, first) = with_one();
        let mut waiter = Hand::queued(map.changed("ada", first));
        let refused = match way {
            0 => map.remove("ada", stamp(9)).is_err(),
            1 => map.seed("ada".to_owned(), 5, first) == Ok(false),
            2 => map.upsert("ada".to_owned(), stamp(9), 5).is_err(),
            _ => map.insert_new("ada".to_owned(), 5).is_err(),
        };
        // It is not polled here: that would enlist it anew.
        assert!(refused && !waiter.is_woken());
        map.modify("ada", |n| n + 1).expect("it is there");
        assert_eq!(waiter.poll_while_woken().flatten().as_deref(), Some(&2), "nobody told it (way {way})");
    }
}

#[test]
fn wakers_may_use_the_cell_whenever_they_are_called() {
    let cell = Arc::new(Versioned::new(0));
    let calls = Arc::new(AtomicUsize::new(0));
    let waker = hooked({
        let (cell, calls) = (cell.clone(), calls.clone());
        move |_| {
            calls.fetch_add(1, Ordering::Relaxed);
            // Both would hang if a lock were held; as would ending the watch that it enlists with.
            drop(cell.snapshot());
            drop(Hand::queued(cell.changed(cell.stamp())));
        }
    });
    no_hang(move || {
        let mut waiter = Hand::new(cell.changed(Stamp::MIN));
        assert!(waiter.poll_with(&waker).is_none() && waiter.poll_with(&waker).is_none());
        cell.modify(|n| n + 1).expect("stamps are left");
        assert!(waiter.poll_with(&waker).is_some());
        let mut cancelled = Hand::new(cell.changed(stamp(2)));
        assert!(cancelled.poll_with(&waker).is_none());
        drop(cancelled);
        assert!(calls.load(Ordering::Relaxed) >= 5, "cloned, dropped and woken");
    });
}

#[test]
fn waits_can_be_sent_and_borrow_no_more_than_they_need() {
    fn is_sendable<F: Future + Send>(_: &F) {}
    let (cell, (map, first)) = (Versioned::new(1), with_one());
    is_sendable(&cell.changed(Stamp::MIN));
    is_sendable(&map.changed("ada", first));
    let pending = {
        let key = String::from("ada");
        map.changed(key.as_str(), first).wait_timeout(Duration::ZERO).is_err()
    };
    assert!(pending);
}
