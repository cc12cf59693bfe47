//! [`Semaphore`]: a number of permits, for threads and tasks alike.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use crate::error::Busy;
use crate::wait::{Acquire, AsCore, Core, MAX_PERMITS, OnCore, Request};

/// A counting semaphore: bounds how many threads and tasks do something at the same time.
///
/// # Fairness
///
/// A request for many permits is not passed for ever by requests for few. One for more than there are in all waits for
/// [`add_permits`](Self::add_permits), and delays nobody: see
/// [`Acquire`].
///
/// # Examples
///
/// ```
/// let analyses = latchwork::Semaphore::new(2);
/// let (one, two) = (analyses.acquire().wait(), analyses.acquire().wait());
/// assert!(analyses.try_acquire(1).is_err());
/// drop((one, two));
/// assert_eq!(analyses.available(), 2);
/// ```
pub struct Semaphore {
    core: Core,
}

/// Permits of a [`Semaphore`], given back on drop. `H` is how it holds on to its semaphore.
#[must_use = "permits are given back at once if they are not kept"]
pub struct Permits<H: Deref<Target = Semaphore>> {
    semaphore: H,
    count: usize,
}

/// Permits of a borrowed [`Semaphore`].
pub type Permit<'a> = Permits<&'a Semaphore>;

/// Permits that keep their [`Semaphore`] alive.
pub type OwnedPermit = Permits<Arc<Semaphore>>;

impl Semaphore {
    /// The largest number of permits that a semaphore can have.
    pub const MAX_PERMITS: usize = MAX_PERMITS;

    /// A semaphore with `permits` to take.
    ///
    /// # Panics
    ///
    /// With more than [`MAX_PERMITS`](Self::MAX_PERMITS).
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

    /// A semaphore with `permits` to take; in models it can't be made in a `const`.
    #[cfg(latchwork_loom)]
    #[must_use]
    pub fn new(permits: usize) -> Self {
        Self { core: Core::new(permits) }
    }

    /// Acquires one permit: `.await` it in a task, `.wait()` for it on a thread.
    ///
    /// # Cancel safety
    ///
    /// As that of [`Acquire`].
    ///
    /// # Examples
    ///
    /// ```
    /// let semaphore = latchwork::Semaphore::new(1);
    /// let permit = semaphore.acquire().wait();
    /// assert_eq!((permit.count(), semaphore.available()), (1, 0));
    /// ```
    #[inline]
    pub fn acquire(&self) -> Acquire<impl Request<Guard = Permit<'_>>> {
        self.acquire_many(1)
    }

    /// Acquires `count` permits, all at once. Zero are had without waiting; more than there will
    /// ever be are waited for as long as the caller cares to.
    ///
    /// # Cancel safety
    ///
    /// As that of [`Acquire`].
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
    pub fn acquire_many(&self, count: usize) -> Acquire<impl Request<Guard = Permit<'_>>> {
        OnCore::acquire(self, count, move |semaphore| Permits { semaphore, count })
    }

    /// As [`acquire_many`](Self::acquire_many), with permits that keep the semaphore alive.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::sync::Arc;
    ///
    /// let permit = Arc::new(latchwork::Semaphore::new(3)).acquire_many_owned(2).wait();
    /// assert_eq!(permit.count(), 2);
    /// ```
    #[inline]
    pub fn acquire_many_owned(
        self: &Arc<Self>,
        count: usize,
    ) -> Acquire<impl Request<Guard = OwnedPermit> + use<>> {
        OnCore::acquire(self.clone(), count, move |semaphore| Permits { semaphore, count })
    }

    /// As [`acquire`](Self::acquire), with a permit that keeps the semaphore alive.
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
    pub fn acquire_owned(self: &Arc<Self>) -> Acquire<impl Request<Guard = OwnedPermit> + use<>> {
        self.acquire_many_owned(1)
    }

    /// Acquires `count` permits if they are there, without waiting. It counts as a newcomer: see [`Acquire`](crate::Acquire#fairness).
    ///
    /// # Errors
    ///
    /// [`Busy`] if there are fewer, or they are reserved for a waiter.
    ///
    /// # Examples
    ///
    /// ```
    /// let semaphore = latchwork::Semaphore::new(3);
    /// let two = semaphore.try_acquire(2)?;
    /// assert!(semaphore.try_acquire(2).is_err());
    /// # drop(two);
    /// # Ok::<(), latchwork::Busy>(())
    /// ```
    #[inline]
    pub fn try_acquire(&self, count: usize) -> Result<Permit<'_>, Busy> {
        if self.core.try_take(count, false) {
            Ok(Permits { semaphore: self, count })
        } else {
            Err(self.busy())
        }
    }

    /// As [`try_acquire`](Self::try_acquire), with permits that keep the semaphore alive.
    ///
    /// # Errors
    ///
    /// [`Busy`] if there are fewer, or they are reserved for a waiter.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::sync::Arc;
    ///
    /// let semaphore = Arc::new(latchwork::Semaphore::new(1));
    /// let permit = semaphore.try_acquire_owned(1)?;
    /// assert!(semaphore.try_acquire_owned(1).is_err());
    /// # drop(permit);
    /// # Ok::<(), latchwork::Busy>(())
    /// ```
    #[inline]
    pub fn try_acquire_owned(self: &Arc<Self>, count: usize) -> Result<OwnedPermit, Busy> {
        if self.core.try_take(count, false) {
            Ok(Permits { semaphore: self.clone(), count })
        } else {
            Err(self.busy())
        }
    }

    /// How many permits can be taken now.
    ///
    /// # Examples
    ///
    /// ```
    /// let semaphore = latchwork::Semaphore::new(2);
    /// let _permit = semaphore.acquire().wait();
    /// assert_eq!(semaphore.available(), 1);
    /// ```
    #[must_use]
    pub fn available(&self) -> usize {
        self.core.available()
    }

    /// How many permits exist, held or not.
    ///
    /// # Examples
    ///
    /// ```
    /// let semaphore = latchwork::Semaphore::new(2);
    /// let _permit = semaphore.acquire().wait();
    /// assert_eq!(semaphore.total(), 2);
    /// ```
    #[must_use]
    pub fn total(&self) -> usize {
        self.core.total()
    }

    /// Adds `count` permits.
    ///
    /// # Panics
    ///
    /// If more than [`MAX_PERMITS`](Self::MAX_PERMITS) would exist; none is added then.
    ///
    /// # Examples
    ///
    /// ```
    /// let semaphore = latchwork::Semaphore::new(0);
    /// semaphore.add_permits(2);
    /// semaphore.acquire().wait().forget();
    /// assert_eq!((semaphore.available(), semaphore.total()), (1, 1));
    /// ```
    pub fn add_permits(&self, count: usize) {
        assert!(self.core.grow(count, MAX_PERMITS), "more than Semaphore::MAX_PERMITS permits");
    }

    #[cold]
    fn busy(&self) -> Busy {
        Busy::new(self.core.waiters(), None)
    }
}

impl<H: Deref<Target = Semaphore>> Permits<H> {
    /// How many permits these are.
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

    /// Takes these permits out of existence: the semaphore has so many fewer from now on.
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

    /// Splits `count` permits off, to be given back on their own; `None` if there are fewer.
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
