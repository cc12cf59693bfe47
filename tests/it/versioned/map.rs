//! A map of versioned values: keys that come and go, seeds, and what is seen of it as a whole.

use std::cell::Cell;
use std::collections::HashSet;
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use latchwork::{
    Stamp, Versioned, VersionedMap,
    stamp::StampSource,
    versioned::{Change, Expect, Upserted, VersionedMapBuilder, WriteError},
};

use crate::support::panic_of;

type Cards = VersionedMap<String, u32>;

fn stamp(number: u64) -> Stamp {
    Stamp::new(number).expect("it is in range")
}

fn ada() -> String {
    "ada".to_owned()
}

/// A map with one value, and its stamp.
fn with_one() -> (Cards, Stamp) {
    let cards = Cards::new();
    let first = cards.insert_new(ada(), 1).expect("it is new").stamp();
    (cards, first)
}

#[test]
fn a_key_that_comes_back_never_has_a_stamp_again() {
    let (cards, first) = with_one();
    let mut seen = HashSet::from([first]);
    for _ in 0..5 {
        let removed = cards.remove("ada", Expect::Present).expect("it is there");
        assert_eq!(removed.map(|removed| *removed), Some(1));
        assert!(cards.is_empty() && !cards.contains_key("ada"));
        assert!(seen.insert(cards.insert_new(ada(), 1).expect("it is gone").stamp()), "a stamp came back");
    }
    assert!(cards.update("ada", first, |n| n + 1).is_err());
    assert!(cards.remove("ada", first).is_err());
}

#[test]
fn an_update_whose_key_is_removed_meanwhile_is_refused_and_the_key_stays_away() {
    let (cards, first) = with_one();
    for expect in [Expect::Exact(first), Expect::Present, Expect::Any] {
        let refused = cards.update("ada", expect.clone(), |n| {
            cards.remove("ada", Expect::Any).expect("any will do");
            n + 1
        });
        let conflict = refused.expect_err("it is gone").into_conflict().expect("it is gone");
        assert_eq!((conflict.current.is_none(), conflict.rejected), (true, Some(2)));
        assert_eq!(conflict.expected, if expect == Expect::Any { Expect::Present } else { expect });
        assert!(!cards.contains_key("ada"));
        let again = cards.upsert(ada(), Expect::Absent, 1).expect("it is gone");
        assert!(again.created);
        cards.remove("ada", again.stamp).expect("it is current");
        assert_eq!(cards.seed(ada(), 1, first), Ok(true));
    }
}

#[test]
fn an_update_needs_a_value_whatever_it_expects() {
    let cards = Cards::new();
    for expect in [Expect::Any, Expect::Absent, Expect::Present, stamp(1).into()] {
        let refused = cards.update("ada", expect.clone(), |_| unreachable!("there is nothing to update"));
        let conflict = refused.expect_err("there is no value").into_conflict().expect("there is no value");
        let expected = if expect.admits(None) { Expect::Present } else { expect };
        assert_eq!((conflict.expected, conflict.current.is_none()), (expected, true));
    }
    let (cards, _) = with_one();
    let refused = cards.update("ada", Expect::Absent, |_| unreachable!("it is there"));
    assert_eq!(refused.expect_err("it is refused").to_string(), "conflict: expected no value, found stamp 1");
    let error = cards.modify("grace", |n| *n).expect_err("it is not there");
    assert_eq!(error.to_string(), "conflict: expected a value, found no value");
}

#[test]
fn a_bounded_modification_of_a_key_ends_however_quick_its_rivals_are() {
    let (cards, _) = with_one();
    let crowded = cards.modify_up_to("ada", 2, |n| {
        cards.modify("ada", |n| n + 10).expect("it is there");
        n + 1
    });
    let conflict = crowded.expect_err("it is crowded").into_conflict().expect("it is crowded");
    assert_eq!((conflict.rejected, conflict.current.as_deref()), (Some(12), Some(&21)));
    assert_eq!(conflict.to_string(), "conflict: expected stamp 2, found stamp 3");
    let gone = cards.modify_up_to("ada", 2, |n| {
        cards.remove("ada", Expect::Any).expect("any will do");
        n + 1
    });
    let conflict = gone.expect_err("it is gone").into_conflict().expect("it is gone");
    assert_eq!(conflict.to_string(), "conflict: expected a value, found no value");
    assert!(cards.modify_up_to("ada", 1, |n| *n).is_err_and(|error| error.conflict().is_some()));
    let again = cards.insert_new(ada(), 1).expect("it is gone");
    assert!(cards.modify_up_to("ada", 1, |n| n + 1).is_ok_and(|stored| stored.stamp() > again.stamp()));
}

