//! [`Semaphore`]: a number of permits, for threads and tasks alike.

use std::fmt;
use std::ops::Deref;
use std::ptr;
use std::sync::Arc;

use crate::error::Busy;
use crate::wait::{Acquire, AsCore, Attempt, Core, Granted, MAX_PERMITS, OnCore};

/// A counting semaphore: bounds how many threads and tasks do something at the same time.
///
/// # Fairness
///
/// An acquisition of many permits is not passed for ever by acquisitions of few. One of more permits than exist waits for
/// [`add_permits`](Self::add_permits), and delays no other: see [`Acquire`](Acquire#fairness).
///
/// # Examples
///
/// ```
/// let analyses = latchwork::Semaphore::new(2);
/// let (one, two) = (analyses.acquire().wait(), analyses.acquire().wait());
/// assert!(analyses.try_acquire().is_err());
/// drop((one, two));
/// assert_eq!(analyses.available(), 2);
/// ```
pub struct Semaphore {
    core: Core,
}

/// Permits of a [`Semaphore`], given back on drop. `H` is how they refer to their semaphore.
#[must_use = "permits are given back at once if they are not kept"]
pub struct Permits<H: Deref<Target = Semaphore>> {
    semaphore: H,
    count: usize,
}

/// Permits of a borrowed [`Semaphore`].
pub type Permit<'a> = Permits<&'a Semaphore>;

/// Permits that keep their [`Semaphore`] alive.
pub type OwnedPermit = Permits<Arc<Semaphore>>;

/// The type that [`Semaphore::acquire`] and [`Semaphore::acquire_many`] return.
pub type AcquirePermits<'a> = Acquire<OnCore<&'a Semaphore, Permit<'a>>>;

/// The type that [`Semaphore::acquire_owned`] and [`Semaphore::acquire_many_owned`] return.
pub type AcquirePermitsOwned = Acquire<OnCore<Arc<Semaphore>, OwnedPermit>>;

impl Semaphore {
    /// The largest number of permits that a semaphore can have.
    pub const MAX_PERMITS: usize = MAX_PERMITS;

    /// Creates a semaphore with this number of permits.
    ///
    /// # Panics
    ///
    /// If there are more than [`MAX_PERMITS`](Self::MAX_PERMITS).
    ///
    /// # Examples
    ///
    /// ```
    /// static DOWNLOADS: latchwork::Semaphore = latchwork::Semaphore::new(4);
    /// assert_eq!(DOWNLOADS.available(), 4);
    /// ```
    #[cfg(not(latchwork_loom))]
    #[must_use]
    pub const fn new(permits: usize) -> Self {
        Self { core: Core::new(permits) }
    }

    /// Creates a semaphore with this number of permits; in a model this can't be `const`.
    #[cfg(latchwork_loom)]
    #[must_use]
    pub fn new(permits: usize) -> Self {
        Self { core: Core::new(permits) }
    }

