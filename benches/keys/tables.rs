//! Everything that there is for one type of key: ours and the floor with one hasher, others with theirs.

use std::hash::Hash;

use dashmap::DashMap;

use crate::peers::{BatchLock, Floor, Hashes, LockMap, Lockable, Ours, lock_map, ours};

pub(crate) struct Tables<K: Hash + Eq + Clone, S, M = S> {
    pub(crate) ours: Ours<K, S>,
    pub(crate) floor: Floor<K, S>,
    pub(crate) lock_map: LockMap<K, M>,
    pub(crate) dash_map: DashMap<K, (), S>,
    /// Always with std's hasher.
    pub(crate) batch_lock: BatchLock<K>,
    /// Always with std's hasher.
    pub(crate) lockable: Lockable<K>,
}

impl<K: Hash + Eq + Clone, S: Hashes, M: Hashes> Tables<K, S, M> {
    pub(crate) fn new() -> Self {
        Self {
            ours: ours(),
            floor: Floor::new(),
            lock_map: lock_map(),
            dash_map: DashMap::default(),
            batch_lock: BatchLock::new(),
            lockable: Lockable::new(),
        }
    }
}
