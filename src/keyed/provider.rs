//! A keyed lock as a [`LockProvider`]: the local one.

use std::future::Future;
use std::hash::{BuildHasher, Hash};
use std::pin::Pin;
use std::sync::Arc;

use super::lock::{KeyedLock, OwnedKeyedGuard};
use crate::error::Busy;
use crate::fence::Fence;
use crate::provider::{Ask, Begun, HeldLock, LockError, LockProvider, ShowKey};
use crate::wait::{Acquire, Request};

/// A request that waits for a key of a [`KeyedLock`], as a lock provider.
pub type LocalWait<K, S> = Pin<Box<dyn Future<Output = Result<OwnedKeyedGuard<K, S>, LockError>> + Send>>;

impl<K, S> LockProvider<K> for Arc<KeyedLock<K, S>>
where
    K: Eq + Hash + Send + Sync + 'static,
    S: BuildHasher + Send + Sync + 'static,
{
    type Guard = OwnedKeyedGuard<K, S>;
    type Wait = LocalWait<K, S>;

    fn begin(&self, key: K, ask: Ask) -> Begun<Self::Guard, Self::Wait> {
        match (ask.waits(), ask.is_shared()) {
            (false, false) => at_once(self.try_lock_owned(key)),
            (false, true) => at_once(self.try_lock_shared_owned(key)),
            (true, false) => wait(self.lock_bounded_owned(key, ask.queue_bound()), ask),
            (true, true) => wait(self.lock_shared_bounded_owned(key, ask.queue_bound()), ask),
        }
    }

    fn can_share(&self) -> bool {
        true
    }

    fn show_key(&self) -> Option<ShowKey<K>> {
        self.how_to_show()
    }
}

fn at_once<G, W>(tried: Result<G, Busy>) -> Begun<G, W> {
    match tried {
        Ok(guard) => Begun::Acquired(guard),
        Err(busy) => Begun::Refused(busy.into()),
    }
}

fn wait<G, R>(
    mut acquire: Acquire<R>,
    ask: Ask,
) -> Begun<G, Pin<Box<dyn Future<Output = Result<G, LockError>> + Send>>>
where
    G: 'static,
    R: Request<Guard = Result<G, Busy>> + Send + 'static,
{
    // Not a step that would enlist: what waits must be pinned first.
    if let Some(Ok(guard)) = acquire.take() {
        return Begun::Acquired(guard);
    }
    Begun::Waiting(Box::pin(async move {
        #[cfg(all(feature = "tokio", not(latchwork_loom)))]
        if let Some(limit) = ask.time_limit() {
            return acquire.timeout(limit).await?.map_err(|_| LockError::QueueFull);
        }
        let _ = ask;
        acquire.await.map_err(|_| LockError::QueueFull)
    }))
}

impl<K: Send + Sync, S: Send + Sync> HeldLock for OwnedKeyedGuard<K, S> {
    type Key = K;

    fn key(&self) -> &K {
        Self::key(self)
    }

    fn fence(&self) -> Fence {
        Self::fence(self)
    }
}
