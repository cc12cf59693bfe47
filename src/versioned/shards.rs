//! The entries of a map, divided among small read-write locks.

use std::sync::Arc;

use super::snapshot::Snapshot;
use crate::shards::{self, Entries};
use crate::stamp::Stamp;
use crate::sync::RwLock;
use crate::wait::Watch;

/// A key and the version that it has.
pub(super) struct Entry<K, V> {
    pub(super) key: K,
    pub(super) current: Snapshot<V>,
}

/// The entries whose hash falls into one shard.
pub(super) struct Table<K, V> {
    entries: Entries<Entry<K, V>>,
    /// The watches of keys that are waited for, by the keys' hashes. Kept apart from the entries, so that entries stay
    /// small and lookups fast; few keys are watched. If two keys have one hash, a waiter of one of them also looks when
    /// the other is written, and waits on.
    watches: Option<Box<Entries<Arc<Watch>>>>,
}

/// All entries. Their hashes are [spread](shards::hash_of).
pub(super) type Shards<K, V> = shards::Shards<RwLock<Table<K, V>>>;

impl<K, V> Table<K, V> {
    pub(super) fn new() -> RwLock<Self> {
        RwLock::new(Self { entries: Entries::new(), watches: None })
    }

    /// Finds the entry with this hash and key. `is_key` is the only user code that runs under the lock; nothing has
    /// changed if it panics.
    #[inline]
    pub(super) fn find(&self, hash: u64, is_key: impl Fn(&K) -> bool) -> Option<&Entry<K, V>> {
        self.entries.find(hash, |entry| is_key(&entry.key))
    }

    /// Finds an entry to change it.
    pub(super) fn find_mut(&mut self, hash: u64, is_key: impl Fn(&K) -> bool) -> Option<&mut Entry<K, V>> {
        self.entries.find_mut(hash, |entry| is_key(&entry.key))
    }

    /// Adds a key that is not there.
    pub(super) fn insert(&mut self, hash: u64, key: K, current: Snapshot<V>) {
        self.entries.insert(hash, Entry { key, current });
    }

    /// Takes the entry of a key out, if `admits` accepts its stamp. What is removed must be dropped after the lock is
    /// released. Otherwise returns what is there.
    pub(super) fn remove(
        &mut self,
        hash: u64,
        is_key: impl Fn(&K) -> bool,
        admits: impl FnOnce(Stamp) -> bool,
    ) -> Result<Entry<K, V>, Option<Snapshot<V>>> {
        match self.entries.found(hash, |entry| is_key(&entry.key)) {
            None => Err(None),
            Some(found) if admits(found.get().current.stamp()) => Ok(found.remove()),
            Some(found) => Err(Some(found.get().current.clone())),
        }
    }

    /// Takes the watch of a key that is written. It must be ended after the lock is released.
    #[inline]
    pub(super) fn take_watch(&mut self, hash: u64) -> Option<Arc<Watch>> {
        let watches = self.watches.as_mut()?;
        let watch = watches.found(hash, |_| true)?.remove();
        if watches.is_empty() {
            self.watches = None;
        }
        Some(watch)
    }

    /// Returns the watch of a key. If it has none, that is `spare`, if there is one.
    pub(super) fn watch(&mut self, hash: u64, spare: &mut Option<Arc<Watch>>) -> Option<Arc<Watch>> {
        if let Some(watches) = &self.watches
            && let Some(own) = watches.find(hash, |_| true)
        {
            return Some(own.clone());
        }
        let watch = spare.take()?;
        let watches = self.watches.get_or_insert_with(|| Box::new(Entries::new()));
        watches.insert(hash, watch.clone());
        Some(watch)
    }

    /// Takes away a watch without waiters, if it still is the one of a key with this hash.
    pub(super) fn forget_watch(&mut self, hash: u64, watch: &Arc<Watch>) {
        let is_it = |own: &Arc<Watch>| Arc::ptr_eq(own, watch);
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

    /// Returns `true` if a key here has a watch.
    #[cfg(test)]
    pub(super) fn is_watched(&self) -> bool {
        self.watches.is_some()
    }
}