#[test]
fn an_upsert_says_whether_it_created() {
    let cards = Cards::new();
    let first = cards.upsert(ada(), Expect::Any, 1).expect("any will do");
    assert!(matches!(first, Upserted { created: true, .. }));
    let second = cards.upsert(ada(), first.stamp, 2).expect("it is current");
    assert!(!second.created && second.stamp > first.stamp);
    let conflict = cards
        .upsert(ada(), Expect::Absent, 3)
        .expect_err("it is refused")
        .into_conflict()
        .expect("it is there");
    assert_eq!((conflict.rejected, conflict.current.as_deref()), (Some(3), Some(&2)));
    let missing = cards.upsert("grace".to_owned(), Expect::Present, 1).expect_err("it is not there");
    assert!(missing.conflict().is_some_and(|conflict| conflict.current.is_none()));
    assert_eq!(cards.len(), 1);
}

#[test]
fn removal_draws_no_stamp_and_nothing_is_removed_that_is_not_there() {
    let (cards, first) = with_one();
    let conflict = cards.remove("ada", stamp(9)).expect_err("it is stale");
    assert_eq!((conflict.current.map(|current| current.stamp()), conflict.rejected), (Some(first), None));
    assert!(cards.remove("ada", Expect::OneOf([first].into())).is_ok_and(|removed| removed.is_some()));
    for (expect, is_fine) in
        [(Expect::Any, true), (Expect::Absent, true), (Expect::Present, false), (first.into(), false)]
    {
        let nothing = cards.remove("ada", expect);
        assert_eq!(nothing.is_ok(), is_fine);
        assert!(nothing.is_err() || nothing.is_ok_and(|removed| removed.is_none()));
    }
    assert_eq!(cards.changed_since(None).upto, Some(first));
}

#[test]
fn the_newest_seed_wins_in_whatever_order_they_come() {
    let cards = Cards::new();
    assert_eq!(cards.seed(ada(), 7, stamp(7)), Ok(true));
    assert_eq!((cards.seed(ada(), 6, stamp(6)), cards.seed(ada(), 77, stamp(7))), (Ok(false), Ok(false)));
    assert_eq!(cards.seed(ada(), 8, stamp(8)), Ok(true));
    assert_eq!(cards.get("ada").map(|value| (*value, value.stamp())), Some((8, stamp(8))));
    assert_eq!(cards.insert_new("grace".to_owned(), 1).map(|value| value.stamp()).ok(), Some(stamp(9)));
    // A stamp that is not new does not set the counter back.
    assert_eq!(cards.seed("alan".to_owned(), 1, stamp(2)), Ok(true));
    assert_eq!(cards.modify("alan", |n| n + 1).map(|value| value.stamp()).ok(), Some(stamp(10)));
}

#[test]
fn a_value_seeded_with_a_stamp_that_was_there_before_is_not_overwritten_unseen() {
    let (cards, first) = with_one();
    let calls = Cell::new(0);
    let updated = cards.update("ada", first, |n| {
        if calls.replace(calls.get() + 1) == 0 {
            cards.remove("ada", Expect::Any).expect("any will do");
            assert_eq!(cards.seed(ada(), 10, first), Ok(true));
        }
        n + 1
    });
    assert_eq!((updated.ok().as_deref(), calls.get()), (Some(&11), 2));
}

#[test]
fn without_a_stamp_nothing_is_written_and_removal_still_works() {
    let cards: Cards = Cards::builder().stamps(StampSource::after(stamp(Stamp::MAX.get() - 1))).build();
    assert!(cards.insert_new(ada(), 1).is_ok_and(|value| value.stamp() == Stamp::MAX));
    let given_back = |error| match error {
        WriteError::Exhausted(exhausted) => Some(exhausted.rejected),
        _ => None,
    };
    assert_eq!(cards.insert_new("grace".to_owned(), 3).map_err(given_back).err(), Some(Some(3)));
    assert_eq!(cards.upsert(ada(), Expect::Any, 4).map_err(given_back), Err(Some(4)));
    assert_eq!(cards.modify("ada", |n| n + 1).map_err(given_back).err(), Some(Some(2)));
    assert!(
        cards.insert_new(ada(), 1).is_err_and(|error| error.conflict().is_some()),
        "conflicts come first"
    );
    assert_eq!((cards.len(), cards.get("ada").as_deref()), (1, Some(&1)));
    assert!(cards.try_update("ada", Stamp::MAX, |_| Ok::<_, ()>(Change::Keep)).is_ok());
    assert!(cards.remove("ada", Stamp::MAX).is_ok_and(|removed| removed.is_some()));
}

