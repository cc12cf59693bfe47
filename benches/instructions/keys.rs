//! Keys that nobody else wants, and names.

use std::collections::{BTreeSet, HashSet};
use std::hash::{BuildHasher, Hash};

use latchwork::{Claims, KeyedLock};
use lockmap::LockMap;

use crate::peers::{BatchLock, Floor, Lockable, StdHasher};
use crate::{Operation, in_task, on_thread};

/// So many keys are asked for in turn.
const KEYS: u64 = 64;

pub(crate) const OPERATIONS: &[Operation] = &[
    ("key-u64-thread", |count| {
        let locks = KeyedLock::<u64>::new();
        on_thread(count, |turn| locks.lock(number(turn)).wait());
    }),
    ("key-u64-thread/floor", |count| {
        let (floor, keys) = (Floor::<u64>::new(), numbers());
        on_thread(count, |turn| floor.try_lock(nth(&keys, turn)));
    }),
    ("key-u64-thread/lockmap", |count| {
        let locks = LockMap::<u64, ()>::new();
        on_thread(count, |turn| locks.entry(number(turn)));
    }),
    ("key-u64-thread/lockmap-std-hasher", |count| {
        let locks = with_std_hasher();
        on_thread(count, |turn| locks.entry(number(turn)));
    }),
    ("key-u64-task", |count| {
        let locks = KeyedLock::<u64>::new();
        in_task(count, async |turn| locks.lock(number(turn)).await);
    }),
    ("key-u64-task/lockable", |count| {
        let locks = Lockable::<u64>::new();
        in_task(count, async |turn| locks.async_lock(number(turn)).await);
    }),
    ("key-str-thread", |count| {
        let (locks, keys) = (KeyedLock::<String>::new(), names());
        on_thread(count, |turn| locks.lock(nth(&keys, turn).as_str()).wait());
    }),
    ("key-str-thread/floor", |count| {
        let (floor, keys) = (Floor::<String>::new(), names());
        on_thread(count, |turn| floor.try_lock(nth(&keys, turn)));
    }),
    ("key-str-thread/lockmap", |count| {
        let (locks, keys) = (LockMap::<String, ()>::new(), names());
        on_thread(count, |turn| locks.entry_by_ref(nth(&keys, turn).as_str()));
    }),
    ("key-str-thread/lockmap-std-hasher", |count| {
        let (locks, keys) = (with_std_hasher::<String>(), names());
        on_thread(count, |turn| locks.entry_by_ref(nth(&keys, turn).as_str()));
    }),
    ("key-str-task", |count| {
        let (locks, keys) = (KeyedLock::<String>::new(), names());
        in_task(count, async |turn| locks.lock(nth(&keys, turn).as_str()).await);
    }),
    ("key-str-task/lockable", |count| {
        let (locks, keys) = (Lockable::<String>::new(), names());
        in_task(count, async |turn| locks.async_lock(nth(&keys, turn).clone()).await);
    }),
    ("lock-many-4-thread", |count| {
        let locks = KeyedLock::<u64>::new();
        on_thread(count, |turn| locks.lock_many(four(turn)).wait());
    }),
    ("lock-many-4-thread/batch-lock", |count| {
        let locks = BatchLock::<u64>::new();
        on_thread(count, |turn| drop(locks.batch_lock(&BTreeSet::from(four(turn)))));
    }),
    ("lock-many-4-thread/lockmap-std-hasher", |count| {
        let locks = with_std_hasher::<u64>();
        on_thread(count, |turn| locks.batch_lock::<Vec<_>>(BTreeSet::from(four(turn))));
    }),
    ("single-locks-4-thread", |count| {
        let locks = KeyedLock::<u64>::new();
        on_thread(count, |turn| four(turn).map(|key| locks.lock(key).wait()));
    }),
    ("claim-and-drop", |count| {
        let (claims, names) = (Claims::<String>::new(), names());
        on_thread(count, |turn| claims.try_claim(nth(&names, turn).as_str()));
    }),
    ("claim-and-drop/mutex-of-hashset", |count| {
        let (claimed, names) = (parking_lot::Mutex::new(HashSet::new()), names());
        on_thread(count, |turn| {
            let name = nth(&names, turn);
            claimed.lock().insert(name.clone());
            claimed.lock().remove(name)
        });
    }),
];

fn number(turn: u64) -> u64 {
    (turn % KEYS) * 7919
}

fn numbers() -> Vec<u64> {
    (0..KEYS).map(number).collect()
}

fn names() -> Vec<String> {
    (0..KEYS).map(|turn| format!("user-{:019}", number(turn))).collect()
}

fn nth<K>(keys: &[K], turn: u64) -> &K {
    &keys[(turn % KEYS) as usize]
}

/// Four different keys, not in their order.
fn four(turn: u64) -> [u64; 4] {
    [turn + 2, turn, turn + 3, turn + 1].map(number)
}

fn with_std_hasher<K: Eq + Hash>() -> LockMap<K, (), impl BuildHasher> {
    LockMap::with_hasher(StdHasher::default())
}