    /// Acquires one permit: `.await` it in a task, `.wait()` for it on a thread.
    ///
    /// # Cancel safety
    ///
    /// The same as for [`Acquire`].
    ///
    /// # Examples
    ///
    /// ```
    /// let semaphore = latchwork::Semaphore::new(1);
    /// let permit = semaphore.acquire().wait();
    /// assert_eq!((permit.count(), semaphore.available()), (1, 0));
    /// ```
    #[inline]
    pub fn acquire(&self) -> AcquirePermits<'_> {
        self.acquire_many(1)
    }

    /// Acquires `count` permits, all at once. Zero permits are acquired without waiting. A request
    /// for more permits than exist waits until enough are added.
    ///
    /// # Cancel safety
    ///
    /// The same as for [`Acquire`].
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// let semaphore = latchwork::Semaphore::new(3);
    /// let two = semaphore.acquire_many(2).wait();
    /// assert!(semaphore.acquire_many(2).wait_timeout(Duration::ZERO).is_err());
    /// # drop(two);
    /// ```
    #[inline]
    pub fn acquire_many(&self, count: usize) -> AcquirePermits<'_> {
        OnCore::some(self, count).acquire()
    }

    /// Acquires one permit as [`acquire`](Self::acquire) does. It keeps the semaphore alive.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::sync::Arc;
    ///
    /// let permit = Arc::new(latchwork::Semaphore::new(1)).acquire_owned().wait();
    /// std::thread::spawn(move || drop(permit)).join().expect("it does not panic");
    /// ```
    #[inline]
    pub fn acquire_owned(self: &Arc<Self>) -> AcquirePermitsOwned {
        self.acquire_many_owned(1)
    }

    /// Acquires permits as [`acquire_many`](Self::acquire_many) does. They keep the semaphore alive.
    #[inline]
    pub fn acquire_many_owned(self: &Arc<Self>, count: usize) -> AcquirePermitsOwned {
        OnCore::some(self.clone(), count).acquire()
    }

    /// Acquires one permit if there is one, without waiting. The call counts as a
    /// [newcomer](Acquire#fairness).
    ///
    /// # Errors
    ///
    /// Returns [`Busy`] if there is none, or it is reserved for a waiter.
    ///
    /// # Examples
    ///
    /// ```
    /// let semaphore = latchwork::Semaphore::new(1);
    /// let permit = semaphore.try_acquire()?;
    /// assert!(semaphore.try_acquire().is_err());
    /// # drop(permit);
    /// # Ok::<(), latchwork::Busy>(())
    /// ```
    #[inline]
    pub fn try_acquire(&self) -> Result<Permit<'_>, Busy> {
        self.try_acquire_many(1)
    }

    /// Acquires `count` permits if they are there, without waiting. The call counts as a
    /// [newcomer](Acquire#fairness).
    ///
    /// # Errors
    ///
    /// Returns [`Busy`] if there are fewer, or they are reserved for a waiter.
    ///
    /// # Examples
    ///
    /// ```
    /// let semaphore = latchwork::Semaphore::new(3);
    /// let two = semaphore.try_acquire_many(2)?;
    /// assert!(semaphore.try_acquire_many(2).is_err());
    /// # drop(two);
    /// # Ok::<(), latchwork::Busy>(())
    /// ```
    #[inline]
    pub fn try_acquire_many(&self, count: usize) -> Result<Permit<'_>, Busy> {
        OnCore::some(self, count).attempt()
    }

    /// Acquires one permit as [`try_acquire`](Self::try_acquire) does. It keeps the semaphore alive.
    ///
    /// # Errors
    ///
    /// Returns [`Busy`] if there is none, or it is reserved for a waiter.
    #[inline]
    pub fn try_acquire_owned(self: &Arc<Self>) -> Result<OwnedPermit, Busy> {
        self.try_acquire_many_owned(1)
    }

    /// Acquires permits as [`try_acquire_many`](Self::try_acquire_many) does. They keep the semaphore alive.
    ///
    /// # Errors
    ///
    /// Returns [`Busy`] if there are fewer, or they are reserved for a waiter.
    #[inline]
    pub fn try_acquire_many_owned(self: &Arc<Self>, count: usize) -> Result<OwnedPermit, Busy> {
        OnCore::some(self.clone(), count).attempt()
    }

    /// Returns the number of permits that can be taken now.
    ///
    /// # Examples
    ///
    /// ```
    /// let semaphore = latchwork::Semaphore::new(2);
    /// let _permit = semaphore.acquire().wait();
    /// assert_eq!((semaphore.available(), semaphore.total()), (1, 2));
    /// ```
    #[must_use]
    pub fn available(&self) -> usize {
        self.core.available()
    }

    /// Returns the number of permits that exist, held or not.
    #[must_use]
    pub fn total(&self) -> usize {
        self.core.total()
    }

    /// Adds `count` permits.
    ///
    /// # Panics
    ///
    /// If more than [`MAX_PERMITS`](Self::MAX_PERMITS) would exist. None is added then.
    ///
    /// # Examples
    ///
    /// ```
    /// let semaphore = latchwork::Semaphore::new(0);
    /// semaphore.add_permits(2);
    /// assert_eq!((semaphore.available(), semaphore.total()), (2, 2));
    /// ```
    pub fn add_permits(&self, count: usize) {
        assert!(self.core.grow(count, MAX_PERMITS), "more than Semaphore::MAX_PERMITS permits");
    }

    /// Removes up to `count` of the permits that nobody holds, without waiting. Returns how many.
    ///
    /// Permits that are held stay. To remove them, acquire them and [forget](Permits::forget) them.
    ///
    /// # Examples
    ///
    /// ```
    /// let semaphore = latchwork::Semaphore::new(3);
    /// let permit = semaphore.acquire().wait();
    /// assert_eq!(semaphore.forget_permits(5), 2);
    /// assert_eq!((semaphore.available(), semaphore.total()), (0, 1));
    /// # drop(permit);
    /// ```
    pub fn forget_permits(&self, count: usize) -> usize {
        self.core.shrink_available(count)
    }
}

