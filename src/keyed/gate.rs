//! A keyed lock as the gate of escalated retries.

use std::future::Future;
use std::hash::{BuildHasher, Hash};

use super::lock::KeyedLock;
use crate::key::IntoKey;
use crate::retry::Gate;

impl<K, S, Q> Gate<Q> for KeyedLock<K, S>
where
    K: Eq + Hash + Send + Sync,
    S: BuildHasher + Send + Sync,
    Q: IntoKey<K> + Send,
{
    fn together(&self, key: Q) -> impl Future<Output: Send> + Send {
        self.lock_shared(key)
    }

    fn alone(&self, key: Q) -> impl Future<Output: Send> + Send {
        self.lock(key)
    }
}
