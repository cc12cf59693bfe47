//! [`RwLock`]: many readers or one writer, for threads and tasks alike.

#![allow(unsafe_code)]

use std::cell::UnsafeCell;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use crate::error::Busy;
use crate::guard::{ExclusiveGuard, Protect, SharedGuard};
use crate::wait::{Acquire, AsCore, Attempt, Core, MAX_PERMITS, OnCore};

/// A lock that many readers share or one writer has alone, for threads and tasks.
///
/// There is no poisoning: a panic while a guard is held releases it.
///
/// # Fairness
///
/// Readers and writers wait in one queue. Newcomers that read do not pass a writer that waits for readers, and
/// the number of times that writers pass readers is bounded; see [`Acquire`](Acquire#fairness).
///
/// # Deadlock
///
/// **Do not read again while you hold a read guard.** A second [`read`](Self::read) waits behind a writer that is
/// waiting already, the writer waits for the first guard, and both wait for ever. It succeeds as long as no writer
/// waits, so tests seldom show it. Pass the guard, or a reference to the value, to the code that reads. Where you
/// can't, [`try_read`](Self::try_read) returns an error instead of waiting.
///
/// A caller that holds any guard and waits to write waits for ever, too.
///
/// # Examples
///
/// ```
/// let rates = latchwork::RwLock::new(vec![1.0]);
/// rates.write().wait().push(1.5);
/// let (one, two) = (rates.read().wait(), rates.read().wait());
/// assert_eq!(one.len() + two.len(), 4);
/// ```
pub struct RwLock<T: ?Sized> {
    core: Core,
    value: UnsafeCell<T>,
}

/// Shared access to the value of a [`RwLock`], or to a part `U` of it, until dropped.
pub type RwLockReadGuard<'a, T, U = T> = SharedGuard<&'a RwLock<T>, U>;

/// A [`RwLockReadGuard`] that keeps its lock alive instead of borrowing it.
pub type OwnedRwLockReadGuard<T, U = T> = SharedGuard<Arc<RwLock<T>>, U>;

/// Exclusive access to the value of a [`RwLock`], or to a part `U` of it, until dropped.
pub type RwLockWriteGuard<'a, T, U = T> = ExclusiveGuard<&'a RwLock<T>, U>;

/// A [`RwLockWriteGuard`] that keeps its lock alive instead of borrowing it.
pub type OwnedRwLockWriteGuard<T, U = T> = ExclusiveGuard<Arc<RwLock<T>>, U>;

/// The type that [`RwLock::read`] returns.
pub type Read<'a, T> = Acquire<OnCore<&'a RwLock<T>, RwLockReadGuard<'a, T>>>;

/// The type that [`RwLock::read_owned`] returns.
pub type ReadOwned<T> = Acquire<OnCore<Arc<RwLock<T>>, OwnedRwLockReadGuard<T>>>;

/// The type that [`RwLock::write`] returns.
pub type Write<'a, T> = Acquire<OnCore<&'a RwLock<T>, RwLockWriteGuard<'a, T>>>;

/// The type that [`RwLock::write_owned`] returns.
pub type WriteOwned<T> = Acquire<OnCore<Arc<RwLock<T>>, OwnedRwLockWriteGuard<T>>>;

// SAFETY: a lock owns its value.
unsafe impl<T: ?Sized + Send> Send for RwLock<T> {}
// SAFETY: readers on several threads share the value, and a writer's thread may drop or replace it.
unsafe impl<T: ?Sized + Send + Sync> Sync for RwLock<T> {}

impl<T> RwLock<T> {
    /// Creates a free lock.
    ///
    /// # Examples
    ///
    /// ```
    /// static RATE: latchwork::RwLock<f64> = latchwork::RwLock::new(1.5);
    /// assert_eq!(*RATE.read().wait(), 1.5);
    /// ```
    #[cfg(not(latchwork_loom))]
    #[inline]
    pub const fn new(value: T) -> Self {
        Self { core: Core::new(MAX_PERMITS), value: UnsafeCell::new(value) }
    }

    /// Creates a free lock; in a model this can't be `const`.
    #[cfg(latchwork_loom)]
    pub fn new(value: T) -> Self {
        Self { core: Core::new(MAX_PERMITS), value: UnsafeCell::new(value) }
    }

    /// Returns the value.
    ///
    /// # Examples
    ///
    /// ```
    /// assert_eq!(latchwork::RwLock::new(7).into_inner(), 7);
    /// ```
    #[inline]
    pub fn into_inner(self) -> T {
        self.value.into_inner()
    }
}

