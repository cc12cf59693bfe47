//! The entries of a map, divided among small read-write locks.

use std::sync::Arc;

use hashbrown::HashTable;
use hashbrown::hash_table::Entry as Slot;

use super::snapshot::Snapshot;
use super::watch::Watch;
use crate::stamp::Stamp;
use crate::sync::RwLock;

/// Capacity that a shard's table keeps, come what may.
const SMALL: usize = 28;

/// A key and the version that it has.
pub(super) struct Entry<K, V> {
    /// All of it, so that keys are compared only if they are most likely equal, and none is hashed
    /// under a lock when the table grows.
    hash: u64,
    pub(super) key: K,
    pub(super) current: Snapshot<V>,
    /// Of those who wait for the end of the current version.
    pub(super) watch: Option<Arc<Watch>>,
}

/// The entries whose hash falls here.
pub(super) struct Table<K, V>(HashTable<Entry<K, V>>);

/// On a cache line of its own, so that those who use different shards do not meet.
#[repr(align(64))]
struct Shard<K, V>(RwLock<Table<K, V>>);

/// All entries.
pub(super) struct Shards<K, V>(Box<[Shard<K, V>]>);

impl<K, V> Shards<K, V> {
    /// So many empty ones, a power of two.
    pub(super) fn new(count: usize) -> Self {
        debug_assert!(count.is_power_of_two());
        Self((0..count).map(|_| Shard(RwLock::new(Table(HashTable::new())))).collect())
    }

    /// The shard for a hash: its low bits choose, and the table uses others (see [`spread`]).
    #[inline]
    pub(super) fn of(&self, hash: u64) -> &RwLock<Table<K, V>> {
        &self.0[hash as usize & (self.0.len() - 1)].0
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &RwLock<Table<K, V>>> {
        self.0.iter().map(|shard| &shard.0)
    }
}

impl<K, V> Table<K, V> {
    /// The entry with this hash and key. `is_key` is the one piece of user code that runs under the
    /// lock; nothing has changed if it panics.
    #[inline]
    pub(super) fn find(&self, hash: u64, is_key: impl Fn(&K) -> bool) -> Option<&Entry<K, V>> {
        self.0.find(spread(hash), |entry| entry.hash == hash && is_key(&entry.key))
    }

    /// As [`find`](Self::find), to be changed.
    pub(super) fn find_mut(&mut self, hash: u64, is_key: impl Fn(&K) -> bool) -> Option<&mut Entry<K, V>> {
        self.0.find_mut(spread(hash), |entry| entry.hash == hash && is_key(&entry.key))
    }

    /// The entry that has this watch.
    pub(super) fn find_watched(&mut self, hash: u64, watch: &Arc<Watch>) -> Option<&mut Entry<K, V>> {
        let has_it = |entry: &Entry<K, V>| entry.watch.as_ref().is_some_and(|own| Arc::ptr_eq(own, watch));
        self.0.find_mut(spread(hash), has_it)
    }

    /// Adds a key that is not there.
    pub(super) fn insert(&mut self, hash: u64, key: K, current: Snapshot<V>) {
        let entry = Entry { hash, key, current, watch: None };
        self.0.insert_unique(spread(hash), entry, |entry| spread(entry.hash));
    }

    /// Takes the entry of a key out, if `will_do` says so of its stamp. What is removed is to be dropped once the
    /// lock is released. Otherwise says what is there.
    pub(super) fn remove(
        &mut self,
        hash: u64,
        is_key: impl Fn(&K) -> bool,
        will_do: impl FnOnce(Stamp) -> bool,
    ) -> Result<Entry<K, V>, Option<Snapshot<V>>> {
        let same = |entry: &Entry<K, V>| entry.hash == hash && is_key(&entry.key);
        let found = match self.0.entry(spread(hash), same, |entry| spread(entry.hash)) {
            Slot::Vacant(_) => return Err(None),
            Slot::Occupied(found) if will_do(found.get().current.stamp()) => found,
            Slot::Occupied(found) => return Err(Some(found.get().current.clone())),
        };
        let (entry, _) = found.remove();
        if self.0.capacity() > SMALL && self.0.len() < self.0.capacity() / 8 {
            self.0.shrink_to(SMALL.max(self.0.len() * 2), |entry| spread(entry.hash));
        }
        Ok(entry)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Entry<K, V>> {
        self.0.iter()
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}

/// The hash that the table sees. It takes the lowest bits and the highest seven, while the low bits of
/// all keys in one shard are the same: so all bits are brought into both places.
#[inline]
fn spread(hash: u64) -> u64 {
    hash.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(32)
}
