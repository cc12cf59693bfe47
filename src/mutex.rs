//! [`Mutex`]: exclusive access to a value, for threads and tasks alike.

#![allow(unsafe_code)]

use std::cell::UnsafeCell;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use crate::error::Busy;
use crate::guard::{ExclusiveGuard, Protect};
use crate::wait::{Acquire, AsCore, Attempt, Core, OnCore};

/// A lock on a value that threads `.wait()` for and tasks `.await`, excluding each other.
///
/// There is no poisoning. A panic while the guard is held releases the lock, and the next holder
/// sees the value as the panic left it.
///
/// # Fairness
///
/// First come, first served, except for a bounded number of newcomers that find it free: see
/// [`Acquire`](Acquire#fairness).
///
/// # Relationship with `std::sync::Mutex`
///
/// If no holder ever awaits and no task needs the lock, `std` or `parking_lot` serve as well.
/// This one is for values that both threads and tasks use, and for guards that live across an `.await`.
///
/// # Examples
///
/// ```
/// use std::sync::Arc;
/// use latchwork::Mutex;
///
/// # latchwork::__example!(async {
/// let seats = Arc::new(Mutex::new(10));
/// let worker = std::thread::spawn({
///     let seats = seats.clone();
///     move || *seats.lock().wait() -= 3
/// });
/// *seats.lock().await -= 4;
/// worker.join().unwrap();
/// assert_eq!(*seats.lock().await, 3);
/// # });
/// ```
pub struct Mutex<T: ?Sized> {
    core: Core,
    value: UnsafeCell<T>,
}

/// Exclusive access to the value of a [`Mutex`], or to a part `U` of it, until dropped.
pub type MutexGuard<'a, T, U = T> = ExclusiveGuard<&'a Mutex<T>, U>;

/// A [`MutexGuard`] that keeps its mutex alive instead of borrowing it.
pub type OwnedMutexGuard<T, U = T> = ExclusiveGuard<Arc<Mutex<T>>, U>;

/// The type that [`Mutex::lock`] returns.
///
/// # Examples
///
/// ```
/// use latchwork::{Mutex, mutex::Lock};
///
/// struct NextTurn<'a> { lock: Lock<'a, u32> }
///
/// let counter = Mutex::new(1);
/// let turn = NextTurn { lock: counter.lock() };
/// assert_eq!(*turn.lock.wait(), 1);
/// ```
pub type Lock<'a, T> = Acquire<OnCore<&'a Mutex<T>, MutexGuard<'a, T>>>;

/// The type that [`Mutex::lock_owned`] returns.
pub type LockOwned<T> = Acquire<OnCore<Arc<Mutex<T>>, OwnedMutexGuard<T>>>;

// SAFETY: a mutex owns its value.
unsafe impl<T: ?Sized + Send> Send for Mutex<T> {}
// SAFETY: one thread at a time reaches the value, so it need not be `Sync`.
unsafe impl<T: ?Sized + Send> Sync for Mutex<T> {}

impl<T> Mutex<T> {
    /// Creates a free mutex.
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

    /// Creates a free mutex; in a model this can't be `const`.
    #[cfg(latchwork_loom)]
    pub fn new(value: T) -> Self {
        Self { core: Core::new(1), value: UnsafeCell::new(value) }
    }

    /// Returns the value.
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
    /// The same as for [`Acquire`].
    ///
    /// # Deadlock
    ///
    /// A caller that holds the guard already waits for ever.
    ///
    /// # Examples
    ///
    /// ```
    /// let mutex = latchwork::Mutex::new(1);
    /// *mutex.lock().wait() += 1;
    /// assert_eq!(mutex.into_inner(), 2);
    /// ```
    #[inline]
    pub fn lock(&self) -> Lock<'_, T> {
        OnCore::all(self, 1).acquire()
    }

    /// Acquires the mutex as [`lock`](Self::lock) does, with a guard that keeps the mutex alive.
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
    pub fn lock_owned(self: &Arc<Self>) -> LockOwned<T> {
        OnCore::all(self.clone(), 1).acquire()
    }

    /// Acquires the mutex if it is free, without waiting. The call counts as a
    /// [newcomer](Acquire#fairness).
    ///
    /// # Errors
    ///
    /// Returns [`Busy`] if the mutex is held or reserved for a waiter.
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
        OnCore::all(self, 1).attempt()
    }

    /// Acquires the mutex as [`try_lock`](Self::try_lock) does, with a guard that keeps the mutex alive.
    ///
    /// # Errors
    ///
    /// Returns [`Busy`] if the mutex is held or reserved for a waiter.
    #[inline]
    pub fn try_lock_owned(self: &Arc<Self>) -> Result<OwnedMutexGuard<T>, Busy> {
        OnCore::all(self.clone(), 1).attempt()
    }

    /// Returns `true` if the mutex is held now. It may be released before this returns.
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

    /// Returns the value without locking: `&mut self` proves that there is no guard.
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
}

impl<H, T, U> ExclusiveGuard<H, U>
where
    H: Deref<Target = Mutex<T>>,
    T: ?Sized,
    U: ?Sized,
{
    /// Returns the mutex of a guard, as the guard keeps it: a reference or an `Arc`.
    ///
    /// # Examples
    ///
    /// ```
    /// use latchwork::{Mutex, mutex::MutexGuard};
    ///
    /// fn again<'a>(guard: MutexGuard<'a, u32>) -> MutexGuard<'a, u32> {
    ///     let mutex = *MutexGuard::mutex(&guard);
    ///     drop(guard);
    ///     mutex.lock().wait()
    /// }
    ///
    /// let mutex = Mutex::new(7);
    /// assert_eq!(*again(mutex.lock().wait()), 7);
    /// ```
    #[must_use]
    pub fn mutex(this: &Self) -> &H {
        Self::handle(this)
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
