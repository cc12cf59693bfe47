//! The names that are taken, divided among small locks.

use std::fmt;
use std::num::NonZeroU64;

use hashbrown::HashTable;
use hashbrown::hash_table::Entry as Slot;

use crate::shards::{Shards, default_count, shrink};
use crate::sync::Mutex;

/// A name that is taken.
struct Entry<K> {
    /// So that names are compared only if they are most likely equal, and none is hashed under the lock.
    hash: u64,
    name: K,
    /// The guard that lives.
    claim: Option<ClaimNumber>,
    /// It stays when no guard lives.
    is_kept: bool,
}

/// Which guard it is: by it a guard finds its entry, and nothing of the user's runs for that. No two of one shard
/// are the same.
pub(super) type ClaimNumber = NonZeroU64;

/// The names whose hash falls here.
struct Inside<K> {
    names: HashTable<Entry<K>>,
    /// The number of the next claim.
    next: ClaimNumber,
}

/// The names that are taken. Under a shard's lock runs nothing of the user's but `Eq`; names are hashed and cloned
/// before and dropped after. When a shard grows, users of another one do not wait for it.
pub struct Table<K>(Shards<Mutex<Inside<K>>>);

impl<K> Table<K> {
    pub(super) fn new() -> Self {
        let shard = || Mutex::new(Inside { names: HashTable::new(), next: ClaimNumber::MIN });
        Self(Shards::new(default_count(), shard))
    }

    pub(super) fn len(&self) -> usize {
        self.0.iter().map(|shard| shard.lock().names.len()).sum()
    }

    pub(super) fn contains(&self, hash: u64, is_name: impl Fn(&K) -> bool) -> bool {
        let shard = self.0.of(hash).lock();
        shard.names.find(hash, |entry| entry.hash == hash && is_name(&entry.name)).is_some()
    }

    /// Ends a claim, whose name is then kept or as it was before.
    pub(super) fn end(&self, hash: u64, claim: ClaimNumber, keep: bool) {
        let mut shard = self.0.of(hash).lock();
        let names = &mut shard.names;
        let own = |entry: &Entry<K>| entry.claim == Some(claim);
        let Slot::Occupied(mut found) = names.entry(hash, own, |entry| entry.hash) else {
            unreachable!("a claimed name stays in the table")
        };
        let entry = found.get_mut();
        entry.claim = None;
        entry.is_kept |= keep;
        if entry.is_kept {
            return;
        }
        let (entry, _) = found.remove();
        shrink(names, |entry| entry.hash);
        // A name's drop is user code.
        drop(shard);
        drop(entry);
    }
}

impl<K: Eq> Table<K> {
    /// Claims a free name. Says of one that is taken whether it is kept.
    pub(super) fn claim(&self, hash: u64, name: K) -> Result<ClaimNumber, bool> {
        // A name that is not needed goes after the lock: a parameter outlives the locals.
        let mut shard = self.0.of(hash).lock();
        let Inside { names, next } = &mut *shard;
        match names.entry(hash, |other| other.hash == hash && other.name == name, |entry| entry.hash) {
            Slot::Occupied(found) => Err(found.get().is_kept),
            Slot::Vacant(free) => {
                let claim = *next;
                *next = next.checked_add(1).expect("nobody makes so many claims");
                free.insert(Entry { hash, name, claim: Some(claim), is_kept: false });
                Ok(claim)
            }
        }
    }

    /// Keeps a name, whether it is claimed or not. Says whether it was free.
    pub(super) fn keep(&self, hash: u64, name: K) -> bool {
        // As above.
        let mut shard = self.0.of(hash).lock();
        let names = &mut shard.names;
        match names.entry(hash, |other| other.hash == hash && other.name == name, |entry| entry.hash) {
            Slot::Occupied(mut found) => {
                found.get_mut().is_kept = true;
                false
            }
            Slot::Vacant(free) => {
                free.insert(Entry { hash, name, claim: None, is_kept: true });
                true
            }
        }
    }
}

impl<K> Table<K> {
    /// Frees a name that is kept and not claimed. Says whether it did.
    pub(super) fn release(&self, hash: u64, is_name: impl Fn(&K) -> bool) -> bool {
        let mut shard = self.0.of(hash).lock();
        let names = &mut shard.names;
        let same = |entry: &Entry<K>| entry.hash == hash && is_name(&entry.name);
        let Slot::Occupied(found) = names.entry(hash, same, |entry| entry.hash) else { return false };
        if found.get().claim.is_some() {
            return false;
        }
        let (entry, _) = found.remove();
        shrink(names, |entry| entry.hash);
        // A name's drop is user code.
        drop(shard);
        drop(entry);
        true
    }
}

impl<K> fmt::Debug for Table<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Table").field("names", &self.len()).finish()
    }
}
