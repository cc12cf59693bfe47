//! The flights that are under way, divided among small locks.

use std::fmt;
use std::hash::Hash;
use std::sync::Arc;

use hashbrown::HashTable;
use hashbrown::hash_table::Entry as Slot;

use super::state::{Flight, Found};
use crate::key::{Form, IntoKey};
use crate::shards::{Shards, default_count, shrink};
use crate::sync::Mutex;
use crate::wait::Wakes;

/// A key and its flight.
pub(super) struct Entry<K, V> {
    /// All of it, so that keys are compared only if they are most likely equal, and none is hashed under a
    /// lock when the table grows.
    hash: u64,
    key: K,
    /// Cloned, and dropped by calls that are on it, under the shard's lock only. So two of them are the table's own and
    /// that of the last call.
    flight: Arc<Flight<V>>,
}

/// The flights whose hash falls here, and what was counted of them.
struct Inside<K, V> {
    entries: HashTable<Entry<K, V>>,
    stats: FlightStats,
}

/// All flights. Under a shard's lock runs no user code but `Eq` of keys; keys are hashed and made
/// before it, and dropped after. A flight is made under it, so that a call that joins makes none in vain, and one that
/// leads need not look twice.
pub struct Table<K, V>(Shards<Mutex<Inside<K, V>>>);

/// How a call came by a flight.
pub(super) enum Boarded<V> {
    /// It leads.
    Led(Arc<Flight<V>>),
    /// Another call leads or is about to.
    Joined(Arc<Flight<V>>),
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
    /// Keys that have a flight now: a call leads, or waits for the lead of one that was aborted.
    pub under_way: usize,
    /// How often a call has led, that is, how often the work was run. A successor's lead is a flight of its own.
    pub flights: u64,
    /// Calls that joined a flight, whatever its outcome. A call is counted once, also if it leads later.
    pub joined: u64,
    /// Flights that ended without a value.
    pub aborted: u64,
}

impl<K, V> Inside<K, V> {
    /// Takes the entry of a flight out, found by its address.
    fn remove(&mut self, hash: u64, flight: &Arc<Flight<V>>) -> Option<Entry<K, V>> {
        let is_it = |entry: &Entry<K, V>| Arc::ptr_eq(&entry.flight, flight);
        let (entry, _) = self.entries.find_entry(hash, is_it).ok()?.remove();
        shrink(&mut self.entries, |entry| entry.hash);
        Some(entry)
    }
}

impl<K, V> Table<K, V> {
    pub(super) fn new() -> Self {
        let shard = || Mutex::new(Inside { entries: HashTable::new(), stats: FlightStats::default() });
        Self(Shards::new(default_count(), shard))
    }

    /// A call that joined leads now.
    pub(super) fn succeeded(&self, hash: u64) {
        self.0.of(hash).lock().stats.flights += 1;
    }

    /// Takes out a flight that has its value. From here on nobody finds it any more. The key is to be dropped when
    /// everybody was woken.
    pub(super) fn land(&self, hash: u64, flight: &Arc<Flight<V>>) -> K {
        let entry = self.0.of(hash).lock().remove(hash, flight);
        entry.expect("a flight that is led is in the table").key
    }

    /// A leader goes without a value. The flight stays for the calls that joined, of which one is notified. Without any
    /// it is taken out, to be dropped outside the lock.
    pub(super) fn abort(&self, hash: u64, flight: Arc<Flight<V>>, wakes: &mut Wakes) -> Option<Entry<K, V>> {
        let mut inside = self.0.of(hash).lock();
        inside.stats.aborted += 1;
        if is_last(&flight) {
            return inside.remove(hash, &flight);
        }
        flight.abort(wakes);
        // Before the lock is released: the next one that goes must not count this one.
        drop(flight);
        None
    }

    /// A call that joined goes, and is not enlisted any more. If it was the last one, and nobody leads, the flight is
    /// taken out, to be dropped outside the lock.
    pub(super) fn part(&self, hash: u64, flight: Arc<Flight<V>>) -> Option<Entry<K, V>> {
        let mut inside = self.0.of(hash).lock();
        if is_last(&flight) {
            // A flight that has its value is not there any more.
            return inside.remove(hash, &flight);
        }
        let is_it = |entry: &Entry<K, V>| Arc::ptr_eq(&entry.flight, &flight);
        let is_in = inside.entries.find(hash, is_it).is_some();
        if !is_in {
            // Its value is user code.
            drop(inside);
        }
        drop(flight);
        None
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

/// Whether nobody but the caller is on the flight. The shard's lock is held.
fn is_last<V>(flight: &Arc<Flight<V>>) -> bool {
    Arc::strong_count(flight) == 2
}

impl<K: Eq + Hash, V> Table<K, V> {
    /// Begins a flight of a key, or joins the one that there is, and leads that if it is free.
    pub(super) fn board<Q: IntoKey<K>>(&self, hash: u64, wanted: &mut Form<K, Q>) -> Boarded<V> {
        loop {
            let mut guard = self.0.of(hash).lock();
            let Inside { entries, stats } = &mut *guard;
            let same = |entry: &Entry<K, V>| entry.hash == hash && wanted.is_key(&entry.key);
            match entries.entry(hash, same, |entry| entry.hash) {
                Slot::Occupied(found) => {
                    let flight = found.get().flight.clone();
                    if let Some(Found::Lead) = flight.take() {
                        stats.flights += 1;
                        return Boarded::Led(flight);
                    }
                    stats.joined += 1;
                    return Boarded::Joined(flight);
                }
                Slot::Vacant(free) => {
                    if let Some(key) = wanted.take_owned() {
                        let flight = Arc::new(Flight::led());
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
