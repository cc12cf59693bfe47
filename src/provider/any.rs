//! [`AnyLocks`]: a provider that is chosen at run time.

use std::fmt;
use std::future::Future;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::pin::Pin;
use std::sync::Arc;

use super::ask::Ask;
use super::begun::Begun;
use super::error::LockError;
use super::locks::{HeldLock, LockProvider, ShowKey};
use crate::fence::Fence;

/// A lock provider that is chosen at run time: local in one deployment, over a database in another.
///
/// Its requests cost an allocation or two more than those of the provider behind it.
///
/// # Examples
///
/// ```
/// use std::sync::Arc;
/// use latchwork::KeyedLock;
/// use latchwork::provider::{AnyLocks, Ask, HeldLock, LockProvider};
///
/// let locks: AnyLocks<u32> = AnyLocks::new(Arc::new(KeyedLock::new()));
/// # latchwork::__example!(async {
/// let held = locks.begin(7, Ask::now()).await?;
/// assert_eq!((held.key(), held.is_lost()), (&7, false));
/// assert!(locks.begin(7, Ask::now()).await.is_err());
/// # });
/// ```
pub struct AnyLocks<K>(Arc<dyn Erased<K>>);

/// A key held through [`AnyLocks`].
pub type AnyGuard<K> = Box<dyn HeldLock<Key = K>>;

/// A request that waits through [`AnyLocks`].
pub type AnyWait<K> = Pin<Box<dyn Future<Output = Result<AnyGuard<K>, LockError>> + Send>>;

/// Shows the fence, and not the key: that may not be for logs.
impl<K> fmt::Debug for dyn HeldLock<Key = K> + '_ {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HeldLock").field("fence", &self.fence()).finish_non_exhaustive()
    }
}

impl<K: 'static> AnyLocks<K> {
    /// Creates a provider that forwards to `locks`.
    #[must_use]
    pub fn new(locks: impl LockProvider<K>) -> Self {
        Self(Arc::new(locks))
    }
}

// Providers are shared among threads, and a request that panics must leave the others as they are.
impl<K: RefUnwindSafe> UnwindSafe for AnyLocks<K> {}
impl<K: RefUnwindSafe> RefUnwindSafe for AnyLocks<K> {}

impl<K> Clone for AnyLocks<K> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<K: 'static> LockProvider<K> for AnyLocks<K> {
    type Guard = AnyGuard<K>;
    type Wait = AnyWait<K>;

    #[track_caller]
    fn begin(&self, key: K, ask: Ask) -> Begun<AnyGuard<K>, AnyWait<K>> {
        self.0.begin_erased(key, ask)
    }

    fn can_share(&self) -> bool {
        self.0.erased_can_share()
    }

    fn name(&self) -> Option<&'static str> {
        self.0.erased_name()
    }

    fn show_key(&self) -> Option<ShowKey<K>> {
        self.0.erased_show_key()
    }
}

impl<K> fmt::Debug for AnyLocks<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AnyLocks").field("name", &self.0.erased_name()).finish_non_exhaustive()
    }
}

/// [`LockProvider`] without its types, so that it can stand behind a pointer.
trait Erased<K>: Send + Sync {
    #[track_caller]
    fn begin_erased(&self, key: K, ask: Ask) -> Begun<AnyGuard<K>, AnyWait<K>>;
    fn erased_can_share(&self) -> bool;
    fn erased_name(&self) -> Option<&'static str>;
    fn erased_show_key(&self) -> Option<ShowKey<K>>;
}

impl<K: 'static, L: LockProvider<K>> Erased<K> for L {
    #[track_caller]
    fn begin_erased(&self, key: K, ask: Ask) -> Begun<AnyGuard<K>, AnyWait<K>> {
        match self.begin(key, ask) {
            Begun::Acquired(guard) => Begun::Acquired(Box::new(guard)),
            Begun::Refused(error) => Begun::Refused(error),
            Begun::Waiting(wait) => {
                Begun::Waiting(Box::pin(async { Ok(Box::new(wait.await?) as AnyGuard<K>) }))
            }
        }
    }

    fn erased_can_share(&self) -> bool {
        self.can_share()
    }

    fn erased_name(&self) -> Option<&'static str> {
        self.name()
    }

    fn erased_show_key(&self) -> Option<ShowKey<K>> {
        self.show_key()
    }
}

impl<H: HeldLock + ?Sized> HeldLock for Box<H> {
    type Key = H::Key;

    fn key(&self) -> &H::Key {
        (**self).key()
    }

    fn fence(&self) -> Fence {
        (**self).fence()
    }

    fn is_lost(&self) -> bool {
        (**self).is_lost()
    }

    fn lost(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        (**self).lost()
    }
}
