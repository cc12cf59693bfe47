//! The flights that are under way, divided among small locks.

use std::fmt;
use std::hash::Hash;
use std::sync::Arc;

use hashbrown::HashTable;
use hashbrown::hash_table::Entry as Slot;

use crate::key::{Form, IntoKey};
use crate::shards::{Shards, default_count, shrink};
use crate::sync::Mutex;
use crate::wait::Watch;

/// One run of the work for one key: what those who joined it wait on. The last word is its value, or `None` if
/// it was aborted.
pub(super) type Flight<V> = Watch<Option<Arc<V>>>;

/// A key and its flight.
struct Entry<K, V> {
    /// All of it, so that keys are compared only if they are most likely equal, and none is hashed under a
    /// lock when the table grows.
    hash: u64,
    key: K,
    flight: Arc<Flight<V>>,
}

/// The flights whose hash falls here, and what was counted of them.
struct Inside<K, V> {
    entries: HashTable<Entry<K, V>>,
    stats: FlightStats,
}

/// All flights. Under a shard's lock runs nothing of the user's but `Eq` of keys; keys are hashed and made
/// before it, and dropped after. A flight is made under it, so that who joins makes none in vain, and who leads
/// need not look twice.
pub struct Table<K, V>(Shards<Mutex<Inside<K, V>>>);

/// How a call came by a flight.
pub(super) enum Boarded<V> {
    /// It made it, and is to end it.
    Led(Arc<Flight<V>>),
    /// It was under way.
    Joined(Arc<Flight<V>>),
}

/// How a flight ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Outcome {
    Landed,
    Aborted,
}

/// What a [`SingleFlight`](super::SingleFlight) has counted since it was made. Shards are read one after the other,
/// so under load the numbers belong to slightly different moments.
///
/// # Examples
///
/// ```
/// let menus = latchwork::SingleFlight::<u32, String>::new();
/// menus.run_blocking(7, || "soup".to_owned());
/// let stats = menus.stats();
/// assert_eq!((stats.flights, stats.joined, stats.aborted, stats.under_way), (1, 0, 0, 0));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct FlightStats {
    /// Flights under way now.
    pub under_way: usize,
    /// Flights that were begun: so often the work was run.
    pub flights: u64,
    /// Calls that joined a flight, whatever came of it. One whose flight was aborted and who joins the next one is
    /// counted again.
    pub joined: u64,
    /// Flights that ended without a value.
    pub aborted: u64,
}

impl<K, V> Table<K, V> {
    pub(super) fn new() -> Self {
        let shard = || Mutex::new(Inside { entries: HashTable::new(), stats: FlightStats::default() });
        Self(Shards::new(default_count(), shard))
    }

    /// Takes the entry of a flight out, found by its address: its key is to be dropped once the flight has ended.
    /// From here on nobody finds the flight any more.
    pub(super) fn remove(&self, hash: u64, flight: &Arc<Flight<V>>, outcome: Outcome) -> K {
        let mut inside = self.0.of(hash).lock();
        let is_it = |entry: &Entry<K, V>| Arc::ptr_eq(&entry.flight, flight);
        let Ok(found) = inside.entries.find_entry(hash, is_it) else {
            unreachable!("a flight under way is in the table")
        };
        let (Entry { key, .. }, _) = found.remove();
        shrink(&mut inside.entries, |entry| entry.hash);
        inside.stats.aborted += u64::from(outcome == Outcome::Aborted);
        key
    }

    pub(super) fn len(&self) -> usize {
        self.0.iter().map(|shard| shard.lock().entries.len()).sum()
    }

    pub(super) fn stats(&self) -> FlightStats {
        let mut sum = FlightStats::default();
        for shard in self.0.iter() {
            let inside = shard.lock();
            sum.under_way += inside.entries.len();
            sum.flights += inside.stats.flights;
            sum.joined += inside.stats.joined;
            sum.aborted += inside.stats.aborted;
        }
        sum
    }
}

impl<K: Eq + Hash, V> Table<K, V> {
    /// Joins the flight of a key, or begins one.
    pub(super) fn board<Q: IntoKey<K>>(&self, hash: u64, wanted: &mut Form<K, Q>) -> Boarded<V> {
        loop {
            let mut guard = self.0.of(hash).lock();
            let Inside { entries, stats } = &mut *guard;
            let same = |entry: &Entry<K, V>| entry.hash == hash && wanted.is_key(&entry.key);
            match entries.entry(hash, same, |entry| entry.hash) {
                Slot::Occupied(found) => {
                    stats.joined += 1;
                    return Boarded::Joined(found.get().flight.clone());
                }
                Slot::Vacant(free) => {
                    if let Some(key) = wanted.take_owned() {
                        let flight = Arc::new(Flight::new());
                        free.insert(Entry { hash, key, flight: flight.clone() });
                        stats.flights += 1;
                        return Boarded::Led(flight);
                    }
                }
            }
            // User code makes the key, outside the lock; then everything is looked at afresh.
            drop(guard);
            wanted.make_owned();
        }
    }
}

impl<K, V> fmt::Debug for Table<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Table").field("flights", &self.len()).finish()
    }
}
