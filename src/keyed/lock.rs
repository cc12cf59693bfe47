//! [`KeyedLock`]: a lock for each key.

use std::fmt;
use std::hash::{BuildHasher, Hash, RandomState};
use std::ops::Deref;
use std::sync::Arc;

use super::counters::KeyedCounts;
use super::drain::{Drain, Drained};
use super::guard::KeyedHold;
use super::request::OneKey;
use super::sought::Terms;
use super::table::{AsTable, Table};
use super::views::{KeyView, debug};
use crate::error::Busy;
use crate::key::IntoKey;
use crate::wait::{Acquire, Attempt, MAX_PERMITS};

/// A lock for each key: exclusive or shared, for threads and tasks alike.
///
/// Different keys never block each other, and a key costs nothing while no caller holds it or waits for
/// it. Guards release in `Drop`: on return, on `?`, on panic, and when the future that holds one is dropped.
///
/// # Fairness
///
/// Each key has its own queue, served as [`Acquire`](Acquire#fairness) says.
///
/// # Deadlock
///
/// A caller that holds a key and waits for it again waits for ever. Two callers that lock two keys one after the other, in
/// different orders, can deadlock; with [`lock_many`](Self::lock_many) they can't.
///
/// # Examples
///
/// ```
/// use latchwork::KeyedLock;
///
/// let users: KeyedLock<String> = KeyedLock::new();
/// let guard = users.try_lock("ada")?;
/// assert!(users.try_lock("ada").is_err());  // 409: her first click is being served
/// assert!(users.try_lock("grace").is_ok()); // others are not affected
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

/// The type that [`KeyedLock::lock`] and [`KeyedLock::lock_shared`] return. `Q` is the type of the key that was passed.
pub type Lock<'a, K, Q = K, S = RandomState> = Acquire<OneKey<&'a KeyedLock<K, S>, Q>>;

/// The type that [`KeyedLock::lock_owned`] and [`KeyedLock::lock_shared_owned`] return. `Q` is the type of the key that was
/// passed.
///
/// # Examples
///
/// ```
/// use std::sync::Arc;
/// use latchwork::{KeyedLock, keyed::LockOwned};
///
/// struct Job { user: LockOwned<u32>, text: &'static str }
///
/// let users = Arc::new(KeyedLock::<u32>::new());
/// let job = Job { user: users.lock_owned(7), text: "hello" };
/// let guard = job.user.wait();
/// assert_eq!((guard.key(), job.text), (&7, "hello"));
/// ```
pub type LockOwned<K, Q = K, S = RandomState> = Acquire<OneKey<Arc<KeyedLock<K, S>>, Q>>;

impl<K, S> KeyedLock<K, S> {
    pub(super) fn from_table(table: Table<K, S>) -> Self {
        Self { table }
    }

    /// Returns how keys are shown, if they may be.
    pub(super) fn how_to_show(&self) -> Option<crate::provider::ShowKey<K>> {
        self.table.options().show_key
    }

    /// Returns the lock's [name](super::KeyedBuilder::name), if it has one.
    #[must_use]
    pub fn name(&self) -> Option<&'static str> {
        self.table.options().name
    }

    /// Returns the number of keys that are held or waited for. Shards are counted one after the other.
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

    /// Returns `true` if no key is held or waited for.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns what was counted until now.
    ///
    /// # Examples
    ///
    /// ```
    /// let locks = latchwork::KeyedLock::<u32>::new();
    /// drop(locks.lock(1).wait());
    /// assert_eq!(locks.counts().acquired, 1);
    /// ```
    #[must_use]
    pub fn counts(&self) -> KeyedCounts {
        self.table.counts()
    }

    /// Returns the keys in use, with the latest grant and the number of waiters of each.
    ///
    /// It is meant for a debug page: it reads the shards one after the other, and keeps the entries for as long as the
    /// views live.
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

    /// Waits until no key is held or waited for: the last step of a shutdown, after new requests were stopped. While
    /// requests keep coming it may wait for long. Even on an empty table it takes one lock per shard, and holds all of them
    /// for a moment.
    ///
    /// # Cancel safety
    ///
    /// The same as for [`Acquire`].
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
    pub fn drained(&self) -> Drained<'_, Self> {
        Drain::acquire(self)
    }
}

