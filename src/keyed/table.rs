//! The table behind [`KeyedLock`](super::KeyedLock) and [`KeyedSemaphore`](super::KeyedSemaphore).
//!
//! **Presence is the lock state**: a key is in the table while it is held or waited for. Only its shard's lock changes the
//! entry. So there is no count of references that could disagree with it, and no moment between "unused" and "removed".
//! What waits in an entry is the same line with the same policy as in the other locks. Only its word is plain.

use std::fmt;
use std::hash::{BuildHasher, Hash};
use std::panic::{RefUnwindSafe, UnwindSafe};

use super::entry::EntryPtr;
#[cfg(feature = "tracing")]
use super::entry::Followed;
use super::options::Options;
use super::shard::{Locked, Shard};
use super::sought::Sought;
use crate::fence::Fence;
use crate::key::IntoKey;
use crate::shards::Shards;
use crate::wait::Word;

/// Shards, and what is the same for all of them.
pub struct Table<K, S> {
    shards: Shards<Shard<K>>,
    hasher: S,
    /// The word of a key of which no permits are held.
    full: Word,
    options: Options<K>,
}

/// A lock or a semaphore with a [`Table`].
pub trait AsTable {
    /// The type of the keys.
    type Key;
    #[doc(hidden)]
    type Hasher;

    #[doc(hidden)]
    fn table(&self) -> &Table<Self::Key, Self::Hasher>;
}

/// The proof that permits of a key were taken. They go back once: with [`Table::release`], or with
/// [`Table::put_back`] and [`Table::stand_aside`] if no guard was made of them.
#[derive(Clone, Copy, Debug)]
pub struct Grant<K> {
    pub(super) entry: EntryPtr<K>,
    pub(super) fence: Fence,
}

impl<K, S> Table<K, S> {
    pub(super) fn new(permits: usize, hasher: S, options: Options<K>) -> Self {
        let shards = Shards::new(options.shards, || Shard::new(options.fence_start));
        Self { shards, hasher, full: Word::free(permits), options }
    }

    pub(super) fn options(&self) -> &Options<K> {
        &self.options
    }

    #[inline]
    pub(super) fn full(&self) -> Word {
        self.full
    }

    /// Returns how many permits each key has.
    pub(super) fn total(&self) -> usize {
        self.full.permits()
    }

    pub(super) fn shards(&self) -> &Shards<Shard<K>> {
        &self.shards
    }

    /// Locks the shard of an entry that the caller keeps in use.
    #[inline(always)]
    pub(super) fn lock_of(&self, entry: EntryPtr<K>) -> Locked<'_, K> {
        Shard::of(&self.shards, entry).lock()
    }

    /// Returns `true` if requests wait for an entry that the caller keeps in use.
    #[cfg(all(feature = "postgres", not(latchwork_loom)))]
    pub(super) fn has_waiters(&self, entry: EntryPtr<K>) -> bool {
        self.lock_of(entry).open(entry).0.has_waiters(1)
    }

    /// Returns what the report of a long wait reads of an entry that the caller keeps in use.
    #[cfg(feature = "tracing")]
    pub(super) fn follow(&self, entry: EntryPtr<K>) -> Followed {
        self.lock_of(entry).open(entry).0.follow()
    }
}

impl<K: Eq + Hash, S: BuildHasher> Table<K, S> {
    #[inline(always)]
    pub(super) fn sought<Q: IntoKey<K>>(&self, key: Q) -> Sought<K, Q> {
        Sought::new(key, &self.hasher)
    }

    /// Locks the shard of a key that may be in use or not.
    #[inline(always)]
    pub(super) fn lock_for<Q: IntoKey<K>>(&self, sought: &Sought<K, Q>) -> Locked<'_, K> {
        Shard::of_hash(&self.shards, sought.hash()).lock()
    }

    /// Returns the permits of `key` that can be taken now.
    pub(super) fn available<Q: IntoKey<K>>(&self, key: Q) -> usize {
        let sought = self.sought(key);
        let mut shard = self.lock_for(&sought);
        let entry = shard.find(sought.hash(), |key| sought.is_key(key));
        entry.map_or(self.full, |entry| shard.open(entry).0.word.get()).permits()
    }
}

// A panic of a key, a hasher, a waker or an observer leaves the table consistent.
impl<K: UnwindSafe, S: UnwindSafe> UnwindSafe for Table<K, S> {}
impl<K: RefUnwindSafe, S: RefUnwindSafe> RefUnwindSafe for Table<K, S> {}

impl<K, S> fmt::Debug for Table<K, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Table").field("keys", &self.len()).finish_non_exhaustive()
    }
}
