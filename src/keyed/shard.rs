//! One shard: the entries of the keys whose hash falls here, under one small lock.
//!
//! The first entry is inline, in a slot beside the lock. So a table with few keys in use touches one place in memory for
//! each of them. Further entries are boxed, and found through a hash table. A few free boxes are kept, so that a steady
//! load allocates nothing.

#![allow(unsafe_code)]

use hashbrown::HashTable;

use super::counters::Counters;
use super::entry::{Entry, EntryPtr};
use crate::shards::{Shards, shrink, spread};
use crate::sync::{Mutex, MutexGuard};
use crate::wait::{List, Place, Wakes, Word};

/// How many free boxes a shard keeps.
const SPARES: usize = 8;

#[repr(C)]
pub(super) struct Shard<K> {
    slot: Entry<K>,
    inside: Mutex<Inside<K>>,
}

/// In the order of use: what a free key's lock and unlock touch is close to the lock.
#[repr(C)]
struct Inside<K> {
    next_fence: u64,
    /// The boxed entries. Each knows its hash: to keep it here as well would cost a third of a small key's memory.
    boxed: HashTable<EntryPtr<K>>,
    /// The requests that wait until no key is left here.
    drains: List,
    spares: Vec<EntryPtr<K>>,
    counters: Counters,
}

/// A shard whose lock is held.
pub(super) struct Locked<'a, K> {
    slot: &'a Entry<K>,
    inside: MutexGuard<'a, Inside<K>>,
}

impl<K> Shard<K> {
    pub(super) fn new(fence_start: u64) -> Self {
        Self {
            slot: Entry::empty(),
            inside: Mutex::new(Inside {
                next_fence: fence_start,
                boxed: HashTable::new(),
                spares: Vec::new(),
                counters: Counters::default(),
                drains: List::new(),
            }),
        }
    }

    /// Returns the shard of the keys with this hash, of which entries keep the upper half: the one that chooses.
    #[inline(always)]
    pub(super) fn of_hash(shards: &Shards<Self>, hash: u32) -> &Self {
        shards.of(u64::from(hash) << 32)
    }

    /// Returns the shard of an entry that the caller keeps in use.
    #[inline(always)]
    pub(super) fn of(shards: &Shards<Self>, entry: EntryPtr<K>) -> &Self {
        // SAFETY: it is in use, and its hash alone is read.
        let entry = unsafe { entry.get() };
        Self::of_hash(shards, entry.hash())
    }

    #[inline]
    pub(super) fn lock(&self) -> Locked<'_, K> {
        Locked { slot: &self.slot, inside: self.inside.lock() }
    }
}

