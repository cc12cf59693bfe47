//! [`Mutex`]: exclusive access to a value, for threads and tasks alike.

#![allow(unsafe_code)]

use std::cell::UnsafeCell;
use std::fmt;
use std::sync::Arc;

use crate::error::Busy;
use crate::guard::{ExclusiveGuard, Protect};
use crate::wait::{Acquire, AsCore, Core, OnCore, Request};

/// A lock on a value that threads `.wait()` for and tasks `.await`, excluding each other.
///
/// There is no poisoning: a panic while the guard is held releases the lock, and the next holder
/// sees the value as the panic left it.
///
/// # Fairness
///
/// First come, first served, but for a bounded number of newcomers that find it free: see
/// [`Acquire`].
///
/// # Relationship with `std::sync::Mutex`
///
/// Where no holder ever awaits and no task needs the lock, `std` or `parking_lot` serve as well.
/// This one is for values that both sides touch, and for guards that live across an `.await`.
///
/// # Examples
///
/// ```
/// use std::sync::Arc;
/// use latchwork::Mutex;
///
/// # tokio::runtime::Builder::new_multi_thread().build()?.block_on(async {
/// let seats = Arc::new(Mutex::new(10));
/// let worker = std::thread::spawn({
///     let seats = seats.clone();
///     move || *seats.lock().wait() -= 3
/// });
/// *seats.lock().await -= 4;
/// worker.join().unwrap();
/// assert_eq!(*seats.lock().await, 3);
/// # });
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct Mutex<T: ?Sized> {
    core: Core,
    value: UnsafeCell<T>,
}

/// Exclusive access to a [`Mutex`]'s value, or to a part `U` of it, until dropped.
pub type MutexGuard<'a, T, U = T> = ExclusiveGuard<&'a Mutex<T>, U>;

/// A [`MutexGuard`] that keeps its mutex alive instead of borrowing it.
pub type OwnedMutexGuard<T, U = T> = ExclusiveGuard<Arc<Mutex<T>>, U>;

// SAFETY: a mutex owns its value.
unsafe impl<T: ?Sized + Send> Send for Mutex<T> {}
// SAFETY: one thread at a time reaches the value, so it need not be `Sync`.
unsafe impl<T: ?Sized + Send> Sync for Mutex<T> {}

impl<T> Mutex<T> {
    /// A free mutex.
    ///
    /// # Examples
    ///
    /// ```
    /// static HITS: latchwork::Mutex<u32> = latchwork::Mutex::new(0);
    /// *HITS.lock().wait() += 1;
    /// assert_eq!(*HITS.lock().wait(), 1);
    /// ```
    #[cfg(not(latchwork_loom))]
    #[inline]
    pub const fn new(value: T) -> Self {
        Self { core: Core::new(1), value: UnsafeCell::new(value) }
    }

    /// A free mutex; in models it can't be made in a `const`.
    #[cfg(latchwork_loom)]
    pub fn new(value: T) -> Self {
        Self { core: Core::new(1), value: UnsafeCell::new(value) }
    }

    /// Gives the value back.
    ///
    /// # Examples
    ///
    /// ```
    /// assert_eq!(latchwork::Mutex::new(7).into_inner(), 7);
    /// ```
    #[inline]
    pub fn into_inner(self) -> T {
        self.value.into_inner()
    }
}