#[test]
fn one_damaged_row_does_not_end_the_writes_of_the_other_keys() {
    let (cards, first) = with_one();
    for stamp in [StampSource::MAX_OBSERVED.get() + 1, Stamp::MAX.get() - 1, Stamp::MAX.get()].map(stamp) {
        for key in [ada(), "grace".to_owned()] {
            assert_eq!(cards.seed(key, 666, stamp).expect_err("it is damaged").stamp, stamp);
        }
    }
    assert_eq!((cards.get("ada").map(|value| (*value, value.stamp())), cards.len()), (Some((1, first)), 1));
    // The greatest stamp that is admitted leaves more than enough, and none comes again.
    assert_eq!(cards.seed("alan".to_owned(), 1, StampSource::MAX_OBSERVED), Ok(true));
    let mut last = StampSource::MAX_OBSERVED;
    for round in 0..1000 {
        for (key, stored) in [
            ("ada", cards.modify("ada", |n| n + 1)),
            (
                "alan",
                cards
                    .upsert("alan".to_owned(), Expect::Any, round)
                    .map(|_| cards.get("alan").expect("it is there")),
            ),
        ] {
            let stamp = stored.unwrap_or_else(|error| panic!("{key}: {error}")).stamp();
            assert!(stamp > last, "{key}: {stamp} after {last}");
            last = stamp;
        }
        cards.remove("alan", Expect::Present).expect("it is there");
    }
}

#[test]
fn who_asks_for_changes_gets_each_key_once_with_its_latest_stamp() {
    let cards = Cards::new();
    let nothing = cards.changed_since(None);
    assert!(nothing.keys.is_empty() && nothing.upto.is_none());
    for name in ["ada", "grace", "alan"] {
        cards.insert_new(name.to_owned(), 1).expect("it is new");
    }
    cards.modify("ada", |n| n + 1).expect("it is there");
    cards.remove("alan", Expect::Present).expect("it is there");
    let mut all = cards.changed_since(nothing.upto);
    all.keys.sort();
    assert_eq!(all.keys, [(ada(), stamp(4)), ("grace".to_owned(), stamp(2))]);
    assert_eq!(all.upto, Some(stamp(4)));
    assert!(cards.changed_since(all.upto).keys.is_empty());
    assert_eq!(cards.changed_since(stamp(3)).keys, [(ada(), stamp(4))]);
}

#[test]
fn a_writer_is_never_missed_by_one_who_asks_again_and_again() {
    const WRITES: u64 = 400;
    let cards = VersionedMap::<u64, u64>::new();
    std::thread::scope(|scope| {
        let writers = [0, WRITES].map(|first| {
            let cards = &cards;
            scope.spawn(move || {
                for key in first..first + WRITES {
                    cards.insert_new(key, key).expect("it is new");
                }
            })
        });
        let (mut seen, mut upto) = (HashSet::new(), None);
        loop {
            let done = writers.iter().all(|writer| writer.is_finished());
            let changes = cards.changed_since(upto);
            seen.extend(changes.keys.into_iter().map(|(key, _)| key));
            upto = changes.upto;
            if done {
                break;
            }
        }
        assert_eq!(seen.len() as u64, 2 * WRITES);
    });
}

#[test]
fn snapshots_of_the_map_are_whole_and_stay_as_they_are() {
    let (cards, first) = with_one();
    let all = cards.snapshot();
    cards.modify("ada", |n| n + 1).expect("it is there");
    cards.insert_new("grace".to_owned(), 9).expect("it is new");
    assert_eq!(all.len(), 1);
    assert_eq!((all[0].0.as_str(), *all[0].1, all[0].1.stamp()), ("ada", 1, first));
    let mut keys = cards.keys();
    keys.sort();
    assert_eq!(keys, ["ada", "grace"]);
    assert_eq!(
        format!("{cards:?}"),
        "VersionedMap { keys: 2, stamps: StampSource { latest: Some(Stamp(3)) }, .. }"
    );
}

#[test]
fn a_burst_is_given_back_and_every_key_is_found_on_the_way() {
    let cards = VersionedMap::<u64, u64>::builder().shards(1).build();
    for key in 0..5000 {
        cards.insert_new(key, key).expect("it is new");
    }
    for key in 0..5000 {
        assert_eq!(cards.get(&key).as_deref(), Some(&key));
        assert_eq!(cards.remove(&key, Expect::Present).ok().flatten().as_deref(), Some(&key));
        let last = 4999;
        assert_eq!(cards.contains_key(&last), key != last);
    }
    assert!(cards.is_empty());
}