impl<T: ?Sized> RwLock<T> {
    /// Acquires the lock to read: `.await` it in a task, `.wait()` for it on a thread.
    ///
    /// # Cancel safety
    ///
    /// The same as for [`Acquire`].
    ///
    /// # Deadlock
    ///
    /// A caller that holds a guard already may wait for ever: see [above](Self#deadlock).
    ///
    /// # Examples
    ///
    /// ```
    /// let lock = latchwork::RwLock::new(5);
    /// assert_eq!(*lock.read().wait(), 5);
    /// ```
    #[inline]
    pub fn read(&self) -> Read<'_, T> {
        OnCore::some(self, 1).acquire()
    }

    /// Acquires the lock to write: `.await` it in a task, `.wait()` for it on a thread.
    ///
    /// # Cancel safety
    ///
    /// The same as for [`Acquire`].
    ///
    /// # Deadlock
    ///
    /// A caller that holds a guard already waits for ever.
    ///
    /// # Examples
    ///
    /// ```
    /// let lock = latchwork::RwLock::new(5);
    /// *lock.write().wait() += 1;
    /// assert_eq!(lock.into_inner(), 6);
    /// ```
    #[inline]
    pub fn write(&self) -> Write<'_, T> {
        OnCore::all(self, MAX_PERMITS).acquire()
    }

    /// Acquires the lock as [`read`](Self::read) does, with a guard that keeps the lock alive.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::sync::Arc;
    ///
    /// let reader = Arc::new(latchwork::RwLock::new(5)).read_owned().wait();
    /// assert_eq!(*reader, 5);
    /// ```
    #[inline]
    pub fn read_owned(self: &Arc<Self>) -> ReadOwned<T> {
        OnCore::some(self.clone(), 1).acquire()
    }

    /// Acquires the lock as [`write`](Self::write) does, with a guard that keeps the lock alive.
    #[inline]
    pub fn write_owned(self: &Arc<Self>) -> WriteOwned<T> {
        OnCore::all(self.clone(), MAX_PERMITS).acquire()
    }

    /// Acquires the lock to read if no writer holds it, without waiting. The call counts as a
    /// [newcomer](Acquire#fairness).
    ///
    /// # Errors
    ///
    /// Returns [`Busy`] if a writer holds the lock, or it is reserved for a waiter.
    ///
    /// # Examples
    ///
    /// ```
    /// let lock = latchwork::RwLock::new(5);
    /// let reader = lock.try_read()?;
    /// assert!(lock.try_read().is_ok() && lock.try_write().is_err());
    /// # drop(reader);
    /// # Ok::<(), latchwork::Busy>(())
    /// ```
    #[inline]
    pub fn try_read(&self) -> Result<RwLockReadGuard<'_, T>, Busy> {
        OnCore::some(self, 1).attempt()
    }

    /// Acquires the lock to write if there is no guard, without waiting. The call counts as a
    /// [newcomer](Acquire#fairness).
    ///
    /// # Errors
    ///
    /// Returns [`Busy`] if the lock is held or reserved for a waiter.
    ///
    /// # Examples
    ///
    /// ```
    /// let lock = latchwork::RwLock::new(5);
    /// let reader = lock.try_read()?;
    /// assert!(lock.try_write().is_err());
    /// drop(reader);
    /// assert!(lock.try_write().is_ok());
    /// # Ok::<(), latchwork::Busy>(())
    /// ```
    #[inline]
    pub fn try_write(&self) -> Result<RwLockWriteGuard<'_, T>, Busy> {
        OnCore::all(self, MAX_PERMITS).attempt()
    }

    /// Acquires the lock as [`try_read`](Self::try_read) does, with a guard that keeps the lock alive.
    ///
    /// # Errors
    ///
    /// Returns [`Busy`] if a writer holds the lock, or it is reserved for a waiter.
    #[inline]
    pub fn try_read_owned(self: &Arc<Self>) -> Result<OwnedRwLockReadGuard<T>, Busy> {
        OnCore::some(self.clone(), 1).attempt()
    }

    /// Acquires the lock as [`try_write`](Self::try_write) does, with a guard that keeps the lock alive.
    ///
    /// # Errors
    ///
    /// Returns [`Busy`] if the lock is held or reserved for a waiter.
    #[inline]
    pub fn try_write_owned(self: &Arc<Self>) -> Result<OwnedRwLockWriteGuard<T>, Busy> {
        OnCore::all(self.clone(), MAX_PERMITS).attempt()
    }

    /// Returns `true` if readers or a writer hold the lock now. They may release it before this returns.
    ///
    /// # Examples
    ///
    /// ```
    /// let lock = latchwork::RwLock::new(5);
    /// let reader = lock.read().wait();
    /// assert!(lock.is_locked());
    /// # drop(reader);
    /// ```
    #[must_use]
    pub fn is_locked(&self) -> bool {
        self.core.available() < MAX_PERMITS
    }

    /// Returns the value without locking: `&mut self` proves that there is no guard.
    ///
    /// # Examples
    ///
    /// ```
    /// let mut lock = latchwork::RwLock::new(1);
    /// *lock.get_mut() += 1;
    /// assert_eq!(lock.into_inner(), 2);
    /// ```
    #[inline]
    pub fn get_mut(&mut self) -> &mut T {
        self.value.get_mut()
    }
}

