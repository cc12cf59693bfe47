//! The tables of keyed locks that are compared, and two that are made here: the floor, and the one
//! that people write by hand.

use std::collections::HashSet;
use std::future::Future;
use std::hash::{BuildHasher, Hash, RandomState};
use std::sync::Arc;

use hashbrown::HashTable;
use parking_lot::Mutex;
use tokio::task::yield_now;

/// Shards of our table and of the floor. It is our default on small machines.
pub(crate) const SHARDS: usize = 64;

/// A table of locks for threads, keyed by number. Some guards borrow their key, so all are given a reference.
pub(crate) trait Waits: Send + Sync + 'static {
    fn wait<'a>(&'a self, key: &'a u64) -> impl Sized;
}

/// A table of locks for tasks.
pub(crate) trait Awaits: Send + Sync + 'static {
    fn lock(&self, key: u64) -> impl Future<Output = impl Send> + Send;
}

/// The hashers: std's, which `batch-lock` and `lockable` always use, and that of the `foldhash` crate.
pub(crate) type StdHasher = RandomState;
pub(crate) type Foldhash = foldhash::fast::RandomState;

pub(crate) type Ours<K = u64, S = StdHasher> = latchwork::KeyedLock<K, S>;
pub(crate) type LockMap<K = u64, S = StdHasher> = lockmap::LockMap<K, (), S>;
pub(crate) type BatchLock<K = u64> = batch_lock::LockManager<K>;
pub(crate) type Lockable<K = u64> = lockable::LockPool<K>;

/// The hashers that the tables have if nobody names one.
pub(crate) type OurDefault = StdHasher;
pub(crate) type LockMapDefault = Foldhash;
const _: fn(latchwork::KeyedLock<u64>) -> Ours<u64, OurDefault> = |table| table;
const _: fn(lockmap::LockMap<u64, ()>) -> LockMap<u64, LockMapDefault> = |table| table;

/// What a hasher of these tables can do.
pub(crate) trait Hashes: BuildHasher + Default + Clone + Send + Sync + 'static {}

impl<S: BuildHasher + Default + Clone + Send + Sync + 'static> Hashes for S {}

pub(crate) fn ours<K: Eq + Hash, S: Hashes>() -> Ours<K, S> {
    latchwork::KeyedLock::builder().shards(SHARDS).hasher(S::default()).build()
}

pub(crate) fn lock_map<K: Eq + Hash, S: Hashes>() -> LockMap<K, S> {
    LockMap::with_hasher(S::default())
}

impl<S: Hashes> Waits for Ours<u64, S> {
    #[inline]
    fn wait<'a>(&'a self, key: &'a u64) -> impl Sized {
        Self::lock(self, *key).wait()
    }
}

impl<S: Hashes> Awaits for Ours<u64, S> {
    #[inline]
    fn lock(&self, key: u64) -> impl Future<Output = impl Send> + Send {
        Self::lock(self, key)
    }
}

impl Waits for Lockable {
    #[inline]
    fn wait<'a>(&'a self, key: &'a u64) -> impl Sized {
        self.blocking_lock(*key)
    }
}

impl Awaits for Lockable {
    #[inline]
    fn lock(&self, key: u64) -> impl Future<Output = impl Send> + Send {
        self.async_lock(key)
    }
}

impl<S: Hashes> Waits for LockMap<u64, S> {
    #[inline]
    fn wait<'a>(&'a self, key: &'a u64) -> impl Sized {
        self.entry(*key)
    }
}

impl Waits for BatchLock {
    #[inline]
    fn wait<'a>(&'a self, key: &'a u64) -> impl Sized {
        Self::lock(self, key)
    }
}

/// The least that a table of keyed locks can do: hash the key, lock its shard, insert it, and the
/// same again to remove it. Nobody can wait, and a guard borrows the key that it removes.
pub(crate) struct Floor<K = u64, S = StdHasher> {
    hasher: S,
    shards: Box<[FloorShard<K>]>,
}

#[repr(align(64))]
struct FloorShard<K>(Mutex<HashTable<K>>);

pub(crate) struct FloorGuard<'a, K: Eq + Hash, S: Hashes> {
    floor: &'a Floor<K, S>,
    key: &'a K,
    hash: u64,
}

impl<K: Eq + Hash, S: Hashes> Floor<K, S> {
    pub(crate) fn new() -> Self {
        let shards = (0..SHARDS).map(|_| FloorShard(Mutex::new(HashTable::new()))).collect();
        Self { hasher: S::default(), shards }
    }

    #[inline]
    fn shard(&self, hash: u64) -> &Mutex<HashTable<K>> {
        &self.shards[hash as usize % SHARDS].0
    }

    #[inline]
    pub(crate) fn try_lock<'a>(&'a self, key: &'a K) -> Option<FloorGuard<'a, K, S>>
    where
        K: Clone,
    {
        let hash = self.hasher.hash_one(key);
        let mut table = self.shard(hash).lock();
        if table.find(hash, |other| other == key).is_some() {
            return None;
        }
        table.insert_unique(hash, key.clone(), |key| self.hasher.hash_one(key));
        Some(FloorGuard { floor: self, key, hash })
    }
}

impl<S: Hashes> Waits for Floor<u64, S> {
    #[inline]
    fn wait<'a>(&'a self, key: &'a u64) -> impl Sized {
        self.try_lock(key).expect("the floor can't wait")
    }
}

impl<K: Eq + Hash, S: Hashes> Drop for FloorGuard<'_, K, S> {
    #[inline]
    fn drop(&mut self) {
        let mut table = self.floor.shard(self.hash).lock();
        let found = table.find_entry(self.hash, |other| other == self.key);
        let key = found.ok().map(|found| found.remove().0);
        drop(table);
        drop(key);
    }
}

/// Keys in a set behind an async mutex, whose guard needs a task to let go, since `drop` can't wait.
#[derive(Default)]
pub(crate) struct HandMade {
    held: Arc<tokio::sync::Mutex<HashSet<u64>>>,
}

pub(crate) struct HandMadeGuard {
    held: Arc<tokio::sync::Mutex<HashSet<u64>>>,
    key: u64,
}

impl HandMade {
    pub(crate) async fn try_lock(&self, key: u64) -> Option<HandMadeGuard> {
        let new = self.held.lock().await.insert(key);
        new.then(|| HandMadeGuard { held: self.held.clone(), key })
    }

    /// Waits until the guards' tasks have made it.
    pub(crate) async fn settled(&self) {
        while !self.held.lock().await.is_empty() {
            yield_now().await;
        }
    }
}

impl Drop for HandMadeGuard {
    fn drop(&mut self) {
        let (held, key) = (self.held.clone(), self.key);
        tokio::spawn(async move { held.lock().await.remove(&key) });
    }
}