/// Hashes numbers to themselves, as fast hashers nearly do.
#[derive(Clone, Default)]
struct Itself(u64);

impl Hasher for Itself {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, _: &[u8]) {
        unreachable!("only numbers are hashed")
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = number;
    }
}

#[test]
fn keys_with_alike_hashes_are_told_apart() {
    /// Everything has one hash.
    #[derive(Clone, Default)]
    struct Same;
    impl Hasher for Same {
        fn finish(&self) -> u64 {
            7
        }
        fn write(&mut self, _: &[u8]) {}
    }
    fn fill<S: BuildHasher + Default>() {
        let builder: VersionedMapBuilder<u64, u64, S> = VersionedMap::builder().hasher(S::default());
        let map = builder.shards(4).build();
        for key in 0..200 {
            map.insert_new(key << 10, key).expect("it is new");
        }
        for key in 0..200 {
            assert_eq!(map.get(&(key << 10)).as_deref(), Some(&key));
        }
        assert_eq!(map.len(), 200);
        // One that waits is told of its own key, whatever it shares.
        let first = map.stamp(&0).expect("it is there");
        let mut waiter = crate::support::Hand::queued(map.changed(&0, first));
        map.modify(&(1 << 10), |n| *n).expect("it is there");
        assert!(waiter.poll_while_woken().is_none());
        map.modify(&0, |n| *n).expect("it is there");
        assert!(waiter.poll_while_woken().is_some());
    }
    fill::<BuildHasherDefault<Same>>();
    fill::<BuildHasherDefault<Itself>>();
    fill::<BuildHasherDefault<DefaultHasher>>();
}

#[test]
#[should_panic(expected = "shards must be between 1 and 65536")]
fn no_shards_is_no_map() {
    let _ = Cards::builder().shards(0);
}

/// A key whose `Eq` panics if the test says so.
struct Touchy<'a>(u8, &'a Cell<bool>);

impl Hash for Touchy<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

impl PartialEq for Touchy<'_> {
    fn eq(&self, other: &Self) -> bool {
        assert!(!self.1.get() && !other.1.get(), "touched");
        self.0 == other.0
    }
}

impl Eq for Touchy<'_> {}

