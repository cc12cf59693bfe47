//! The entries of a map, divided among small read-write locks.

use std::sync::Arc;

use hashbrown::HashTable;
use hashbrown::hash_table::Entry as Slot;

use super::snapshot::Snapshot;
use crate::shards::{self, shrink};
use crate::stamp::Stamp;
use crate::sync::RwLock;
use crate::wait::Watch;

/// A key and the version that it has.
pub(super) struct Entry<K, V> {
    /// All of it, so that keys are compared only if they are most likely equal, and none is hashed
    /// under a lock when the table grows.
    hash: u64,
    pub(super) key: K,
    pub(super) current: Snapshot<V>,
}

/// The watch of the key with this hash.
struct Watched {
    hash: u64,
    watch: Arc<Watch>,
}

/// The entries whose hash falls here.
pub(super) struct Table<K, V> {
    entries: HashTable<Entry<K, V>>,
    /// The watches of keys that somebody waits for, by the keys' hashes. They are few, and apart from the
    /// entries, which are many and the faster to find the smaller they are. Should two keys have one hash,
    /// who waits for one of them looks in vain when the other is written.
    watches: Option<Box<HashTable<Watched>>>,
}

/// All entries. Their hashes are [spread](shards::spread).
pub(super) type Shards<K, V> = shards::Shards<RwLock<Table<K, V>>>;

impl<K, V> Table<K, V> {
    pub(super) fn new() -> RwLock<Self> {
        RwLock::new(Self { entries: HashTable::new(), watches: None })
    }

    /// The entry with this hash and key. `is_key` is the one piece of user code that runs under the
    /// lock; nothing has changed if it panics.
    #[inline]
    pub(super) fn find(&self, hash: u64, is_key: impl Fn(&K) -> bool) -> Option<&Entry<K, V>> {
        self.entries.find(hash, |entry| entry.hash == hash && is_key(&entry.key))
    }

    /// As [`find`](Self::find), to be changed.
    pub(super) fn find_mut(&mut self, hash: u64, is_key: impl Fn(&K) -> bool) -> Option<&mut Entry<K, V>> {
        self.entries.find_mut(hash, |entry| entry.hash == hash && is_key(&entry.key))
    }

    /// Adds a key that is not there.
    pub(super) fn insert(&mut self, hash: u64, key: K, current: Snapshot<V>) {
        let entry = Entry { hash, key, current };
        self.entries.insert_unique(hash, entry, |entry| entry.hash);
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
        let found = match self.entries.entry(hash, same, |entry| entry.hash) {
            Slot::Vacant(_) => return Err(None),
            Slot::Occupied(found) if will_do(found.get().current.stamp()) => found,
            Slot::Occupied(found) => return Err(Some(found.get().current.clone())),
        };
        let (entry, _) = found.remove();
        shrink(&mut self.entries, |entry| entry.hash);
        Ok(entry)
    }

    /// Takes the watch of a key that is written, to be ended once the lock is released.
    #[inline]
    pub(super) fn take_watch(&mut self, hash: u64) -> Option<Arc<Watch>> {
        let watches = self.watches.as_mut()?;
        let (Watched { watch, .. }, _) = watches.find_entry(hash, |own| own.hash == hash).ok()?.remove();
        if watches.is_empty() {
            self.watches = None;
        }
        Some(watch)
    }

    /// The watch of a key, for which `spare` is taken if it has none.
    pub(super) fn watch(&mut self, hash: u64, spare: &mut Option<Arc<Watch>>) -> Option<Arc<Watch>> {
        if let Some(watches) = &self.watches
            && let Some(own) = watches.find(hash, |own| own.hash == hash)
        {
            return Some(own.watch.clone());
        }
        let watch = spare.take()?;
        let watches = self.watches.get_or_insert_default();
        watches.insert_unique(hash, Watched { hash, watch: watch.clone() }, |own| own.hash);
        Some(watch)
    }

    /// Takes a watch away that nobody waits on, if it still is the one of a key with this hash.
    pub(super) fn forget_watch(&mut self, hash: u64, watch: &Arc<Watch>) {
        let is_it = |own: &Watched| Arc::ptr_eq(&own.watch, watch);
        let found = self.watches.as_mut().and_then(|watches| watches.find(hash, is_it));
        if found.is_some() && watch.close_if_idle() {
            self.take_watch(hash);
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Entry<K, V>> {
        self.entries.iter()
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether a key here has a watch.
    #[cfg(test)]
    pub(super) fn is_watched(&self) -> bool {
        self.watches.is_some()
    }
}
