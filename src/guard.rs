//! The guards of [`Mutex`](crate::Mutex) and [`RwLock`](crate::RwLock): access to the value while
//! permits are held, which go back on drop.
//!
//! `H` is how a guard holds on to its lock: by reference or by `Arc`.

#![allow(unsafe_code)]

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::ptr;

use crate::wait::{AsCore, Core};

/// A lock with a value inside.
///
/// # Safety
///
/// `value` is the address of a value that lives in the lock, stays where it is while the lock does
/// not move, and is reached through guards only: exclusively by who holds [`WHOLE`](Self::WHOLE)
/// permits, shared by who holds fewer.
pub unsafe trait Protect: AsCore {
    /// The value's type.
    type Value: ?Sized;

    /// How many permits exclusive access takes.
    #[doc(hidden)]
    const WHOLE: usize;

    #[doc(hidden)]
    fn value(&self) -> *mut Self::Value;
}

/// Exclusive access to a locked value, until dropped. Behind
/// [`MutexGuard`](crate::mutex::MutexGuard), [`RwLockWriteGuard`](crate::rwlock::RwLockWriteGuard) and their owned forms.
///
/// It may be held across an `.await` and dropped on another thread. A panic while it is held
/// releases the lock and does not poison it.
#[must_use = "the lock is released at once if its guard is not kept"]
pub struct ExclusiveGuard<H: Deref<Target: Protect>, T: ?Sized> {
    handle: H,
    value: *mut T,
}

// SAFETY: the value is reached by whoever has the guard, exclusively: it moves with the guard.
unsafe impl<H: Deref<Target: Protect> + Send, T: ?Sized + Send> Send for ExclusiveGuard<H, T> {}
// SAFETY: a shared guard gives `&T` and nothing else.
unsafe impl<H: Deref<Target: Protect> + Sync, T: ?Sized + Sync> Sync for ExclusiveGuard<H, T> {}

impl<H, T: ?Sized> ExclusiveGuard<H, T>
where
    H: Deref<Target: Protect<Value = T>>,
{
    /// Wraps the permits that were just taken of `handle`'s lock.
    #[inline]
    pub(crate) fn new(handle: H) -> Self {
        let value = handle.value();
        Self { handle, value }
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
    /// The guard itself if `part` returns `None`.
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

    /// The handle, still with the permits.
    pub(crate) fn into_handle(self) -> H {
        let this = std::mem::ManuallyDrop::new(self);
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

/// Shared access to a locked value, until dropped. Behind
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

impl<H: Deref<Target: Protect>, T: ?Sized> SharedGuard<H, T> {
    pub(crate) fn core(this: &Self) -> &Core {
        this.handle.core()
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
        let this = std::mem::ManuallyDrop::new(this);
        // SAFETY: `this` is not dropped, so the handle is moved out once.
        SharedGuard { handle: unsafe { ptr::read(&raw const this.handle) }, value }
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
