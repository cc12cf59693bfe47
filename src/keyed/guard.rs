//! The guards of keyed locks and semaphores.

use std::fmt;
use std::ops::Deref;
use std::time::Instant;

use super::events;
use super::long_wait::Waited;
use super::sought::Terms;
use super::table::{AsTable, Grant};
use super::timing::Timing;
use crate::fence::Fence;

/// A key that is held, until dropped. The type behind [`KeyedGuard`](super::KeyedGuard),
/// [`KeyedPermit`](super::KeyedPermit) and their owned forms; `H` is how it refers to its table.
///
/// It may be held across an `.await` and dropped on another thread. The key is released in `Drop`,
/// at once: on return, on `?`, on panic and when the future that holds it is dropped.
#[must_use = "the key is released at once if its guard is not kept"]
pub struct KeyedHold<H: Deref<Target: AsTable>> {
    handle: H,
    grant: Grant<<H::Target as AsTable>::Key>,
    permits: usize,
    since: Option<Instant>,
}

impl<H: Deref<Target: AsTable>> KeyedHold<H> {
    #[inline]
    pub(super) fn new(
        handle: H,
        grant: Grant<<H::Target as AsTable>::Key>,
        terms: &Terms,
        waited: Waited,
    ) -> Self {
        let hold = Self { handle, grant, permits: terms.permits, since: terms.now };
        let options = hold.handle.table().options();
        events::acquired(options, hold.key(), hold.fence(), terms, &waited);
        if let Some(time) = terms.waited() {
            options.observe(Timing::Waited(time));
        }
        // Here, while a panic would drop the guard: what a function returns would be forgotten.
        waited.retire();
        hold
    }

    /// Returns the key, as the table stores it.
    ///
    /// # Examples
    ///
    /// ```
    /// let locks = latchwork::KeyedLock::<String>::new();
    /// assert_eq!(locks.lock("ada").wait().key(), "ada");
    /// ```
    #[inline]
    #[must_use]
    #[allow(unsafe_code)]
    pub fn key(&self) -> &<H::Target as AsTable>::Key {
        // SAFETY: the permits of this grant keep the entry in use.
        unsafe { self.grant.entry.key() }
    }

    /// Returns the number of this grant. It is greater than that of each earlier grant of the key.
    ///
    /// # Examples
    ///
    /// ```
    /// let locks = latchwork::KeyedLock::<String>::new();
    /// let first = locks.lock("ada").wait().fence();
    /// assert!(locks.lock("ada").wait().fence() > first);
    /// ```
    #[inline]
    #[must_use]
    pub fn fence(&self) -> Fence {
        self.grant.fence
    }

    /// Returns `true` if others wait for the key.
    #[cfg(all(feature = "postgres", not(latchwork_loom)))]
    pub(crate) fn has_waiters(&self) -> bool {
        self.handle.table().has_waiters(self.grant.entry)
    }

    pub(super) fn handle(&self) -> &H {
        &self.handle
    }

    /// Returns the number of permits of the key that are held.
    pub(super) fn permits(&self) -> usize {
        self.permits
    }
}

impl<H: Deref<Target: AsTable>> Drop for KeyedHold<H> {
    #[inline]
    fn drop(&mut self) {
        // Releases even if a subscriber panics.
        let release = Release(self);
        events::released(self.handle.table().options(), self.key(), self.fence(), self.since);
        drop(release);
    }
}

struct Release<'a, H: Deref<Target: AsTable>>(&'a KeyedHold<H>);

impl<H: Deref<Target: AsTable>> Drop for Release<'_, H> {
    #[inline]
    fn drop(&mut self) {
        let KeyedHold { handle, grant, permits, since } = self.0;
        handle.table().release(grant.entry, *permits, *since);
    }
}

impl<H: Deref<Target: AsTable>> fmt::Debug for KeyedHold<H>
where
    <H::Target as AsTable>::Key: fmt::Debug,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyedHold")
            .field("key", self.key())
            .field("fence", &self.fence())
            .finish_non_exhaustive()
    }
}
