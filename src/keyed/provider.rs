//! A keyed lock as a [`LockProvider`]: the local one.

use std::future::{self, Future};
use std::hash::{BuildHasher, Hash};
use std::ops::Deref;
use std::pin::Pin;
use std::sync::Arc;

use super::guard::KeyedHold;
use super::lock::{KeyedGuard, KeyedLock, Lock, LockOwned, OwnedKeyedGuard};
use super::request::OneKey;
use crate::error::{Busy, NotAcquired};
use crate::fence::Fence;
use crate::provider::{Ask, Begun, HeldLock, LockError, LockProvider, ShowKey};
use crate::wait::{Acquire, Acquisition};

/// A request that waits for a key of a [`KeyedLock`], as a lock provider. `G` is its guard. Boxed, as few have to wait.
pub type LocalWait<G> = Pin<Box<dyn Future<Output = Result<G, LockError>> + Send>>;

impl<K, S> LockProvider<K> for Arc<KeyedLock<K, S>>
where
    K: Eq + Hash + Send + Sync + 'static,
    S: BuildHasher + Send + Sync + 'static,
{
    type Guard = OwnedKeyedGuard<K, S>;
    type Wait = LocalWait<OwnedKeyedGuard<K, S>>;

    #[inline]
    #[track_caller]
    fn begin(&self, key: K, ask: Ask) -> Begun<Self::Guard, Self::Wait> {
        let lock: LockOwned<K, K, S> =
            if ask.is_shared() { self.lock_shared_owned(key) } else { self.lock_owned(key) };
        begin(lock, ask)
    }

    fn can_share(&self) -> bool {
        true
    }

    fn name(&self) -> Option<&'static str> {
        KeyedLock::name(self)
    }

    fn show_key(&self) -> Option<ShowKey<K>> {
        self.how_to_show()
    }
}

/// A lock in a `static` needs no [`Arc`].
impl<K, S> LockProvider<K> for &'static KeyedLock<K, S>
where
    K: Eq + Hash + Send + Sync + 'static,
    S: BuildHasher + Send + Sync + 'static,
{
    type Guard = KeyedGuard<'static, K, S>;
    type Wait = LocalWait<KeyedGuard<'static, K, S>>;

    #[inline]
    #[track_caller]
    fn begin(&self, key: K, ask: Ask) -> Begun<Self::Guard, Self::Wait> {
        let locks: &'static KeyedLock<K, S> = self;
        let lock: Lock<'static, K, K, S> =
            if ask.is_shared() { locks.lock_shared(key) } else { locks.lock(key) };
        begin(lock, ask)
    }

    fn can_share(&self) -> bool {
        true
    }

    fn name(&self) -> Option<&'static str> {
        KeyedLock::name(self)
    }

    fn show_key(&self) -> Option<ShowKey<K>> {
        self.how_to_show()
    }
}

#[inline]
fn begin<H, K, S>(lock: Acquire<OneKey<H, K>>, ask: Ask) -> Begun<KeyedHold<H>, LocalWait<KeyedHold<H>>>
where
    H: Deref<Target = KeyedLock<K, S>> + Send + Sync + 'static,
    K: Eq + Hash + Send + Sync + 'static,
    S: BuildHasher + Send + Sync + 'static,
{
    if !ask.waits() {
        return lock.try_now().map_or_else(|busy| Begun::Refused(busy.into()), Begun::Acquired);
    }
    let mut lock = lock.max_waiters(ask.queue_bound());
    // This attempt does not enlist, as the acquisition is not pinned yet.
    if let Some(Ok(guard)) = lock.take() {
        return Begun::Acquired(guard);
    }
    Begun::Waiting(Box::pin(wait(lock, ask)))
}

async fn wait<A, G>(lock: Acquire<A>, ask: Ask) -> Result<G, LockError>
where
    A: Acquisition<Guard = Result<G, Busy>, Timed = Result<G, NotAcquired>>,
{
    #[cfg(all(feature = "tokio", not(latchwork_loom)))]
    if let Some(limit) = ask.time_limit() {
        return lock.timeout(limit).await.map_err(|error| match error {
            NotAcquired::Busy(_) => LockError::QueueFull,
            NotAcquired::TimedOut(timed_out) => timed_out.into(),
        });
    }
    // Without tokio there is no timer, and no `Ask` with a time limit.
    let _ = ask;
    lock.await.map_err(|_| LockError::QueueFull)
}

impl<H, K, S> HeldLock for KeyedHold<H>
where
    H: Deref<Target = KeyedLock<K, S>> + Send + Sync,
    K: Send + Sync,
    S: Send + Sync,
{
    type Key = K;

    fn key(&self) -> &K {
        Self::key(self)
    }

    fn fence(&self) -> Fence {
        Self::fence(self)
    }

    fn is_lost(&self) -> bool {
        false
    }

    fn lost(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(future::pending())
    }
}
