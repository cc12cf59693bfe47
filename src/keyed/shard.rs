//! One shard: the entries of the keys whose hash falls here, under one small lock.
//!
//! The first entry lives inline in a slot beside the lock, so that a table with few keys held at a
//! time touches one place in memory for each; further ones are boxed and found through a hash table.
//! Boxes that fall free are kept, a few of them, so that a steady load allocates nothing.

#![allow(unsafe_code)]

use hashbrown::HashTable;

use super::counters::Counters;
use super::entry::{Entry, EntryPtr, State};
use crate::sync::{Mutex, MutexGuard};
use crate::wait::{List, Place, Wakes, Word};

/// How many free boxes a shard keeps.
const SPARES: usize = 8;
/// Capacity that a shard's table keeps, come what may.
const SMALL: usize = 28;

#[repr(C, align(64))]
pub(super) struct Shard<K> {
    slot: Entry<K>,
    inside: Mutex<Inside<K>>,
}

/// In the order of use: what a free key's lock and unlock touch shares a cache line with the lock.
#[repr(C)]
struct Inside<K> {
    next_fence: u64,
    table: HashTable<EntryPtr<K>>,
    /// Those who wait until no key is left here.
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
                table: HashTable::new(),
                spares: Vec::new(),
                counters: Counters::default(),
                drains: List::new(),
            }),
        }
    }

    #[inline]
    pub(super) fn lock(&self) -> Locked<'_, K> {
        Locked { slot: &self.slot, inside: self.inside.lock() }
    }
}

impl<K> Locked<'_, K> {
    /// The entry in use with this hash and key. `is_key` is the one piece of user code that runs
    /// under the lock; nothing has changed if it panics.
    #[inline(always)]
    pub(super) fn find(&self, hash: u32, is_key: impl Fn(&K) -> bool) -> Option<EntryPtr<K>> {
        let slot = EntryPtr::slot(self.slot);
        // SAFETY: the lock is held, and no state is kept open.
        let same = |entry: EntryPtr<K>| unsafe { entry.state() }.hash == hash;
        // SAFETY: an entry with a hash is in use.
        let found = |entry: EntryPtr<K>| same(entry) && is_key(unsafe { entry.key() });
        if found(slot) {
            return Some(slot);
        }
        if self.inside.table.is_empty() {
            return None;
        }
        self.inside.table.find(spread(hash), |entry| found(*entry)).copied()
    }

    /// Puts a new entry into use, with a fresh line and `word`.
    #[inline(always)]
    pub(super) fn insert(&mut self, hash: u32, key: K, word: Word) -> EntryPtr<K> {
        let slot = EntryPtr::slot(self.slot);
        // SAFETY: the lock is held, and no state is kept open.
        let entry = if unsafe { slot.state() }.hash == 0 { slot } else { self.insert_boxed(hash) };
        // SAFETY: as above.
        let state = unsafe { entry.state() };
        state.hash = hash;
        state.fence = 0;
        state.word.set(word);
        // SAFETY: the entry was not in use until now.
        unsafe { entry.put_key(key) };
        entry
    }

    #[cold]
    fn insert_boxed(&mut self, hash: u32) -> EntryPtr<K> {
        let entry = self.inside.spares.pop().unwrap_or_else(EntryPtr::boxed);
        // SAFETY: the lock is held, and no state is kept open.
        let hash_of = |entry: &EntryPtr<K>| spread(unsafe { entry.state() }.hash);
        self.inside.table.insert_unique(spread(hash), entry, hash_of);
        entry
    }

    /// The state of an entry in use, and the shard's books.
    #[inline]
    pub(super) fn open(&mut self, entry: EntryPtr<K>) -> (&mut State, &mut Counters) {
        // SAFETY: the lock is held for as long as `self` is borrowed, so one state is open at a time.
        (unsafe { entry.state() }, &mut self.inside.counters)
    }

    /// The number of the next grant.
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

    /// Takes an idle `entry` out of use. Its key is to be dropped once the lock is released.
    #[inline(always)]
    pub(super) fn remove(&mut self, entry: EntryPtr<K>) -> K {
        let hash = std::mem::take(&mut self.open(entry).0.hash);
        // SAFETY: the callers saw that nobody uses the entry any more, and it had its key.
        let key = unsafe { entry.take_key() };
        if entry != EntryPtr::slot(self.slot) {
            self.remove_boxed(entry, hash);
        }
        key
    }

    /// Whether somebody waits for the shard to be empty.
    #[inline]
    pub(super) fn is_watched(&self) -> bool {
        !self.inside.drains.is_empty()
    }

    /// Notifies all those who wait for an empty shard, if it is one.
    pub(super) fn notify_drained(&mut self, wakes: &mut Wakes) {
        if !self.is_empty() {
            return;
        }
        while !self.inside.drains.is_empty() {
            wakes.push(self.inside.drains.send_away(Place::Queued));
        }
    }

    #[cold]
    fn remove_boxed(&mut self, entry: EntryPtr<K>, hash: u32) {
        let Inside { table, spares, .. } = &mut *self.inside;
        match table.find_entry(spread(hash), |other| *other == entry) {
            Ok(found) => drop(found.remove()),
            Err(_) => unreachable!("a boxed entry in use is in the table"),
        }
        if spares.len() < SPARES {
            spares.push(entry);
        } else {
            // SAFETY: it is out of use and of the table, and its key was taken.
            unsafe { entry.free() };
        }
        if table.capacity() > SMALL && table.len() < table.capacity() / 8 {
            // SAFETY: the lock is held, and no state is kept open.
            let hash_of = |entry: &EntryPtr<K>| spread(unsafe { entry.state() }.hash);
            table.shrink_to(SMALL.max(table.len() * 2), hash_of);
        }
    }

    /// The entries in use.
    pub(super) fn entries(&self) -> impl Iterator<Item = EntryPtr<K>> {
        let slot = EntryPtr::slot(self.slot);
        // SAFETY: the lock is held, and no state is kept open.
        let taken = unsafe { slot.state() }.hash != 0;
        taken.then_some(slot).into_iter().chain(self.inside.table.iter().copied())
    }

    pub(super) fn len(&self) -> usize {
        // SAFETY: the lock is held, and no state is kept open.
        let taken = unsafe { EntryPtr::slot(self.slot).state() }.hash != 0;
        usize::from(taken) + self.inside.table.len()
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
            // SAFETY: whoever could look at the entry was forgotten.
            drop(unsafe { entry.take_key() });
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

/// The table's 64-bit hash, made of the part that entries keep.
#[inline]
fn spread(hash: u32) -> u64 {
    u64::from(hash).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}
