//! [`KeyedLock`]: a lock for each key.

use std::fmt;
use std::hash::{BuildHasher, Hash, RandomState};
use std::ops::Deref;
use std::sync::Arc;

use super::counters::KeyedStats;
use super::drain::Drained;
use super::guard::KeyedHold;
use super::many::{KeyedManyHold, ManyKeys};
use super::request::OneKey;
use super::table::{AsTable, Claim, Table};
use super::views::{KeyView, debug};
use crate::error::Busy;
use crate::key::IntoKey;
use crate::wait::{Acquire, MAX_PERMITS, Request};

/// A lock for each key: exclusive or shared, for threads and tasks alike.
///
/// Different keys never block each other, and a key costs nothing while nobody holds it or waits for
/// it. Guards release in `Drop`: on return, on `?`, on panic, and when a request's future is dropped.
///
/// # Fairness
///
/// Each key has its own line, served as [`Acquire`] says.
///
/// # Deadlock
///
/// A caller that holds a key and waits for it again waits for ever. Two keys taken one after the other can
/// deadlock with a caller that takes them the other way round; [`lock_many`](Self::lock_many) can't.
///
/// # Examples
///
/// ```
/// use latchwork::KeyedLock;
///
/// let users: KeyedLock<String> = KeyedLock::new();
/// let guard = users.try_lock("ada")?;
/// assert!(users.try_lock("ada").is_err());  // 409: her first click is being served
/// assert!(users.try_lock("grace").is_ok()); // nobody else notices
/// drop(guard);
/// assert!(users.try_lock("ada").is_ok());
/// # Ok::<(), latchwork::Busy>(())
/// ```
pub struct KeyedLock<K, S = RandomState> {
    table: Table<K, S>,
}

/// A key held in a [`KeyedLock`], until dropped.
pub type KeyedGuard<'a, K, S = RandomState> = KeyedHold<&'a KeyedLock<K, S>>;

/// A [`KeyedGuard`] that keeps its lock alive instead of borrowing it.
pub type OwnedKeyedGuard<K, S = RandomState> = KeyedHold<Arc<KeyedLock<K, S>>>;

/// Several keys held in a [`KeyedLock`], until dropped.
pub type KeyedManyGuard<'a, K, S = RandomState> = KeyedManyHold<&'a KeyedLock<K, S>>;

/// A [`KeyedManyGuard`] that keeps its lock alive instead of borrowing it.
pub type OwnedKeyedManyGuard<K, S = RandomState> = KeyedManyHold<Arc<KeyedLock<K, S>>>;

impl<K, S> KeyedLock<K, S> {
    pub(super) fn from_table(table: Table<K, S>) -> Self {
        Self { table }
    }

    /// How keys are shown, if they may be.
    pub(super) fn how_to_show(&self) -> Option<crate::provider::ShowKey<K>> {
        self.table.options().show_key
    }

    /// How many keys are held or waited for. Shards are counted one after the other.
    ///
    /// # Examples
    ///
    /// ```
    /// let locks = latchwork::KeyedLock::<u32>::new();
    /// let _guards = (locks.lock(1).wait(), locks.lock(2).wait());
    /// assert_eq!(locks.len(), 2);
    /// ```
    #[must_use]
    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// Whether no key is held or waited for.
    ///
    /// # Examples
    ///
    /// ```
    /// let locks = latchwork::KeyedLock::<u32>::new();
    /// drop(locks.lock(1).wait());
    /// assert!(locks.is_empty());
    /// ```
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What was counted so far.
    ///
    /// # Examples
    ///
    /// ```
    /// let locks = latchwork::KeyedLock::<u32>::new();
    /// drop(locks.lock(1).wait());
    /// assert_eq!(locks.stats().acquired, 1);
    /// ```
    #[must_use]
    pub fn stats(&self) -> KeyedStats {
        self.table.stats()
    }

