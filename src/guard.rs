//! The guards of [`Mutex`](crate::Mutex) and [`RwLock`](crate::RwLock): access to the value while
//! permits are held. They are given back on drop.
//!
//! `H` is how a guard refers to its lock: a reference or an `Arc`.

#![allow(unsafe_code)]

use std::fmt;
use std::mem::ManuallyDrop;
use std::ops::{Deref, DerefMut};
use std::ptr;

use crate::wait::{AsCore, Granted};

/// A lock with a value inside.
///
/// # Safety
///
/// `value` returns the address of a value that lives in the lock and stays where it is while the lock does
/// not move. It is reached through guards only: exclusively with [`WHOLE`](Self::WHOLE)
/// permits, shared with fewer.
pub unsafe trait Protect: AsCore {
    /// The type of the value.
    type Value: ?Sized;

    /// The number of permits that exclusive access takes.
    #[doc(hidden)]
    const WHOLE: usize;

    /// Returns the address of the value.
    #[doc(hidden)]
    fn value(&self) -> *mut Self::Value;
}

/// Exclusive access to a locked value, until dropped. The type behind
/// [`MutexGuard`](crate::mutex::MutexGuard), [`RwLockWriteGuard`](crate::rwlock::RwLockWriteGuard) and their owned forms.
///
/// It may be held across an `.await` and dropped on another thread. A panic while it is held
/// releases the lock and does not poison it.
#[must_use = "the lock is released at once if its guard is not kept"]
pub struct ExclusiveGuard<H: Deref<Target: Protect>, T: ?Sized> {
    handle: H,
    value: *mut T,
}

// SAFETY: the value is reached through the guard only, and moves to another thread with it.
unsafe impl<H: Deref<Target: Protect> + Send, T: ?Sized + Send> Send for ExclusiveGuard<H, T> {}
// SAFETY: a shared guard gives `&T` and nothing else.
unsafe impl<H: Deref<Target: Protect> + Sync, T: ?Sized + Sync> Sync for ExclusiveGuard<H, T> {}

impl<H, T: ?Sized> ExclusiveGuard<H, T>
where
    H: Deref<Target: Protect<Value = T>>,
{
    /// Wraps the permits that were just taken of `handle`'s lock.
    #[inline]
    fn new(handle: H) -> Self {
        let value = handle.value();
        Self { handle, value }
    }
}

impl<H, T: ?Sized> Granted<H> for ExclusiveGuard<H, T>
where
    H: Deref<Target: Protect<Value = T>>,
{
    #[inline]
    fn granted(handle: H, _: usize) -> Self {
        Self::new(handle)
    }
}

impl<H: Deref<Target: Protect>, T: ?Sized> ExclusiveGuard<H, T> {
    /// Narrows the guard to a part of the value.
    ///
    /// # Panics
    ///
    /// Only if `part` does; the lock is released then.
    ///
    /// # Examples
    ///
    /// ```
    /// use latchwork::{Mutex, mutex::MutexGuard};
    ///
    /// let pair = Mutex::new((1, "one"));
    /// let mut first = MutexGuard::map(pair.lock().wait(), |pair| &mut pair.0);
    /// *first += 1;
    /// drop(first);
    /// assert_eq!(pair.into_inner(), (2, "one"));
    /// ```
    pub fn map<U: ?Sized>(mut this: Self, part: impl FnOnce(&mut T) -> &mut U) -> ExclusiveGuard<H, U> {
        let value = ptr::from_mut(part(&mut this));
        ExclusiveGuard { handle: this.into_handle(), value }
    }

    /// Narrows the guard to a part of the value that may not be there.
    ///
    /// # Errors
    ///
    /// Returns the guard itself if `part` returns `None`.
    ///
    /// # Panics
    ///
    /// Only if `part` does; the lock is released then.
    ///
    /// # Examples
    ///
    /// ```
    /// use latchwork::{Mutex, mutex::MutexGuard};
    ///
    /// let list = Mutex::new(vec![1]);
    /// let none = MutexGuard::filter_map(list.lock().wait(), |list| list.get_mut(5));
    /// assert_eq!(none.unwrap_err().len(), 1);
    /// ```
    pub fn filter_map<U: ?Sized>(
        mut this: Self,
        part: impl FnOnce(&mut T) -> Option<&mut U>,
    ) -> Result<ExclusiveGuard<H, U>, Self> {
        match part(&mut this).map(ptr::from_mut) {
            Some(value) => Ok(ExclusiveGuard { handle: this.into_handle(), value }),
            None => Err(this),
        }
    }

    pub(crate) fn handle(this: &Self) -> &H {
        &this.handle
    }

    /// Returns the handle, still with the permits.
    pub(crate) fn into_handle(self) -> H {
        let this = ManuallyDrop::new(self);
        // SAFETY: `this` is not dropped, so the handle is moved out once.
        unsafe { ptr::read(&raw const this.handle) }
    }
}