impl<H, T, U> ExclusiveGuard<H, U>
where
    H: Deref<Target = RwLock<T>>,
    T: ?Sized,
    U: ?Sized,
{
    /// Returns the lock of a guard, as the guard keeps it: a reference or an `Arc`.
    #[must_use]
    pub fn rwlock(this: &Self) -> &H {
        Self::handle(this)
    }
}

impl<H, T, U> SharedGuard<H, U>
where
    H: Deref<Target = RwLock<T>>,
    T: ?Sized,
    U: ?Sized,
{
    /// Returns the lock of a guard, as the guard keeps it: a reference or an `Arc`.
    ///
    /// # Examples
    ///
    /// ```
    /// use latchwork::{RwLock, rwlock::RwLockReadGuard};
    ///
    /// let lock = RwLock::new(5);
    /// let reader = lock.read().wait();
    /// assert!(RwLockReadGuard::rwlock(&reader).try_write().is_err());
    /// ```
    #[must_use]
    pub fn rwlock(this: &Self) -> &H {
        Self::handle(this)
    }
}

impl<H, T: ?Sized> ExclusiveGuard<H, T>
where
    H: Deref<Target = RwLock<T>>,
{
    /// Turns a writer into a reader, and lets no other writer in between.
    ///
    /// The reader guards the whole value, even if the writer was narrowed to a part. A part may be unsafe to share.
    ///
    /// # Examples
    ///
    /// ```
    /// use latchwork::{RwLock, rwlock::RwLockWriteGuard};
    ///
    /// let lock = RwLock::new(1);
    /// let mut writer = lock.write().wait();
    /// *writer += 1;
    /// let reader = RwLockWriteGuard::downgrade(writer);
    /// assert_eq!((*reader, *lock.try_read()?), (2, 2));
    /// # Ok::<(), latchwork::Busy>(())
    /// ```
    pub fn downgrade(this: Self) -> SharedGuard<H, T> {
        let reader = SharedGuard::new(this.into_handle());
        SharedGuard::handle(&reader).core().release(MAX_PERMITS - 1);
        reader
    }

    /// Turns a writer into a reader of a part of the value, and lets no other writer in between.
    ///
    /// # Panics
    ///
    /// Only if `part` does; the lock is released then.
    ///
    /// # Examples
    ///
    /// ```
    /// use latchwork::{RwLock, rwlock::RwLockWriteGuard};
    ///
    /// let pair = RwLock::new((1, "one"));
    /// let name = RwLockWriteGuard::downgrade_map(pair.write().wait(), |pair| pair.1);
    /// assert_eq!((&*name, pair.try_read()?.0), ("one", 1));
    /// # Ok::<(), latchwork::Busy>(())
    /// ```
    pub fn downgrade_map<U: ?Sized>(this: Self, part: impl FnOnce(&T) -> &U) -> SharedGuard<H, U> {
        SharedGuard::map(Self::downgrade(this), part)
    }
}

impl<T: ?Sized> AsCore for RwLock<T> {
    #[inline]
    fn core(&self) -> &Core {
        &self.core
    }
}

// SAFETY: the value is inside, and the core has `MAX_PERMITS` permits.
unsafe impl<T: ?Sized> Protect for RwLock<T> {
    type Value = T;
    const WHOLE: usize = MAX_PERMITS;

    #[inline]
    fn value(&self) -> *mut T {
        self.value.get()
    }
}

impl<T: Default> Default for RwLock<T> {
    fn default() -> Self {
        Self::new(T::default())
    }
}

impl<T> From<T> for RwLock<T> {
    fn from(value: T) -> Self {
        Self::new(value)
    }
}

/// Shows the value if no writer holds the lock, and never waits.
impl<T: ?Sized + fmt::Debug> fmt::Debug for RwLock<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("RwLock");
        match self.try_read() {
            Ok(guard) => out.field("value", &&*guard),
            Err(_) => out.field("value", &format_args!("<locked>")),
        };
        out.finish()
    }
}