    /// The keys in use: who holds them, how many wait. Meant for a debug page: it looks at every
    /// shard, one after the other, and keeps the entries for as long as the views live.
    ///
    /// # Examples
    ///
    /// ```
    /// let locks = latchwork::KeyedLock::<u32>::builder().track_callers(true).build();
    /// let guard = locks.lock(7).wait();
    /// let views = locks.snapshot();
    /// assert_eq!((*views[0].key(), views[0].waiters(), views[0].fence()), (7, 0, Some(guard.fence())));
    /// assert!(views[0].caller().is_some_and(|place| place.file().ends_with(".rs")));
    /// ```
    #[must_use]
    pub fn snapshot(&self) -> Vec<KeyView<'_, K, S>> {
        self.table.snapshot()
    }

    /// Waits until no key is held or waited for: after new requests were stopped, the shutdown may
    /// go on. While requests keep coming it may wait for long.
    ///
    /// # Cancel safety
    ///
    /// As that of [`Acquire`].
    ///
    /// # Examples
    ///
    /// ```
    /// let locks = latchwork::KeyedLock::<u32>::new();
    /// let guard = locks.lock(7).wait();
    /// std::thread::scope(|s| {
    ///     s.spawn(move || drop(guard));
    ///     locks.drained().wait();
    /// });
    /// assert!(locks.is_empty());
    /// ```
    pub fn drained(&self) -> Acquire<impl Request<Guard = ()>> {
        Drained::acquire(self)
    }
}

impl<K: Eq + Hash, S: BuildHasher> KeyedLock<K, S> {
    /// Acquires `key` for this caller alone: `.await` it in a task, `.wait()` for it on a thread.
    ///
    /// # Cancel safety
    ///
    /// As that of [`Acquire`]; the key's entry goes with the last one who holds or wants it.
    ///
    /// # Examples
    ///
    /// ```
    /// let locks = latchwork::KeyedLock::<(u16, u64)>::new();
    /// let guard = locks.lock((1, 42)).wait();
    /// assert_eq!(guard.key(), &(1, 42));
    /// ```
    #[inline]
    #[track_caller]
    pub fn lock<Q: IntoKey<K>>(&self, key: Q) -> Acquire<impl Request<Guard = KeyedGuard<'_, K, S>>> {
        OneKey::acquire(self, key, Claim::new(MAX_PERMITS))
    }

    /// Acquires `key` together with others who share it.
    ///
    /// # Cancel safety
    ///
    /// As that of [`Acquire`].
    ///
    /// # Deadlock
    ///
    /// A caller that holds the key, also if it shares it, must not wait for it again: behind a waiting
    /// [`lock`](Self::lock) it waits for ever, as with an [`RwLock`](crate::RwLock#deadlock). Pass the guard on instead.
    ///
    /// # Examples
    ///
    /// ```
    /// let locks = latchwork::KeyedLock::<String>::new();
    /// let (one, two) = (locks.lock_shared("menu").wait(), locks.lock_shared("menu").wait());
    /// assert!(one.is_shared() && locks.try_lock("menu").is_err());
    /// # drop(two);
    /// ```
    #[inline]
    #[track_caller]
    pub fn lock_shared<Q: IntoKey<K>>(&self, key: Q) -> Acquire<impl Request<Guard = KeyedGuard<'_, K, S>>> {
        OneKey::acquire(self, key, Claim::new(1))
    }

    /// As [`lock`](Self::lock), with a guard that keeps the lock alive.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::sync::Arc;
    ///
    /// let locks = Arc::new(latchwork::KeyedLock::<String>::new());
    /// let guard = locks.lock_owned("ada").wait();
    /// std::thread::spawn(move || drop(guard)).join().unwrap();
    /// assert!(!locks.is_locked("ada"));
    /// ```
    #[inline]
    #[track_caller]
    pub fn lock_owned<Q: IntoKey<K>>(
        self: &Arc<Self>,
        key: Q,
    ) -> Acquire<impl Request<Guard = OwnedKeyedGuard<K, S>> + use<K, S, Q>> {
        OneKey::acquire(self.clone(), key, Claim::new(MAX_PERMITS))
    }

    /// As [`lock_shared`](Self::lock_shared), with a guard that keeps the lock alive.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::sync::Arc;
    ///
    /// let locks = Arc::new(latchwork::KeyedLock::<u32>::new());
    /// let (one, two) = (locks.lock_shared_owned(7).wait(), locks.lock_shared_owned(7).wait());
    /// assert!(one.is_shared() && two.is_shared());
    /// ```
    #[inline]
    #[track_caller]
    pub fn lock_shared_owned<Q: IntoKey<K>>(
        self: &Arc<Self>,
        key: Q,
    ) -> Acquire<impl Request<Guard = OwnedKeyedGuard<K, S>> + use<K, S, Q>> {
        OneKey::acquire(self.clone(), key, Claim::new(1))
    }

    /// Acquires `key` if nobody holds it, without waiting. It counts as a newcomer: see [`Acquire`](crate::Acquire#fairness).
    ///
    /// # Errors
    ///
    /// [`Busy`] if somebody holds it or it is reserved for a waiter, with the holder's fence and the number of those who wait.
    ///
    /// # Examples
    ///
    /// ```
    /// let locks = latchwork::KeyedLock::<u32>::new();
    /// let guard = locks.try_lock(7)?;
    /// assert_eq!(locks.try_lock(7).unwrap_err().holder, Some(guard.fence()));
    /// # Ok::<(), latchwork::Busy>(())
    /// ```
    #[inline]
    #[track_caller]
    pub fn try_lock<Q: IntoKey<K>>(&self, key: Q) -> Result<KeyedGuard<'_, K, S>, Busy> {
        OneKey::attempt(self, key, Claim::new(MAX_PERMITS))
    }

    /// Acquires `key` together with others who share it, if nobody holds it alone.
    ///
    /// # Errors
    ///
    /// [`Busy`] if somebody holds it alone, or it is reserved for a waiter.
    ///
    /// # Examples
    ///
    /// ```
    /// let locks = latchwork::KeyedLock::<u32>::new();
    /// let shared = locks.try_lock_shared(7)?;
    /// assert!(locks.try_lock_shared(7).is_ok() && locks.try_lock(7).is_err());
    /// # drop(shared);
    /// # Ok::<(), latchwork::Busy>(())
    /// ```
    #[inline]
    #[track_caller]
    pub fn try_lock_shared<Q: IntoKey<K>>(&self, key: Q) -> Result<KeyedGuard<'_, K, S>, Busy> {
        OneKey::attempt(self, key, Claim::new(1))
    }

    /// As [`try_lock`](Self::try_lock), with a guard that keeps the lock alive.
    ///
    /// # Errors
    ///
    /// [`Busy`] if somebody holds it, or it is reserved for a waiter.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::sync::Arc;
    ///
    /// let locks = Arc::new(latchwork::KeyedLock::<u32>::new());
    /// let guard = locks.try_lock_owned(7)?;
    /// assert!(locks.try_lock_owned(7).is_err());
    /// # drop(guard);
    /// # Ok::<(), latchwork::Busy>(())
    /// ```
    #[inline]
    #[track_caller]
    pub fn try_lock_owned<Q: IntoKey<K>>(self: &Arc<Self>, key: Q) -> Result<OwnedKeyedGuard<K, S>, Busy> {
        OneKey::attempt(self.clone(), key, Claim::new(MAX_PERMITS))
    }

    /// As [`try_lock_shared`](Self::try_lock_shared), with a guard that keeps the lock alive.
    ///
    /// # Errors
    ///
    /// [`Busy`] if somebody holds it alone, or it is reserved for a waiter.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::sync::Arc;
    ///
    /// let locks = Arc::new(latchwork::KeyedLock::<u32>::new());
    /// let shared = locks.try_lock_shared_owned(7)?;
    /// assert!(shared.is_shared() && locks.try_lock(7).is_err());
    /// # Ok::<(), latchwork::Busy>(())
    /// ```
    #[inline]
    #[track_caller]
    pub fn try_lock_shared_owned<Q: IntoKey<K>>(
        self: &Arc<Self>,
        key: Q,
    ) -> Result<OwnedKeyedGuard<K, S>, Busy> {
        OneKey::attempt(self.clone(), key, Claim::new(1))
    }

    /// Whether somebody holds `key` now; by the time this returns it may no longer be so.
    ///
    /// # Examples
    ///
    /// ```
    /// let locks = latchwork::KeyedLock::<String>::new();
    /// let _guard = locks.lock("ada").wait();
    /// assert!(locks.is_locked("ada") && !locks.is_locked("grace"));
    /// ```
    #[must_use]
    pub fn is_locked<Q: IntoKey<K>>(&self, key: Q) -> bool {
        self.table.available(key) < MAX_PERMITS
    }
}

