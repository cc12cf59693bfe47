//! Acquisitions that wait only where not too many wait already.

use std::fmt;
use std::hash::{BuildHasher, Hash};
use std::ops::Deref;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Waker;

use super::guard::KeyedHold;
use super::lock::{KeyedGuard, KeyedLock, OwnedKeyedGuard};
use super::request::OneKey;
use super::table::{AsTable, Claim, Grant};
use crate::error::Busy;
use crate::key::IntoKey;
use crate::wait::{Acquire, End, MAX_PERMITS, Node, Request};

type Key<H> = <<H as Deref>::Target as AsTable>::Key;

/// A request for one key that is refused if the line has no room for it. The number of waiters is looked at in
/// the same step that would enlist it, so there are never more.
pub(super) struct Bounded<H: Deref<Target: AsTable>, Q>(OneKey<H, Q>);

impl<H, Q> Bounded<H, Q>
where
    H: Deref<Target: AsTable<Key: Eq + Hash, Hasher: BuildHasher>>,
    Q: IntoKey<Key<H>>,
{
    fn acquire(handle: H, key: Q, claim: Claim, max_waiters: usize) -> Acquire<Self> {
        Acquire::new(Self(OneKey::new(handle, key, Claim { room: max_waiters, ..claim })))
    }
}

impl<H, Q> Request for Bounded<H, Q>
where
    H: Deref<Target: AsTable<Key: Eq + Hash, Hasher: BuildHasher>>,
    Q: IntoKey<Key<H>>,
{
    type Guard = Result<KeyedHold<H>, Busy>;
    type Grant = Result<Grant<Key<H>>, Busy>;

    #[inline]
    fn take(&mut self) -> Option<Self::Grant> {
        self.0.take().map(Ok)
    }

    fn step(&mut self, node: Pin<&mut Node>, task: &Waker) -> Option<Self::Grant> {
        self.0.advance(node, task)
    }

    #[inline]
    fn guard(&mut self, grant: Self::Grant) -> Self::Guard {
        match grant {
            Ok(grant) => Ok(self.0.guard(grant)),
            Err(busy) => {
                self.0.refused(busy);
                Err(busy)
            }
        }
    }

    fn leave(&mut self, node: Pin<&mut Node>, end: End) {
        self.0.leave(node, end);
    }
}

impl<H: Deref<Target: AsTable>, Q> fmt::Debug for Bounded<H, Q> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Bounded").field(&self.0).finish()
    }
}

impl<K: Eq + Hash, S: BuildHasher> KeyedLock<K, S> {
    /// As [`lock`](Self::lock), if it does not have to wait behind `max_waiters` others: a queue that is that long
    /// already is not joined. With zero it takes the key at once, or is refused.
    ///
    /// # Errors
    ///
    /// The guard comes as a `Result`: [`Busy`] if so many wait already.
    ///
    /// # Cancel safety
    ///
    /// As that of [`Acquire`].
    ///
    /// # Examples
    ///
    /// ```
    /// let locks = latchwork::KeyedLock::<u32>::new();
    /// let guard = locks.lock_bounded(7, 1).wait()?;
    /// let busy = locks.lock_bounded(7, 0).wait().unwrap_err();
    /// assert_eq!((busy.waiters, busy.holder), (0, Some(guard.fence())));
    /// # Ok::<(), latchwork::Busy>(())
    /// ```
    #[track_caller]
    pub fn lock_bounded<Q: IntoKey<K>>(
        &self,
        key: Q,
        max_waiters: usize,
    ) -> Acquire<impl Request<Guard = Result<KeyedGuard<'_, K, S>, Busy>>> {
        Bounded::acquire(self, key, Claim::new(MAX_PERMITS), max_waiters)
    }

    /// As [`lock_bounded`](Self::lock_bounded), together with others who share the key.
    ///
    /// # Errors
    ///
    /// The guard comes as a `Result`: [`Busy`] if so many wait already.
    ///
    /// # Examples
    ///
    /// ```
    /// let locks = latchwork::KeyedLock::<u32>::new();
    /// let (one, two) = (locks.lock_shared_bounded(7, 0).wait()?, locks.lock_shared_bounded(7, 0).wait()?);
    /// assert!(one.is_shared() && two.is_shared());
    /// # Ok::<(), latchwork::Busy>(())
    /// ```
    #[track_caller]
    pub fn lock_shared_bounded<Q: IntoKey<K>>(
        &self,
        key: Q,
        max_waiters: usize,
    ) -> Acquire<impl Request<Guard = Result<KeyedGuard<'_, K, S>, Busy>>> {
        Bounded::acquire(self, key, Claim::new(1), max_waiters)
    }

    /// As [`lock_bounded`](Self::lock_bounded), with a guard that keeps the lock alive.
    ///
    /// # Errors
    ///
    /// The guard comes as a `Result`: [`Busy`] if so many wait already.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::sync::Arc;
    ///
    /// let locks = Arc::new(latchwork::KeyedLock::<u32>::new());
    /// let guard = locks.lock_bounded_owned(7, 0).wait()?;
    /// assert!(locks.lock_bounded_owned(7, 0).wait().is_err());
    /// # drop(guard);
    /// # Ok::<(), latchwork::Busy>(())
    /// ```
    #[track_caller]
    pub fn lock_bounded_owned<Q: IntoKey<K>>(
        self: &Arc<Self>,
        key: Q,
        max_waiters: usize,
    ) -> Acquire<impl Request<Guard = Result<OwnedKeyedGuard<K, S>, Busy>> + use<K, S, Q>> {
        Bounded::acquire(self.clone(), key, Claim::new(MAX_PERMITS), max_waiters)
    }

    /// As [`lock_shared_bounded`](Self::lock_shared_bounded), with a guard that keeps the lock alive.
    ///
    /// # Errors
    ///
    /// The guard comes as a `Result`: [`Busy`] if so many wait already.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::sync::Arc;
    ///
    /// let locks = Arc::new(latchwork::KeyedLock::<u32>::new());
    /// let shared = locks.lock_shared_bounded_owned(7, 0).wait()?;
    /// assert!(shared.is_shared() && locks.lock_bounded_owned(7, 0).wait().is_err());
    /// # Ok::<(), latchwork::Busy>(())
    /// ```
    #[track_caller]
    pub fn lock_shared_bounded_owned<Q: IntoKey<K>>(
        self: &Arc<Self>,
        key: Q,
        max_waiters: usize,
    ) -> Acquire<impl Request<Guard = Result<OwnedKeyedGuard<K, S>, Busy>> + use<K, S, Q>> {
        Bounded::acquire(self.clone(), key, Claim::new(1), max_waiters)
    }
}
