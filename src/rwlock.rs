//! [`RwLock`]: many readers or one writer, for threads and tasks alike.

#![allow(unsafe_code)]

use std::cell::UnsafeCell;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use crate::error::Busy;
use crate::guard::{ExclusiveGuard, Protect, SharedGuard};
use crate::wait::{Acquire, AsCore, Core, MAX_PERMITS, OnCore, Request};

/// A lock that many readers share and one writer has alone, over threads and tasks.
///
/// There is no poisoning: a panic while a guard is held releases it.
///
/// # Fairness
///
/// Readers and writers stand in one line. Newcomers that read do not pass a writer that waits for readers, and
/// writers pass readers only so often; see [`Acquire`].
///
/// # Deadlock
///
/// **Do not read again while you hold a read guard.** A second [`read`](Self::read) waits behind a writer that is
/// waiting already, the writer waits for the first guard, and neither ever ends. It succeeds as long as no writer
/// waits, so tests seldom show it. Pass the guard, or a reference to the value, to the code that reads. Where that
/// can't be, [`try_read`](Self::try_read) returns an error instead of waiting.
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

/// Shared access to a [`RwLock`]'s value, or to a part `U` of it, until dropped.
pub type RwLockReadGuard<'a, T, U = T> = SharedGuard<&'a RwLock<T>, U>;

/// A [`RwLockReadGuard`] that keeps its lock alive instead of borrowing it.
pub type OwnedRwLockReadGuard<T, U = T> = SharedGuard<Arc<RwLock<T>>, U>;

/// Exclusive access to a [`RwLock`]'s value, or to a part `U` of it, until dropped.
pub type RwLockWriteGuard<'a, T, U = T> = ExclusiveGuard<&'a RwLock<T>, U>;

/// A [`RwLockWriteGuard`] that keeps its lock alive instead of borrowing it.
pub type OwnedRwLockWriteGuard<T, U = T> = ExclusiveGuard<Arc<RwLock<T>>, U>;

// SAFETY: a lock owns its value.
unsafe impl<T: ?Sized + Send> Send for RwLock<T> {}
// SAFETY: readers on several threads share the value, and a writer's thread may drop or replace it.
unsafe impl<T: ?Sized + Send + Sync> Sync for RwLock<T> {}

impl<T> RwLock<T> {
    /// A free lock.
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

    /// A free lock; in models it can't be made in a `const`.
    #[cfg(latchwork_loom)]
    pub fn new(value: T) -> Self {
        Self { core: Core::new(MAX_PERMITS), value: UnsafeCell::new(value) }
    }

    /// Gives the value back.
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
    /// As that of [`Acquire`].
    ///
    /// # Examples
    ///
    /// ```
    /// let lock = latchwork::RwLock::new(5);
    /// assert_eq!(*lock.read().wait(), 5);
    /// ```
    #[inline]
    pub fn read(&self) -> Acquire<impl Request<Guard = RwLockReadGuard<'_, T>>> {
        OnCore::acquire(self, 1, SharedGuard::new)
    }

    /// Acquires the lock to write: `.await` it in a task, `.wait()` for it on a thread.
    ///
    /// # Cancel safety
    ///
    /// As that of [`Acquire`].
    ///
    /// # Deadlock
    ///
    /// Whoever holds a guard of it already waits for ever.
    ///
    /// # Examples
    ///
    /// ```
    /// let lock = latchwork::RwLock::new(5);
    /// *lock.write().wait() += 1;
    /// assert_eq!(lock.into_inner(), 6);
    /// ```
    #[inline]
    pub fn write(&self) -> Acquire<impl Request<Guard = RwLockWriteGuard<'_, T>>> {
        OnCore::acquire_whole(self, MAX_PERMITS, ExclusiveGuard::new)
    }

    /// As [`read`](Self::read), with a guard that keeps the lock alive.
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
    pub fn read_owned(self: &Arc<Self>) -> Acquire<impl Request<Guard = OwnedRwLockReadGuard<T>> + use<T>> {
        OnCore::acquire(self.clone(), 1, SharedGuard::new)
    }

    /// As [`write`](Self::write), with a guard that keeps the lock alive.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::sync::Arc;
    ///
    /// let mut writer = Arc::new(latchwork::RwLock::new(5)).write_owned().wait();
    /// *writer += 1;
    /// assert_eq!(*writer, 6);
    /// ```
    #[inline]
    pub fn write_owned(self: &Arc<Self>) -> Acquire<impl Request<Guard = OwnedRwLockWriteGuard<T>> + use<T>> {
        OnCore::acquire_whole(self.clone(), MAX_PERMITS, ExclusiveGuard::new)
    }

    /// Acquires the lock to read if no writer holds it, without waiting. It counts as a newcomer: see [`Acquire`](crate::Acquire#fairness).
    ///
    /// # Errors
    ///
    /// [`Busy`] if a writer holds it, or it is reserved for a waiter.
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
        if self.core.try_take(1, false) { Ok(SharedGuard::new(self)) } else { Err(self.busy()) }
    }

    /// Acquires the lock to write if nobody holds it, without waiting. It counts as a newcomer: see [`Acquire`](crate::Acquire#fairness).
    ///
    /// # Errors
    ///
    /// [`Busy`] if somebody holds it, or it is reserved for a waiter.
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
        if self.core.try_take(MAX_PERMITS, true) { Ok(ExclusiveGuard::new(self)) } else { Err(self.busy()) }
    }

    /// As [`try_read`](Self::try_read), with a guard that keeps the lock alive.
    ///
    /// # Errors
    ///
    /// [`Busy`] if a writer holds it, or it is reserved for a waiter.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::sync::Arc;
    ///
    /// let lock = Arc::new(latchwork::RwLock::new(5));
    /// assert_eq!(*lock.try_read_owned()?, 5);
    /// # Ok::<(), latchwork::Busy>(())
    /// ```
    pub fn try_read_owned(self: &Arc<Self>) -> Result<OwnedRwLockReadGuard<T>, Busy> {
        if self.core.try_take(1, false) { Ok(SharedGuard::new(self.clone())) } else { Err(self.busy()) }
    }

    /// As [`try_write`](Self::try_write), with a guard that keeps the lock alive.
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
    /// let lock = Arc::new(latchwork::RwLock::new(5));
    /// *lock.try_write_owned()? += 1;
    /// assert_eq!(*lock.try_read()?, 6);
    /// # Ok::<(), latchwork::Busy>(())
    /// ```
    pub fn try_write_owned(self: &Arc<Self>) -> Result<OwnedRwLockWriteGuard<T>, Busy> {
        if self.core.try_take(MAX_PERMITS, true) {
            Ok(ExclusiveGuard::new(self.clone()))
        } else {
            Err(self.busy())
        }
    }

    /// The value, without locking: `&mut self` says that nobody else is there.
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

    #[cold]
    fn busy(&self) -> Busy {
        Busy::new(self.core.waiters(), None)
    }
}

impl<H, T: ?Sized> ExclusiveGuard<H, T>
where
    H: Deref<Target = RwLock<T>>,
{
    /// Becomes a reader without letting another writer in between. The reader has the whole value, even if
    /// the writer was mapped to a part of the same type: what a part allows its only owner, sharing
    /// it might not.
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
        SharedGuard::core(&reader).release(MAX_PERMITS - 1);
        reader
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
