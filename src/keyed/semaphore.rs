//! [`KeyedSemaphore`]: a number of permits for each key.

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
use crate::wait::{Acquire, Attempt};

/// A semaphore for each key: bounds how many callers do something for the same key at the same time.
///
/// A key costs nothing while none of its permits is held or waited for.
///
/// # Fairness
///
/// Each key has its own queue, served as [`Acquire`](Acquire#fairness) says.
///
/// # Examples
///
/// ```
/// let seats = latchwork::KeyedSemaphore::<u32>::new(2);
/// let (one, two) = (seats.acquire(7).wait(), seats.acquire(7).wait());
/// assert!(seats.try_acquire(7).is_err() && seats.try_acquire(8).is_ok());
/// # drop((one, two));
/// ```
pub struct KeyedSemaphore<K, S = RandomState> {
    table: Table<K, S>,
}

/// Permits of one key of a [`KeyedSemaphore`], given back on drop.
pub type KeyedPermit<'a, K, S = RandomState> = KeyedHold<&'a KeyedSemaphore<K, S>>;

/// A [`KeyedPermit`] that keeps its semaphore alive instead of borrowing it.
pub type OwnedKeyedPermit<K, S = RandomState> = KeyedHold<Arc<KeyedSemaphore<K, S>>>;

/// The type that [`KeyedSemaphore::acquire`] and [`KeyedSemaphore::acquire_many`] return. `Q` is the type of the key that
/// was passed.
pub type AcquirePermits<'a, K, Q = K, S = RandomState> = Acquire<OneKey<&'a KeyedSemaphore<K, S>, Q>>;

/// The type that [`KeyedSemaphore::acquire_owned`] and [`KeyedSemaphore::acquire_many_owned`] return. `Q` is the type of
/// the key that was passed.
pub type AcquirePermitsOwned<K, Q = K, S = RandomState> = Acquire<OneKey<Arc<KeyedSemaphore<K, S>>, Q>>;

impl<K, S> KeyedSemaphore<K, S> {
    pub(super) fn from_table(table: Table<K, S>) -> Self {
        Self { table }
    }

    /// Returns the semaphore's [name](super::KeyedBuilder::name), if it has one.
    #[must_use]
    pub fn name(&self) -> Option<&'static str> {
        self.table.options().name
    }

    /// Returns the number of keys that are held or waited for. Shards are counted one after the other.
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
    #[must_use]
    pub fn counts(&self) -> KeyedCounts {
        self.table.counts()
    }

    /// Returns the keys in use; see [`KeyedLock::snapshot`](crate::KeyedLock::snapshot).
    #[must_use]
    pub fn snapshot(&self) -> Vec<KeyView<'_, K, S>> {
        self.table.snapshot()
    }

    /// Waits until no key is held or waited for; see [`KeyedLock::drained`](crate::KeyedLock::drained).
    ///
    /// # Cancel safety
    ///
    /// The same as for [`Acquire`].
    pub fn drained(&self) -> Drained<'_, Self> {
        Drain::acquire(self)
    }
}