impl<H: Deref<Target: Protect>, T: ?Sized> Deref for ExclusiveGuard<H, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: the lock is held exclusively, for as long as the guard lives.
        unsafe { &*self.value }
    }
}

impl<H: Deref<Target: Protect>, T: ?Sized> DerefMut for ExclusiveGuard<H, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: as above, and `&mut self` is the only way to this guard's value.
        unsafe { &mut *self.value }
    }
}

impl<H: Deref<Target: Protect>, T: ?Sized> Drop for ExclusiveGuard<H, T> {
    #[inline]
    fn drop(&mut self) {
        self.handle.core().release(<H::Target as Protect>::WHOLE);
    }
}

/// Shared access to a locked value, until dropped. The type behind
/// [`RwLockReadGuard`](crate::rwlock::RwLockReadGuard) and its owned form.
///
/// It may be held across an `.await` and dropped on another thread.
#[must_use = "the lock is released at once if its guard is not kept"]
pub struct SharedGuard<H: Deref<Target: Protect>, T: ?Sized> {
    handle: H,
    value: *const T,
}

// SAFETY: a shared guard gives `&T`, which other guards may give on other threads at the same time.
unsafe impl<H: Deref<Target: Protect> + Send, T: ?Sized + Sync> Send for SharedGuard<H, T> {}
// SAFETY: as above.
unsafe impl<H: Deref<Target: Protect> + Sync, T: ?Sized + Sync> Sync for SharedGuard<H, T> {}

impl<H, T: ?Sized> SharedGuard<H, T>
where
    H: Deref<Target: Protect<Value = T>>,
{
    /// Wraps the permit that was just taken of `handle`'s lock.
    #[inline]
    pub(crate) fn new(handle: H) -> Self {
        let value = handle.value().cast_const();
        Self { handle, value }
    }
}

impl<H, T: ?Sized> Granted<H> for SharedGuard<H, T>
where
    H: Deref<Target: Protect<Value = T>>,
{
    #[inline]
    fn granted(handle: H, _: usize) -> Self {
        Self::new(handle)
    }
}

impl<H: Deref<Target: Protect>, T: ?Sized> SharedGuard<H, T> {
    pub(crate) fn handle(this: &Self) -> &H {
        &this.handle
    }

    /// Narrows the guard to a part of the value.
    ///
    /// # Panics
    ///
    /// Only if `part` does; the lock is released then.
    ///
    /// # Examples
    ///
    /// ```
    /// use latchwork::{RwLock, rwlock::RwLockReadGuard};
    ///
    /// let pair = RwLock::new((1, "one"));
    /// let name = RwLockReadGuard::map(pair.read().wait(), |pair| pair.1);
    /// assert_eq!(&*name, "one");
    /// ```
    pub fn map<U: ?Sized>(this: Self, part: impl FnOnce(&T) -> &U) -> SharedGuard<H, U> {
        let value = ptr::from_ref(part(&this));
        SharedGuard { handle: this.into_handle(), value }
    }

    /// Narrows the guard to a part of the value that may not be there.
    ///
    /// # Errors
    ///
    /// Returns the guard itself if `part` returns `None`.
    ///
    /// # Panics
    ///
    /// Only if `part` does; the lock is released then.
    ///
    /// # Examples
    ///
    /// ```
    /// use latchwork::{RwLock, rwlock::RwLockReadGuard};
    ///
    /// let list = RwLock::new(vec![1]);
    /// let none = RwLockReadGuard::filter_map(list.read().wait(), |list| list.get(5));
    /// assert_eq!(none.unwrap_err().len(), 1);
    /// ```
    pub fn filter_map<U: ?Sized>(
        this: Self,
        part: impl FnOnce(&T) -> Option<&U>,
    ) -> Result<SharedGuard<H, U>, Self> {
        match part(&this).map(ptr::from_ref) {
            Some(value) => Ok(SharedGuard { handle: this.into_handle(), value }),
            None => Err(this),
        }
    }

    /// Returns the handle, still with the permit.
    fn into_handle(self) -> H {
        let this = ManuallyDrop::new(self);
        // SAFETY: `this` is not dropped, so the handle is moved out once.
        unsafe { ptr::read(&raw const this.handle) }
    }
}

impl<H: Deref<Target: Protect>, T: ?Sized> Deref for SharedGuard<H, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: the lock is held shared, for as long as the guard lives.
        unsafe { &*self.value }
    }
}

impl<H: Deref<Target: Protect>, T: ?Sized> Drop for SharedGuard<H, T> {
    #[inline]
    fn drop(&mut self) {
        self.handle.core().release(1);
    }
}

impl<H: Deref<Target: Protect>, T: ?Sized + fmt::Debug> fmt::Debug for ExclusiveGuard<H, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<H: Deref<Target: Protect>, T: ?Sized + fmt::Display> fmt::Display for ExclusiveGuard<H, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<H: Deref<Target: Protect>, T: ?Sized + fmt::Debug> fmt::Debug for SharedGuard<H, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<H: Deref<Target: Protect>, T: ?Sized + fmt::Display> fmt::Display for SharedGuard<H, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}
