//! The names that are taken, under one lock.

use std::fmt;
use std::sync::Arc;

use hashbrown::HashTable;
use hashbrown::hash_table::Entry as Slot;

use crate::shards::shrink;
use crate::sync::Mutex;

/// A name that is taken.
struct Entry<K> {
    /// So that names are compared only if they are most likely equal, and none is hashed under the lock.
    hash: u64,
    name: Arc<K>,
    /// A guard lives.
    is_claimed: bool,
    /// It stays when no guard lives.
    is_kept: bool,
}

/// The names that are taken. Under its lock runs nothing of the user's but `Eq`; names are hashed before
/// and dropped after.
pub struct Table<K>(Mutex<HashTable<Entry<K>>>);

impl<K> Table<K> {
    pub(super) fn new() -> Self {
        Self(Mutex::new(HashTable::new()))
    }

    pub(super) fn len(&self) -> usize {
        self.0.lock().len()
    }

    pub(super) fn contains(&self, hash: u64, is_name: impl Fn(&K) -> bool) -> bool {
        self.0.lock().find(hash, |entry| entry.hash == hash && is_name(&entry.name)).is_some()
    }

    /// Ends the claim whose guard has `name`, which is then kept or as it was before.
    pub(super) fn end(&self, hash: u64, name: &Arc<K>, keep: bool) {
        let mut names = self.0.lock();
        let own = |entry: &Entry<K>| Arc::ptr_eq(&entry.name, name);
        let Slot::Occupied(mut found) = names.entry(hash, own, |entry| entry.hash) else {
            unreachable!("a claimed name stays in the table")
        };
        let entry = found.get_mut();
        entry.is_claimed = false;
        entry.is_kept |= keep;
        if !entry.is_kept {
            // The guard's own `Arc` is not the last one to go before the lock does.
            found.remove();
            shrink(&mut names, |entry| entry.hash);
        }
    }
}

impl<K: Eq> Table<K> {
    /// Claims a free name. Says of one that is taken whether it is kept.
    pub(super) fn claim(&self, hash: u64, name: &Arc<K>) -> Option<bool> {
        let entry = Entry { hash, name: name.clone(), is_claimed: true, is_kept: false };
        let mut names = self.0.lock();
        match names.entry(hash, |other| other.hash == hash && other.name == *name, |entry| entry.hash) {
            Slot::Occupied(found) => Some(found.get().is_kept),
            Slot::Vacant(free) => {
                free.insert(entry);
                None
            }
        }
    }

    /// Keeps a name, whether it is claimed or not. Says whether it was free.
    pub(super) fn keep(&self, hash: u64, name: Arc<K>) -> bool {
        // A name that is not needed goes after the lock: a parameter outlives the locals.
        let mut names = self.0.lock();
        match names.entry(hash, |other| other.hash == hash && other.name == name, |entry| entry.hash) {
            Slot::Occupied(mut found) => {
                found.get_mut().is_kept = true;
                false
            }
            Slot::Vacant(free) => {
                free.insert(Entry { hash, name: name.clone(), is_claimed: false, is_kept: true });
                true
            }
        }
    }
}

impl<K> Table<K> {
    /// Frees a name that is kept and not claimed. Says whether it did.
    pub(super) fn release(&self, hash: u64, is_name: impl Fn(&K) -> bool) -> bool {
        let mut names = self.0.lock();
        let same = |entry: &Entry<K>| entry.hash == hash && is_name(&entry.name);
        let Slot::Occupied(found) = names.entry(hash, same, |entry| entry.hash) else { return false };
        if found.get().is_claimed {
            return false;
        }
        let (entry, _) = found.remove();
        shrink(&mut names, |entry| entry.hash);
        // A name's drop is user code.
        drop(names);
        drop(entry);
        true
    }
}

impl<K> fmt::Debug for Table<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Table").field("names", &self.len()).finish()
    }
}