impl<K: Eq + Hash, S: BuildHasher> KeyedLock<K, S> {
    /// Acquires `key` for this caller alone: `.await` it in a task, `.wait()` for it on a thread.
    ///
    /// # Cancel safety
    ///
    /// The same as for [`Acquire`]. The entry of the key is removed with its last holder or waiter.
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
    pub fn lock<Q: IntoKey<K>>(&self, key: Q) -> Lock<'_, K, Q, S> {
        OneKey::new(self, key, Terms::new(MAX_PERMITS)).acquire()
    }

    /// Acquires `key` together with other callers that share it.
    ///
    /// # Cancel safety
    ///
    /// The same as for [`Acquire`].
    ///
    /// # Deadlock
    ///
    /// A caller that holds the key, shared or not, must not wait for it again: behind a waiting
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
    pub fn lock_shared<Q: IntoKey<K>>(&self, key: Q) -> Lock<'_, K, Q, S> {
        OneKey::new(self, key, Terms::new(1)).acquire()
    }

    /// Acquires `key` as [`lock`](Self::lock) does, with a guard that keeps the lock alive.
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
    pub fn lock_owned<Q: IntoKey<K>>(self: &Arc<Self>, key: Q) -> LockOwned<K, Q, S> {
        OneKey::new(self.clone(), key, Terms::new(MAX_PERMITS)).acquire()
    }

    /// Acquires `key` as [`lock_shared`](Self::lock_shared) does, with a guard that keeps the lock alive.
    #[inline]
    #[track_caller]
    pub fn lock_shared_owned<Q: IntoKey<K>>(self: &Arc<Self>, key: Q) -> LockOwned<K, Q, S> {
        OneKey::new(self.clone(), key, Terms::new(1)).acquire()
    }

    /// Acquires `key` if it is free, without waiting. The call counts as a
    /// [newcomer](Acquire#fairness).
    ///
    /// # Errors
    ///
    /// Returns [`Busy`] if the key is held or reserved for a waiter, with the holder's fence and the number of waiters.
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
    pub fn try_lock(&self, key: impl IntoKey<K>) -> Result<KeyedGuard<'_, K, S>, Busy> {
        OneKey::new(self, key, Terms::new(MAX_PERMITS)).attempt()
    }

    /// Acquires `key` together with other callers that share it, without waiting.
    ///
    /// # Errors
    ///
    /// Returns [`Busy`] if a caller holds the key alone, or it is reserved for a waiter.
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
    pub fn try_lock_shared(&self, key: impl IntoKey<K>) -> Result<KeyedGuard<'_, K, S>, Busy> {
        OneKey::new(self, key, Terms::new(1)).attempt()
    }

    /// Acquires `key` as [`try_lock`](Self::try_lock) does, with a guard that keeps the lock alive.
    ///
    /// # Errors
    ///
    /// Returns [`Busy`] if the key is held or reserved for a waiter.
    #[inline]
    #[track_caller]
    pub fn try_lock_owned(self: &Arc<Self>, key: impl IntoKey<K>) -> Result<OwnedKeyedGuard<K, S>, Busy> {
        OneKey::new(self.clone(), key, Terms::new(MAX_PERMITS)).attempt()
    }

    /// Acquires `key` as [`try_lock_shared`](Self::try_lock_shared) does, with a guard that keeps the lock alive.
    ///
    /// # Errors
    ///
    /// Returns [`Busy`] if a caller holds the key alone, or it is reserved for a waiter.
    #[inline]
    #[track_caller]
    pub fn try_lock_shared_owned(
        self: &Arc<Self>,
        key: impl IntoKey<K>,
    ) -> Result<OwnedKeyedGuard<K, S>, Busy> {
        OneKey::new(self.clone(), key, Terms::new(1)).attempt()
    }

    /// Returns `true` if `key` is held now. It may be released before this returns.
    ///
    /// # Examples
    ///
    /// ```
    /// let locks = latchwork::KeyedLock::<String>::new();
    /// let _guard = locks.lock("ada").wait();
    /// assert!(locks.is_locked("ada") && !locks.is_locked("grace"));
    /// ```
    #[must_use]
    pub fn is_locked(&self, key: impl IntoKey<K>) -> bool {
        self.table.available(key) < MAX_PERMITS
    }
}

impl<H: Deref<Target = KeyedLock<K, S>>, K, S> KeyedHold<H> {
    /// Returns the lock of this guard, as the guard keeps it: a reference or an `Arc`.
    #[must_use]
    pub fn keyed_lock(&self) -> &H {
        self.handle()
    }

    /// Returns `true` if other callers may share the key.
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