impl<K> Locked<'_, K> {
    /// Finds the entry in use with this hash and key. `is_key` is the only user code that runs under the lock. If it
    /// panics, nothing has changed.
    #[inline(always)]
    pub(super) fn find(&self, hash: u32, is_key: impl Fn(&K) -> bool) -> Option<EntryPtr<K>> {
        // SAFETY: the lock is held.
        let same = |entry: EntryPtr<K>| unsafe { entry.get() }.hash() == hash;
        // SAFETY: an entry with a hash is in use.
        let found = |entry: EntryPtr<K>| same(entry) && is_key(unsafe { entry.key() });
        let slot = EntryPtr::slot(self.slot);
        if found(slot) {
            return Some(slot);
        }
        if self.inside.boxed.is_empty() {
            return None;
        }
        self.inside.boxed.find(within(hash), |entry| found(*entry)).copied()
    }

    /// Puts an entry into use for a key that has none.
    #[inline(always)]
    pub(super) fn insert(&mut self, hash: u32, key: K, word: Word) -> EntryPtr<K> {
        let entry = if self.slot.hash() == 0 { EntryPtr::slot(self.slot) } else { self.insert_boxed(hash) };
        // SAFETY: the lock is held.
        let free = unsafe { entry.get() };
        // SAFETY: it is the slot, whose hash is zero, or a box that was not in use.
        unsafe { free.occupy(hash, key, word) };
        entry
    }

    #[cold]
    fn insert_boxed(&mut self, hash: u32) -> EntryPtr<K> {
        let entry = self.inside.spares.pop().unwrap_or_else(EntryPtr::boxed);
        self.inside.boxed.insert_unique(within(hash), entry, hash_of);
        entry
    }

    /// Returns an entry in use, and the shard's counters.
    #[inline]
    pub(super) fn open(&mut self, entry: EntryPtr<K>) -> (&Entry<K>, &mut Counters) {
        // SAFETY: the lock is held for as long as `self` is borrowed.
        (unsafe { entry.get() }, &mut self.inside.counters)
    }

    /// Returns the number of the next grant.
    #[inline]
    pub(super) fn next_fence(&mut self) -> u64 {
        self.inside.next_fence += 1;
        self.inside.next_fence
    }

    pub(super) fn fence(&self) -> u64 {
        self.inside.next_fence
    }

    pub(super) fn counters(&mut self) -> &mut Counters {
        &mut self.inside.counters
    }

    pub(super) fn drains(&mut self) -> &mut List {
        &mut self.inside.drains
    }

    /// Takes an idle `entry` out of use. The caller drops its key after the lock is released, as that is user code.
    #[inline(always)]
    pub(super) fn remove(&mut self, entry: EntryPtr<K>) -> K {
        // SAFETY: the lock is held.
        let idle = unsafe { entry.get() };
        let hash = idle.hash();
        // SAFETY: the caller has seen that nothing uses the entry any more.
        let key = unsafe { idle.vacate() };
        if entry != EntryPtr::slot(self.slot) {
            self.keep_or_free(entry, hash);
        }
        key
    }

    #[cold]
    fn keep_or_free(&mut self, entry: EntryPtr<K>, hash: u32) {
        let Inside { boxed, spares, .. } = &mut *self.inside;
        match boxed.find_entry(within(hash), |other| *other == entry) {
            Ok(found) => drop(found.remove()),
            Err(_) => unreachable!("a boxed entry in use is in the table"),
        }
        if spares.len() < SPARES {
            spares.push(entry);
        } else {
            // SAFETY: it is out of use and of the table, and its key was taken.
            unsafe { entry.free() };
        }
        shrink(boxed, hash_of);
    }

    /// Returns `true` if a request waits for the shard to be empty.
    #[inline]
    pub(super) fn is_watched(&self) -> bool {
        !self.inside.drains.is_empty()
    }

    /// Notifies all requests that wait for an empty shard, if it is one.
    pub(super) fn notify_drained(&mut self, wakes: &mut Wakes) {
        if !self.is_empty() {
            return;
        }
        while !self.inside.drains.is_empty() {
            wakes.push(self.inside.drains.send_away(Place::Queued));
        }
    }

    /// Returns the entries in use.
    pub(super) fn entries(&self) -> impl Iterator<Item = EntryPtr<K>> {
        let slot = (self.slot.hash() != 0).then(|| EntryPtr::slot(self.slot));
        slot.into_iter().chain(self.inside.boxed.iter().copied())
    }

    pub(super) fn len(&self) -> usize {
        usize::from(self.slot.hash() != 0) + self.inside.boxed.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<K> Drop for Shard<K> {
    /// Entries are left here only if their guards were forgotten.
    fn drop(&mut self) {
        let mut shard = self.lock();
        let left: Vec<_> = shard.entries().collect();
        let slot = EntryPtr::slot(shard.slot);
        for entry in left {
            // SAFETY: the lock is held.
            let forgotten = unsafe { entry.get() };
            // SAFETY: it was in use by what was forgotten, so nothing can look at it any more.
            drop(unsafe { forgotten.vacate() });
            if entry != slot {
                // SAFETY: as above.
                unsafe { entry.free() };
            }
        }
        for spare in std::mem::take(&mut shard.inside.spares) {
            // SAFETY: spares are out of use.
            unsafe { spare.free() };
        }
    }
}

/// Returns the hash of a boxed entry in the shard's table. The lock is held wherever the table asks for it.
fn hash_of<K>(entry: &EntryPtr<K>) -> u64 {
    // SAFETY: the lock is held.
    within(unsafe { entry.get() }.hash())
}

/// Returns the hash for the shard's own table. All keys of a shard agree in the bits that chose it, so the others must
/// reach every bit that the table looks at.
fn within(hash: u32) -> u64 {
    spread(u64::from(hash))
}

#[cfg(all(test, not(latchwork_loom)))]
mod tests {
    use std::collections::{HashMap, HashSet};

    use super::*;

    #[test]
    fn keys_of_one_shard_do_not_meet_inside_it() {
        for bits in [0, 6, 10, 16] {
            let mut shards = HashMap::<_, Vec<_>>::new();
            for id in 0..1_u64 << (bits + 8).min(20) {
                let hash = (spread(id) >> 32) as u32;
                shards.entry(hash & ((1 << bits) - 1)).or_default().push(within(hash));
            }
            let (mut places, mut tags, mut keys) = (0, 0, 0);
            for shard in shards.values() {
                keys += shard.len();
                places += shard.iter().map(|hash| hash & 255).collect::<HashSet<_>>().len();
                tags += shard.iter().map(|hash| hash >> 57).collect::<HashSet<_>>().len();
            }
            assert!(places * 2 >= keys, "{places} places for {keys} keys in 2^{bits} shards");
            assert!(tags * 4 >= keys, "{tags} tags for {keys} keys in 2^{bits} shards");
        }
    }
}