impl<T: ?Sized> Mutex<T> {
    /// Acquires the mutex: `.await` it in a task, `.wait()` for it on a thread.
    ///
    /// # Cancel safety
    ///
    /// As that of [`Acquire`].
    ///
    /// # Deadlock
    ///
    /// Whoever holds the guard already waits for ever.
    ///
    /// # Examples
    ///
    /// ```
    /// let mutex = latchwork::Mutex::new(1);
    /// *mutex.lock().wait() += 1;
    /// assert_eq!(mutex.into_inner(), 2);
    /// ```
    #[inline]
    pub fn lock(&self) -> Acquire<impl Request<Guard = MutexGuard<'_, T>>> {
        OnCore::acquire_whole(self, 1, ExclusiveGuard::new)
    }

    /// As [`lock`](Self::lock), with a guard that keeps the mutex alive.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::sync::Arc;
    ///
    /// let guard = Arc::new(latchwork::Mutex::new(1)).lock_owned().wait();
    /// assert_eq!(*guard, 1);
    /// ```
    #[inline]
    pub fn lock_owned(self: &Arc<Self>) -> Acquire<impl Request<Guard = OwnedMutexGuard<T>> + use<T>> {
        OnCore::acquire_whole(self.clone(), 1, ExclusiveGuard::new)
    }

    /// Acquires the mutex if it is free, without waiting. It counts as a newcomer: see [`Acquire`](crate::Acquire#fairness).
    ///
    /// # Errors
    ///
    /// [`Busy`] if it is held, or reserved for a waiter.
    ///
    /// # Examples
    ///
    /// ```
    /// let mutex = latchwork::Mutex::new(1);
    /// let guard = mutex.try_lock()?;
    /// assert!(mutex.try_lock().is_err());
    /// # drop(guard);
    /// # Ok::<(), latchwork::Busy>(())
    /// ```
    #[inline]
    pub fn try_lock(&self) -> Result<MutexGuard<'_, T>, Busy> {
        if self.core.try_take(1, true) { Ok(ExclusiveGuard::new(self)) } else { Err(self.busy()) }
    }

    /// As [`try_lock`](Self::try_lock), with a guard that keeps the mutex alive.
    ///
    /// # Errors
    ///
    /// [`Busy`] if it is held, or reserved for a waiter.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::sync::Arc;
    ///
    /// let mutex = Arc::new(latchwork::Mutex::new(1));
    /// let guard = mutex.try_lock_owned()?;
    /// assert!(mutex.try_lock_owned().is_err());
    /// # drop(guard);
    /// # Ok::<(), latchwork::Busy>(())
    /// ```
    #[inline]
    pub fn try_lock_owned(self: &Arc<Self>) -> Result<OwnedMutexGuard<T>, Busy> {
        if self.core.try_take(1, true) { Ok(ExclusiveGuard::new(self.clone())) } else { Err(self.busy()) }
    }

    /// Whether somebody holds it now; by the time this returns it may no longer be so.
    ///
    /// # Examples
    ///
    /// ```
    /// let mutex = latchwork::Mutex::new(());
    /// assert!(!mutex.is_locked());
    /// ```
    #[must_use]
    pub fn is_locked(&self) -> bool {
        self.core.available() == 0
    }

    /// The value, without locking: `&mut self` says that nobody else is there.
    ///
    /// # Examples
    ///
    /// ```
    /// let mut mutex = latchwork::Mutex::new(1);
    /// *mutex.get_mut() += 1;
    /// assert_eq!(mutex.into_inner(), 2);
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

impl<T: ?Sized> AsCore for Mutex<T> {
    #[inline]
    fn core(&self) -> &Core {
        &self.core
    }
}

// SAFETY: the value is inside, and the core has one permit.
unsafe impl<T: ?Sized> Protect for Mutex<T> {
    type Value = T;
    const WHOLE: usize = 1;

    #[inline]
    fn value(&self) -> *mut T {
        self.value.get()
    }
}

impl<T: Default> Default for Mutex<T> {
    fn default() -> Self {
        Self::new(T::default())
    }
}

impl<T> From<T> for Mutex<T> {
    fn from(value: T) -> Self {
        Self::new(value)
    }
}

/// Shows the value if the mutex is free, and never waits.
impl<T: ?Sized + fmt::Debug> fmt::Debug for Mutex<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("Mutex");
        match self.try_lock() {
            Ok(guard) => out.field("value", &&*guard),
            Err(_) => out.field("value", &format_args!("<locked>")),
        };
        out.finish()
    }
}