#[test]
fn a_key_that_panics_when_compared_changes_nothing() {
    let switch = Cell::new(false);
    let (map, key) = (VersionedMap::<Touchy<'_>, u8>::new(), || Touchy(7, &switch));
    let first = map.insert_new(key(), 1).expect("it is new").stamp();
    switch.set(true);
    let words = [
        panic_of(|| map.get(&key())),
        panic_of(|| map.insert_new(key(), 2)),
        panic_of(|| map.upsert(key(), Expect::Any, 2)),
        panic_of(|| map.modify(&key(), |n| n + 1)),
        panic_of(|| map.remove(&key(), Expect::Any)),
        panic_of(|| map.seed(key(), 2, stamp(9))),
        panic_of(|| map.changed(&key(), first).wait()),
    ];
    assert!(words.iter().all(|word| word == "touched"));
    switch.set(false);
    assert_eq!(map.get(&key()).map(|value| (*value, value.stamp())), Some((1, first)));
    assert_eq!(map.modify(&key(), |n| n + 1).map(|value| value.stamp()).ok(), Some(stamp(2)));
}

/// A key or value whose drop uses the map that it is in.
struct Nosy {
    number: u64,
    world: Arc<World>,
}

#[derive(Default)]
struct World {
    map: VersionedMap<u64, Nosy>,
    keyed: Versioned<u8>,
    drops: AtomicUsize,
}

impl Drop for Nosy {
    fn drop(&mut self) {
        self.world.drops.fetch_add(1, Ordering::Relaxed);
        // Each would hang if the shard's lock were held.
        assert!(self.world.map.stamp(&self.number).is_none_or(|stamp| stamp.get() > 0));
        assert!(self.world.map.remove(&1000, Expect::Any).is_ok());
        drop(self.world.keyed.modify(|n| n.wrapping_add(1)));
    }
}

#[test]
fn values_are_dropped_outside_the_lock_however_they_go() {
    let world = Arc::new(World::default());
    let nosy = |number| Nosy { number, world: world.clone() };
    let drops = || world.drops.swap(0, Ordering::Relaxed);
    let map = &world.map;
    map.insert_new(7, nosy(7)).expect("it is new");
    assert!(map.insert_new(7, nosy(7)).is_err());
    assert_eq!(drops(), 1, "refused");
    map.upsert(7, Expect::Any, nosy(7)).expect("any will do");
    assert_eq!(drops(), 1, "replaced");
    map.modify(&7, |_| nosy(7)).expect("it is there");
    assert_eq!(drops(), 1, "replaced by closure");
    assert_eq!(map.seed(7, nosy(7), Stamp::MIN), Ok(false));
    assert_eq!(drops(), 1, "too old");
    assert!(map.seed(7, nosy(7), Stamp::MAX).is_err());
    assert_eq!(drops(), 1, "damaged");
    assert_eq!(map.seed(7, nosy(7), StampSource::MAX_OBSERVED), Ok(true));
    assert_eq!(drops(), 1, "replaced by a seed");
    assert!(map.remove(&7, Expect::Any).is_ok());
    assert_eq!(drops(), 1, "removed");
    let last = StampSource::after(stamp(Stamp::MAX.get() - 1));
    let world = Arc::new(World { map: VersionedMap::builder().stamps(last).build(), ..World::default() });
    let nosy = |number| Nosy { number, world: world.clone() };
    world.map.insert_new(7, nosy(7)).expect("it is new");
    assert!(world.map.upsert(7, Expect::Any, nosy(7)).is_err());
    assert!(world.map.modify(&7, |_| nosy(7)).is_err());
    assert_eq!(world.drops.load(Ordering::Relaxed), 2, "no stamp is left for them");
    assert!(world.map.remove(&7, Expect::Any).is_ok());
}

#[test]
fn keys_are_dropped_outside_the_lock_however_they_go() {
    struct Key(u64, Arc<KeyWorld>);
    #[derive(Default)]
    struct KeyWorld {
        map: VersionedMap<Key, u8>,
        drops: AtomicUsize,
    }
    impl Hash for Key {
        fn hash<H: Hasher>(&self, state: &mut H) {
            self.0.hash(state);
        }
    }
    impl PartialEq for Key {
        fn eq(&self, other: &Self) -> bool {
            self.0 == other.0
        }
    }
    impl Eq for Key {}
    impl std::borrow::Borrow<u64> for Key {
        fn borrow(&self) -> &u64 {
            &self.0
        }
    }
    impl Drop for Key {
        fn drop(&mut self) {
            self.1.drops.fetch_add(1, Ordering::Relaxed);
            // It would hang if the shard's lock were held.
            assert!(self.1.map.remove(&1000, Expect::Any).is_ok());
            drop(self.1.map.modify(&self.0, |n| n.wrapping_add(1)));
        }
    }
    let world = Arc::new(KeyWorld::default());
    let key = || Key(7, world.clone());
    let drops = || world.drops.swap(0, Ordering::Relaxed);
    assert!(world.map.insert_new(key(), 1).is_ok() && world.map.insert_new(key(), 2).is_err());
    assert_eq!(drops(), 1);
    assert!(world.map.upsert(key(), Expect::Any, 2).is_ok());
    assert_eq!(world.map.seed(key(), 3, Stamp::MIN), Ok(false));
    assert!(world.map.seed(key(), 3, Stamp::MAX).is_err());
    assert_eq!(world.map.seed(key(), 3, stamp(1000)), Ok(true));
    assert_eq!(drops(), 4);
    assert!(world.map.remove(&7, Expect::Any).is_ok_and(|removed| removed.is_some()));
    assert_eq!((drops(), world.map.len()), (1, 0));
}

#[test]
fn maps_and_their_parts_go_where_their_keys_and_values_may() {
    fn may_be_shared<T: Send + Sync>() {}
    fn may_be_cloned<T: Clone>() {}
    struct NeitherCloneNorDebug;
    may_be_shared::<VersionedMap<String, Vec<u8>>>();
    may_be_shared::<Versioned<Vec<u8>>>();
    may_be_shared::<VersionedMapBuilder<String, std::rc::Rc<u8>>>();
    may_be_shared::<latchwork::versioned::Snapshot<Vec<u8>>>();
    may_be_shared::<latchwork::Conflict<Vec<u8>>>();
    may_be_shared::<WriteError<Vec<u8>, String>>();
    may_be_shared::<StampSource>();
    may_be_cloned::<latchwork::versioned::Snapshot<NeitherCloneNorDebug>>();
    fn is_error<T: std::error::Error>() {}
    is_error::<latchwork::Conflict<NeitherCloneNorDebug>>();
    is_error::<WriteError<NeitherCloneNorDebug>>();
}