impl<K: Eq + Hash + Ord, S: BuildHasher> KeyedLock<K, S> {
    /// Acquires several keys for this caller alone: all of them or none. A key that is named twice is
    /// taken once. The guards are in the keys' order.
    ///
    /// It holds no key while it waits. If one of the keys is busy, it waits for that key, and keeps a
    /// place in the queues of those that it could have taken.
    ///
    /// # Fairness
    ///
    /// Each queue is served as [`Acquire`] says. When its turn comes at one key while another is busy, the
    /// first one is reserved for it: newcomers queue, and `try_` calls are refused. A reservation ends
    /// after 16 rounds of the [helper](crate::helper), mostly 16 to 80 ms. The request keeps its
    /// place in the queue all the same.
    ///
    /// So it is not starved by requests for single keys that hold them for less time than that. If others
    /// hold its keys for longer and almost without a pause, it may wait as long as they go on. Then
    /// lock one key that stands for the whole set.
    ///
    /// # Cancel safety
    ///
    /// As that of [`Acquire`]. A request that is kept but never polled again holds no key. Others may
    /// have to wait until its reservations end.
    ///
    /// # Deadlock
    ///
    /// With itself, if the caller holds one of the keys already. Two of these calls never wait for each
    /// other. A caller that holds one of the keys and waits for another waits until the reservation ends.
    ///
    /// # Examples
    ///
    /// ```
    /// let accounts = latchwork::KeyedLock::<String>::new();
    /// let both = accounts.lock_many(["to", "from", "to"]).wait();
    /// assert_eq!(both.iter().map(|guard| guard.key().as_str()).collect::<Vec<_>>(), ["from", "to"]);
    /// ```
    #[track_caller]
    pub fn lock_many<Q: IntoKey<K>, I: IntoIterator<Item = Q>>(
        &self,
        keys: I,
    ) -> Acquire<impl Request<Guard = KeyedManyGuard<'_, K, S>> + use<'_, K, S, Q, I>> {
        ManyKeys::acquire(self, keys, Claim::new(MAX_PERMITS))
    }