impl<H: Deref<Target = Semaphore>> Permits<H> {
    /// Returns the number of permits.
    ///
    /// # Examples
    ///
    /// ```
    /// let semaphore = latchwork::Semaphore::new(2);
    /// assert_eq!(semaphore.acquire_many(2).wait().count(), 2);
    /// ```
    #[must_use]
    pub fn count(&self) -> usize {
        self.count
    }

    /// Returns the semaphore, as the permits keep it: a reference or an `Arc`.
    #[must_use]
    pub fn semaphore(&self) -> &H {
        &self.semaphore
    }

    /// Removes these permits: from now on the semaphore has fewer.
    ///
    /// # Examples
    ///
    /// ```
    /// let semaphore = latchwork::Semaphore::new(2);
    /// semaphore.acquire().wait().forget();
    /// assert_eq!((semaphore.available(), semaphore.total()), (1, 1));
    /// ```
    pub fn forget(mut self) {
        // Whatever a waker does, they are gone once.
        let count = std::mem::take(&mut self.count);
        self.semaphore.core.shrink(count);
    }

    /// Splits `count` permits off, to be given back on their own. Returns `None` if there are fewer.
    ///
    /// # Examples
    ///
    /// ```
    /// let semaphore = latchwork::Semaphore::new(3);
    /// let mut three = semaphore.acquire_many(3).wait();
    /// let one = three.split(1).expect("there are three");
    /// drop(three);
    /// assert_eq!((one.count(), semaphore.available()), (1, 2));
    /// ```
    pub fn split(&mut self, count: usize) -> Option<Self>
    where
        H: Clone,
    {
        self.count = self.count.checked_sub(count)?;
        Some(Self { semaphore: self.semaphore.clone(), count })
    }

    /// Adds the permits of `other` to these, to be given back together.
    ///
    /// # Panics
    ///
    /// If they are permits of different semaphores. `other` is given back then.
    ///
    /// # Examples
    ///
    /// ```
    /// let semaphore = latchwork::Semaphore::new(3);
    /// let mut one = semaphore.acquire().wait();
    /// one.merge(semaphore.acquire_many(2).wait());
    /// assert_eq!((one.count(), semaphore.available()), (3, 0));
    /// ```
    pub fn merge(&mut self, mut other: Self) {
        assert!(ptr::eq(&*self.semaphore, &*other.semaphore), "permits of different semaphores");
        self.count += std::mem::take(&mut other.count);
    }
}

impl<H: Deref<Target = Semaphore>> Granted<H> for Permits<H> {
    #[inline]
    fn granted(semaphore: H, count: usize) -> Self {
        Self { semaphore, count }
    }
}

impl<H: Deref<Target = Semaphore>> Drop for Permits<H> {
    #[inline]
    fn drop(&mut self) {
        if self.count > 0 {
            self.semaphore.core.release(self.count);
        }
    }
}

impl<H: Deref<Target = Semaphore>> fmt::Debug for Permits<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permits").field("count", &self.count).finish()
    }
}

impl AsCore for Semaphore {
    #[inline]
    fn core(&self) -> &Core {
        &self.core
    }
}

impl fmt::Debug for Semaphore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Semaphore")
            .field("available", &self.available())
            .field("total", &self.total())
            .finish()
    }
}
