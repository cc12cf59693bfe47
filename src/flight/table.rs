//! The flights that are under way, divided among small locks.

use std::hash::Hash;
use std::sync::Arc;

use super::counts::FlightCounts;
use super::state::{Flight, Found};
use crate::key::{Form, IntoKey};
use crate::shards::{Entries, Shards, Slot, default_count};
use crate::sync::Mutex;
use crate::wait::Wakes;

/// All flights. A clone is another handle to them.
///
/// Under a shard's lock no user code runs but `Eq` of keys. Keys are hashed and made before it, and dropped after. A
/// flight is made under it: so a call that joins makes none in vain, and one that leads need not look twice.
pub(super) struct Table<K, V>(Shards<Mutex<Inside<K, V>>>);

/// The flights whose hash falls into one shard, and what was counted of them.
struct Inside<K, V> {
    entries: Entries<Entry<K, V>>,
    counts: FlightCounts,
}

/// A key and its flight.
pub(super) struct Entry<K, V> {
    key: K,
    /// Cloned, and dropped by calls that are on it, under the shard's lock only. So two of them are the table's own and
    /// that of the last call.
    flight: Arc<Flight<V>>,
}

/// How a call got on a flight.
pub(super) enum Boarded<V> {
    /// It leads.
    Led(Arc<Flight<V>>),
    /// Another call leads or is about to.
    Joined(Arc<Flight<V>>),
}

impl<K, V> Clone for Table<K, V> {
    #[inline]
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<K, V> Inside<K, V> {
    /// Takes the entry of a flight out, found by its address.
    #[inline(always)]
    fn remove(&mut self, hash: u64, flight: &Arc<Flight<V>>) -> Option<Entry<K, V>> {
        let found = self.entries.found(hash, |entry| Arc::ptr_eq(&entry.flight, flight))?;
        Some(found.remove())
    }
}

impl<K, V> Table<K, V> {
    pub(super) fn new() -> Self {
        let shard = || Mutex::new(Inside { entries: Entries::new(), counts: FlightCounts::default() });
        Self(Shards::new(default_count(), shard))
    }

    /// Counts that a call which joined leads now.
    pub(super) fn succeeded(&self, hash: u64) {
        self.0.of(hash).lock().counts.flights += 1;
    }

    /// Takes out a flight that is about to get its value. From here on no call finds it. The key must be dropped when
    /// all calls were woken.
    pub(super) fn land(&self, hash: u64, flight: &Arc<Flight<V>>) -> K {
        let entry = self.0.of(hash).lock().remove(hash, flight);
        entry.expect("a flight that is led is in the table").key
    }

    /// Ends a lead without a value. The flight stays for the calls that joined, of which one is notified. If no call
    /// joined, the flight is taken out, and must be dropped outside the lock.
    pub(super) fn abort(&self, hash: u64, flight: Arc<Flight<V>>, wakes: &mut Wakes) -> Option<Entry<K, V>> {
        let mut inside = self.0.of(hash).lock();
        inside.counts.aborted += 1;
        if is_last(&flight) {
            return inside.remove(hash, &flight);
        }
        flight.abort(wakes);
        // Before the lock is released: the next call that goes must not count this one.
        drop(flight);
        None
    }

    /// Lets go of a flight for a call that joined and is not enlisted any more. If that was the last call on it, and no
    /// call leads, the flight is taken out, and must be dropped outside the lock.
    pub(super) fn part(&self, hash: u64, flight: Arc<Flight<V>>) -> Option<Entry<K, V>> {
        let mut inside = self.0.of(hash).lock();
        if is_last(&flight) {
            // A flight that has its value is not there any more.
            return inside.remove(hash, &flight);
        }
        let is_in = inside.entries.find(hash, |entry| Arc::ptr_eq(&entry.flight, &flight)).is_some();
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

    pub(super) fn counts(&self) -> FlightCounts {
        let mut sum = FlightCounts::default();
        for shard in self.0.iter() {
            let Inside { entries, counts } = &*shard.lock();
            sum.under_way += entries.len();
            sum.flights += counts.flights;
            sum.joined += counts.joined;
            sum.aborted += counts.aborted;
        }
        sum
    }
}

/// Returns `true` if only the caller is on the flight. The shard's lock is held.
fn is_last<V>(flight: &Arc<Flight<V>>) -> bool {
    Arc::strong_count(flight) == 2
}

impl<K: Eq + Hash, V> Table<K, V> {
    /// Begins a flight of a key. If there is one, joins it, or leads it if its lead is free.
    pub(super) fn board<Q: IntoKey<K>>(&self, hash: u64, wanted: &mut Form<K, Q>) -> Boarded<V> {
        loop {
            let mut guard = self.0.of(hash).lock();
            let Inside { entries, counts } = &mut *guard;
            match entries.slot(hash, |entry| wanted.is_key(&entry.key)) {
                Slot::Found(found) => {
                    let flight = found.get().flight.clone();
                    if let Some(Found::Lead) = flight.take() {
                        counts.flights += 1;
                        return Boarded::Led(flight);
                    }
                    counts.joined += 1;
                    return Boarded::Joined(flight);
                }
                Slot::Free(free) => {
                    if let Some(key) = wanted.take_owned() {
                        let flight = Arc::new(Flight::led());
                        free.insert(Entry { key, flight: flight.clone() });
                        counts.flights += 1;
                        return Boarded::Led(flight);
                    }
                }
            }
            // User code makes the key, outside the lock. Then the table is looked at again.
            drop(guard);
            wanted.make_owned();
        }
    }
}
