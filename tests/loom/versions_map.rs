//! A map of versioned values: what was removed stays so, and no write goes unseen.

use std::collections::hash_map::DefaultHasher;
use std::hash::BuildHasherDefault;
use std::sync::Arc;

use latchwork::{Stamp, VersionedMap, versioned::Expect};
use loom::thread;

use crate::support::{Seen, Woken, check, poll_once};

/// The same hash in every execution; a model's map has one shard.
type Fixed = BuildHasherDefault<DefaultHasher>;
type Map = Arc<VersionedMap<u8, u64, Fixed>>;

fn map() -> Map {
    Arc::new(VersionedMap::builder().hasher(Fixed::default()).build())
}

fn stamp(number: u64) -> Stamp {
    Stamp::new(number).unwrap()
}

/// A map with one value, and its stamp.
fn with_one() -> (Map, Stamp) {
    let map = map();
    let first = map.insert_new(7, 1).unwrap().stamp();
    (map, first)
}

#[test]
fn no_update_of_a_key_is_lost() {
    check(None, 5_800, || {
        let (map, _) = with_one();
        let others: Vec<_> = (0..2)
            .map(|_| {
                let map = map.clone();
                thread::spawn(move || map.modify(&7, |number| number + 1).unwrap().stamp())
            })
            .collect();
        let mut stamps = vec![map.modify(&7, |number| number + 1).unwrap().stamp()];
        stamps.extend(others.into_iter().map(|other| other.join().unwrap()));
        stamps.sort_unstable();
        stamps.dedup();
        assert_eq!(stamps.len(), 3, "a stamp was given twice");
        let last = map.get(&7).unwrap();
        assert_eq!((*last, Some(&last.stamp())), (4, stamps.last()));
    });
}

#[test]
fn an_update_under_way_does_not_bring_a_removed_key_back() {
    let seen = Seen::default();
    let noted = seen.clone();
    check(None, 5, move || {
        let (map, first) = with_one();
        let update = {
            let map = map.clone();
            thread::spawn(move || map.update(&7, first, |number| number + 1))
        };
        let removed = map.remove(&7, Expect::Any).unwrap();
        let updated = update.join().unwrap();
        noted.note(updated.is_ok());
        assert_eq!(removed.map(|removed| removed.stamp()), Some(updated.map_or(first, |new| new.stamp())));
        assert!(!map.contains_key(&7), "a removed key is back");
    });
    seen.both();
}

#[test]
fn an_update_from_before_the_removal_is_refused_after_the_key_came_back() {
    check(None, 12, || {
        let (map, first) = with_one();
        let update = {
            let map = map.clone();
            thread::spawn(move || map.update(&7, first, |number| number + 1).map(|stored| stored.stamp()))
        };
        map.remove(&7, Expect::Any).unwrap();
        let second = map.insert_new(7, 10).unwrap().stamp();
        let updated = update.join().unwrap();
        assert!(second > first && updated.as_ref().ok() != Some(&second), "a stamp was given twice");
        assert_eq!(map.get(&7).as_deref(), Some(&10), "the old version's update is in the new value");
        if let Err(error) = updated {
            let current = &error.conflict().unwrap().current;
            assert!(current.as_ref().is_none_or(|current| current.stamp() == second && **current == 10));
        }
    });
}

#[test]
fn one_of_two_who_insert_the_same_key_succeeds_and_the_other_is_shown_its_value() {
    check(None, 4, || {
        let map = map();
        let other = {
            let map = map.clone();
            thread::spawn(move || map.insert_new(7, 2))
        };
        let own = map.insert_new(7, 1);
        let other = other.join().unwrap();
        let (winner, loser) = match (own, other) {
            (Ok(winner), Err(loser)) | (Err(loser), Ok(winner)) => (winner, loser.into_conflict().unwrap()),
            (own, other) => panic!("{own:?} and {other:?}"),
        };
        let current = loser.current.unwrap();
        assert_eq!((*current, current.stamp()), (*winner, winner.stamp()));
        assert_eq!(loser.rejected, Some(3 - *winner));
    });
}

#[test]
fn of_two_upserts_one_creates() {
    check(None, 5, || {
        let map = map();
        let other = {
            let map = map.clone();
            thread::spawn(move || map.upsert(7, Expect::Any, 2).unwrap())
        };
        let (own, other) = (map.upsert(7, Expect::Any, 1).unwrap(), other.join().unwrap());
        assert!(own.created != other.created && own.stamp != other.stamp);
        assert_eq!(map.stamp(&7), Some(own.stamp.max(other.stamp)));
    });
}

#[test]
fn who_asks_on_from_where_it_left_off_misses_no_write() {
    let seen = Seen::default();
    let noted = seen.clone();
    check(None, 110, move || {
        let map = map();
        let writers: Vec<_> = [1, 2]
            .map(|key| {
                let map = map.clone();
                thread::spawn(move || drop(map.insert_new(key, 1).unwrap()))
            })
            .into();
        let first = map.changed_since(None);
        for writer in writers {
            writer.join().unwrap();
        }
        let second = map.changed_since(first.upto);
        noted.note(first.keys.is_empty());
        let mut keys: Vec<_> = first.keys.into_iter().chain(second.keys).map(|(key, _)| key).collect();
        keys.sort_unstable();
        keys.dedup();
        assert_eq!(keys, [1, 2], "a write was missed");
    });
    seen.both();
}