impl<K: Eq + Hash, S: BuildHasher> KeyedSemaphore<K, S> {
    /// Acquires one permit of `key`: `.await` it in a task, `.wait()` for it on a thread.
    ///
    /// # Cancel safety
    ///
    /// The same as for [`Acquire`].
    ///
    /// # Examples
    ///
    /// ```
    /// let seats = latchwork::KeyedSemaphore::<u32>::new(2);
    /// let permit = seats.acquire(7).wait();
    /// assert_eq!((permit.key(), seats.available(7)), (&7, 1));
    /// ```
    #[inline]
    #[track_caller]
    pub fn acquire<Q: IntoKey<K>>(&self, key: Q) -> AcquirePermits<'_, K, Q, S> {
        self.acquire_many(key, 1)
    }

    /// Acquires `count` permits of `key`, all at once. A request for more permits than a key has waits until its caller
    /// gives up.
    ///
    /// # Cancel safety
    ///
    /// The same as for [`Acquire`].
    ///
    /// # Examples
    ///
    /// ```
    /// let seats = latchwork::KeyedSemaphore::<&str>::new(3);
    /// let two = seats.acquire_many("front", 2).wait();
    /// assert_eq!((two.count(), seats.available("front")), (2, 1));
    /// ```
    #[inline]
    #[track_caller]
    pub fn acquire_many<Q: IntoKey<K>>(&self, key: Q, count: usize) -> AcquirePermits<'_, K, Q, S> {
        OneKey::new(self, key, Terms::new(count)).acquire()
    }

    /// Acquires one permit as [`acquire`](Self::acquire) does. It keeps the semaphore alive.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::sync::Arc;
    ///
    /// let seats = Arc::new(latchwork::KeyedSemaphore::<u32>::new(1));
    /// let permit = seats.acquire_owned(7).wait();
    /// assert!(seats.try_acquire(7).is_err());
    /// # drop(permit);
    /// ```
    #[inline]
    #[track_caller]
    pub fn acquire_owned<Q: IntoKey<K>>(self: &Arc<Self>, key: Q) -> AcquirePermitsOwned<K, Q, S> {
        self.acquire_many_owned(key, 1)
    }

    /// Acquires permits as [`acquire_many`](Self::acquire_many) does. They keep the semaphore alive.
    #[inline]
    #[track_caller]
    pub fn acquire_many_owned<Q: IntoKey<K>>(
        self: &Arc<Self>,
        key: Q,
        count: usize,
    ) -> AcquirePermitsOwned<K, Q, S> {
        OneKey::new(self.clone(), key, Terms::new(count)).acquire()
    }

    /// Acquires one permit of `key` if there is one, without waiting. The call counts as a
    /// [newcomer](Acquire#fairness).
    ///
    /// # Errors
    ///
    /// Returns [`Busy`] if all are held or reserved for waiters.
    ///
    /// # Examples
    ///
    /// ```
    /// let seats = latchwork::KeyedSemaphore::<u32>::new(1);
    /// let permit = seats.try_acquire(7)?;
    /// assert!(seats.try_acquire(7).is_err() && seats.try_acquire(8).is_ok());
    /// # drop(permit);
    /// # Ok::<(), latchwork::Busy>(())
    /// ```
    #[inline]
    #[track_caller]
    pub fn try_acquire(&self, key: impl IntoKey<K>) -> Result<KeyedPermit<'_, K, S>, Busy> {
        self.try_acquire_many(key, 1)
    }

    /// Acquires `count` permits of `key` if they are there, without waiting. The call counts as a
    /// [newcomer](Acquire#fairness).
    ///
    /// # Errors
    ///
    /// Returns [`Busy`] if there are fewer, or they are reserved for a waiter.
    ///
    /// # Examples
    ///
    /// ```
    /// let seats = latchwork::KeyedSemaphore::<u32>::new(2);
    /// assert!(seats.try_acquire_many(7, 2).is_ok() && seats.try_acquire_many(7, 3).is_err());
    /// ```
    #[inline]
    #[track_caller]
    pub fn try_acquire_many(
        &self,
        key: impl IntoKey<K>,
        count: usize,
    ) -> Result<KeyedPermit<'_, K, S>, Busy> {
        OneKey::new(self, key, Terms::new(count)).attempt()
    }

    /// Acquires one permit as [`try_acquire`](Self::try_acquire) does. It keeps the semaphore alive.
    ///
    /// # Errors
    ///
    /// Returns [`Busy`] if all are held or reserved for waiters.
    #[inline]
    #[track_caller]
    pub fn try_acquire_owned(self: &Arc<Self>, key: impl IntoKey<K>) -> Result<OwnedKeyedPermit<K, S>, Busy> {
        self.try_acquire_many_owned(key, 1)
    }

    /// Acquires permits as [`try_acquire_many`](Self::try_acquire_many) does. They keep the semaphore alive.
    ///
    /// # Errors
    ///
    /// Returns [`Busy`] if there are fewer, or they are reserved for a waiter.
    #[inline]
    #[track_caller]
    pub fn try_acquire_many_owned(
        self: &Arc<Self>,
        key: impl IntoKey<K>,
        count: usize,
    ) -> Result<OwnedKeyedPermit<K, S>, Busy> {
        OneKey::new(self.clone(), key, Terms::new(count)).attempt()
    }

    /// Returns the number of permits of `key` that can be taken now.
    ///
    /// # Examples
    ///
    /// ```
    /// let seats = latchwork::KeyedSemaphore::<&str>::new(2);
    /// let _permit = seats.acquire("front").wait();
    /// assert_eq!((seats.available("front"), seats.available("back")), (1, 2));
    /// ```
    #[must_use]
    pub fn available(&self, key: impl IntoKey<K>) -> usize {
        self.table.available(key)
    }
}

impl<H: Deref<Target = KeyedSemaphore<K, S>>, K, S> KeyedHold<H> {
    /// Returns the semaphore of these permits, as they keep it: a reference or an `Arc`.
    #[must_use]
    pub fn keyed_semaphore(&self) -> &H {
        self.handle()
    }

    /// Returns the number of permits.
    ///
    /// # Examples
    ///
    /// ```
    /// let seats = latchwork::KeyedSemaphore::<u32>::new(2);
    /// assert_eq!(seats.acquire(7).wait().count(), 1);
    /// ```
    #[must_use]
    pub fn count(&self) -> usize {
        self.permits()
    }
}

impl<K, S> AsTable for KeyedSemaphore<K, S> {
    type Key = K;
    type Hasher = S;

    #[inline]
    fn table(&self) -> &Table<K, S> {
        &self.table
    }
}

impl<K, S> fmt::Debug for KeyedSemaphore<K, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        debug("KeyedSemaphore", self, f)
    }
}