    /// As [`lock_many`](Self::lock_many), with a guard that keeps the lock alive.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::sync::Arc;
    ///
    /// let accounts = Arc::new(latchwork::KeyedLock::<u32>::new());
    /// let both = accounts.lock_many_owned([2, 1]).wait();
    /// assert_eq!(both.len(), 2);
    /// ```
    #[track_caller]
    pub fn lock_many_owned<Q: IntoKey<K>, I: IntoIterator<Item = Q>>(
        self: &Arc<Self>,
        keys: I,
    ) -> Acquire<impl Request<Guard = OwnedKeyedManyGuard<K, S>> + use<K, S, Q, I>> {
        ManyKeys::acquire(self.clone(), keys, Claim::new(MAX_PERMITS))
    }

    /// Acquires several keys if nobody holds any of them.
    ///
    /// # Errors
    ///
    /// [`Busy`] about the first that is held; none is held by this call then.
    ///
    /// # Examples
    ///
    /// ```
    /// let accounts = latchwork::KeyedLock::<u32>::new();
    /// let second = accounts.try_lock(2)?;
    /// assert!(accounts.try_lock_many([1, 2]).is_err() && !accounts.is_locked(1));
    /// # drop(second);
    /// # Ok::<(), latchwork::Busy>(())
    /// ```
    #[track_caller]
    pub fn try_lock_many<Q: IntoKey<K>>(
        &self,
        keys: impl IntoIterator<Item = Q>,
    ) -> Result<KeyedManyGuard<'_, K, S>, Busy> {
        ManyKeys::attempt(self, keys, Claim::new(MAX_PERMITS))
    }

    /// As [`try_lock_many`](Self::try_lock_many), with a guard that keeps the lock alive.
    ///
    /// # Errors
    ///
    /// [`Busy`] about the first that is held; none is held by this call then.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::sync::Arc;
    ///
    /// let accounts = Arc::new(latchwork::KeyedLock::<u32>::new());
    /// assert_eq!(accounts.try_lock_many_owned([1, 2])?.len(), 2);
    /// # Ok::<(), latchwork::Busy>(())
    /// ```
    #[track_caller]
    pub fn try_lock_many_owned<Q: IntoKey<K>>(
        self: &Arc<Self>,
        keys: impl IntoIterator<Item = Q>,
    ) -> Result<OwnedKeyedManyGuard<K, S>, Busy> {
        ManyKeys::attempt(self.clone(), keys, Claim::new(MAX_PERMITS))
    }
}

impl<H: Deref<Target = KeyedLock<K, S>>, K, S> KeyedHold<H> {
    /// Whether others may share the key.
    ///
    /// # Examples
    ///
    /// ```
    /// let locks = latchwork::KeyedLock::<u32>::new();
    /// assert!(locks.lock_shared(7).wait().is_shared() && !locks.lock(7).wait().is_shared());
    /// ```
    #[must_use]
    pub fn is_shared(&self) -> bool {
        self.permits() < MAX_PERMITS
    }
}

impl<K, S> AsTable for KeyedLock<K, S> {
    type Key = K;
    type Hasher = S;

    #[inline]
    fn table(&self) -> &Table<K, S> {
        &self.table
    }
}

impl<K, S> fmt::Debug for KeyedLock<K, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        debug("KeyedLock", self, f)
    }
}