#[test]
fn who_waits_for_a_key_hears_of_its_removal() {
    let seen = Seen::default();
    let noted = seen.clone();
    check(None, 36, move || {
        let (map, first) = with_one();
        let other = {
            let map = map.clone();
            thread::spawn(move || drop(map.remove(&7, first).unwrap()))
        };
        assert!(noted.task(map.changed(&7, first)).is_none());
        other.join().unwrap();
    });
    seen.both();
}

#[test]
fn every_way_to_write_a_key_reaches_who_waits_for_it() {
    for way in 0..4 {
        let seen = Seen::default();
        let noted = seen.clone();
        check(None, 36, move || {
            let (map, first) = with_one();
            let writer = {
                let map = map.clone();
                thread::spawn(move || match way {
                    0 => drop(map.modify(&7, |_| 2).unwrap()),
                    1 => drop(map.upsert(7, first, 2).unwrap()),
                    2 => assert_eq!(map.seed(7, 2, stamp(9)), Ok(true)),
                    _ => {
                        map.remove(&7, first).unwrap();
                        map.insert_new(7, 2).unwrap();
                    }
                })
            };
            let next = noted.task(map.changed(&7, first));
            assert!(way == 3 && next.is_none() || next.as_deref() == Some(&2));
            writer.join().unwrap();
        });
        seen.both();
    }
}

#[test]
fn a_waiter_of_a_key_that_gives_up_takes_no_change_from_another() {
    let seen = Seen::default();
    let noted = seen.clone();
    check(Some(4), 6_000, move || {
        let (map, first) = with_one();
        let waiter = {
            let (map, noted) = (map.clone(), noted.clone());
            thread::spawn(move || assert!(noted.task(map.changed(&7, first)).is_some()))
        };
        let writer = {
            let map = map.clone();
            thread::spawn(move || drop(map.modify(&7, |_| 2).unwrap()))
        };
        let mut cancelled = Box::pin(map.changed(&7, first));
        drop(poll_once(cancelled.as_mut()));
        drop(cancelled);
        waiter.join().unwrap();
        writer.join().unwrap();
    });
    seen.both();
}

#[test]
fn who_gives_up_late_leaves_the_watch_of_the_keys_next_version() {
    let seen = Seen::default();
    let noted = seen.clone();
    check(None, 40, move || {
        let (map, first) = with_one();
        let gives_up = {
            let (map, noted) = (map.clone(), noted.clone());
            thread::spawn(move || {
                let mut cancelled = Box::pin(map.changed(&7, first));
                noted.note(poll_once(cancelled.as_mut()).is_pending());
            })
        };
        let second = map.modify(&7, |_| 2).unwrap().stamp();
        let woken = Arc::new(Woken::default());
        let mut follower = Box::pin(map.changed(&7, second));
        assert!(woken.poll(follower.as_mut()).is_pending());
        gives_up.join().unwrap();
        map.modify(&7, |_| 3).unwrap();
        assert!(woken.is(), "a waiter of the next version was forgotten");
        assert!(woken.poll(follower.as_mut()).is_ready());
    });
    seen.both();
}

#[test]
fn a_refused_write_leaves_the_watch_of_its_key() {
    for way in 0..4 {
        let seen = Seen::default();
        let noted = seen.clone();
        check(None, 30, move || {
            let (map, first) = with_one();
            let waiter = {
                let (map, noted) = (map.clone(), noted.clone());
                thread::spawn(move || assert_eq!(noted.task(map.changed(&7, first)).as_deref(), Some(&2)))
            };
            let refused = match way {
                0 => map.remove(&7, stamp(9)).is_err(),
                1 => map.seed(7, 5, first) == Ok(false),
                2 => map.upsert(7, stamp(9), 5).is_err(),
                _ => map.insert_new(7, 5).is_err(),
            };
            assert!(refused);
            map.modify(&7, |_| 2).unwrap();
            waiter.join().unwrap();
        });
        seen.both();
    }
}

#[test]
fn a_waiter_who_finds_the_same_stamp_seeded_again_waits_on() {
    let seen = Seen::default();
    let noted = seen.clone();
    check(None, 850, move || {
        let (map, first) = with_one();
        let writer = {
            let map = map.clone();
            thread::spawn(move || {
                map.remove(&7, first).unwrap();
                assert_eq!(map.seed(7, 1, first), Ok(true));
                map.modify(&7, |_| 2).unwrap();
            })
        };
        let next = noted.task(map.changed(&7, first));
        assert!(next.is_none_or(|next| *next == 2));
        writer.join().unwrap();
    });
    seen.both();
}

#[test]
fn who_sees_a_seeded_value_draws_greater_stamps() {
    check(None, 4, || {
        let map = map();
        let seeder = {
            let map = map.clone();
            thread::spawn(move || assert_eq!(map.seed(1, 1, stamp(9)), Ok(true)))
        };
        if map.contains_key(&1) {
            assert!(map.insert_new(2, 1).unwrap().stamp() > stamp(9));
        }
        seeder.join().unwrap();
        assert!(map.upsert(2, Expect::Any, 1).unwrap().stamp > stamp(9));
    });
}
