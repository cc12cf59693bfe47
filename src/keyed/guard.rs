//! The guards of keyed locks and semaphores.

use std::fmt;
use std::ops::Deref;

use super::events;
use super::lock::KeyedLock;
use super::table::{AsTable, Grant, Table};
use crate::fence::Fence;
use crate::wait::MAX_PERMITS;

/// A key that is held, until dropped. Behind [`KeyedGuard`](super::KeyedGuard),
/// [`KeyedPermit`](super::KeyedPermit) and their owned forms; `H` is how it holds on to its table.
///
/// It may be held across an `.await` and dropped on another thread. The key is released in `Drop`,
/// at once: on return, on `?`, on panic and when the future that holds it is dropped.
#[must_use = "the key is released at once if its guard is not kept"]
pub struct KeyedHold<H: Deref<Target: AsTable>> {
    handle: H,
    grant: Grant<<H::Target as AsTable>::Key>,
}

impl<H: Deref<Target: AsTable>> KeyedHold<H> {
    #[inline]
    pub(super) fn new(handle: H, grant: Grant<<H::Target as AsTable>::Key>) -> Self {
        let hold = Self { handle, grant };
        events::acquired(hold.handle.table().options(), hold.key(), hold.fence(), hold.grant.waited);
        hold
    }

    /// The key, as the table stores it.
    #[inline]
    #[must_use]
    #[allow(unsafe_code)]
    pub fn key(&self) -> &<H::Target as AsTable>::Key {
        // SAFETY: the permits of this grant keep the entry in use.
        unsafe { self.grant.entry.key() }
    }

    /// The number of this grant: greater than that of every earlier grant of the key.
    #[inline]
    #[must_use]
    pub fn fence(&self) -> Fence {
        self.grant.fence
    }

    /// How many permits of the key are held.
    pub(super) fn permits(&self) -> usize {
        self.grant.permits
    }
}

impl<H: Deref<Target = KeyedLock<K, S>>, K, S> KeyedHold<H> {
    /// Whether others may share the key.
    #[must_use]
    pub fn is_shared(&self) -> bool {
        self.permits() < MAX_PERMITS
    }
}

impl<H: Deref<Target: AsTable>> Drop for KeyedHold<H> {
    #[inline]
    fn drop(&mut self) {
        let table = self.handle.table();
        // Even if a subscriber panics.
        let _release = Release(table, &self.grant);
        events::released(table.options(), self.key(), self.fence(), self.grant.since);
    }
}

struct Release<'a, K, S>(&'a Table<K, S>, &'a Grant<K>);

impl<K, S> Drop for Release<'_, K, S> {
    #[inline]
    fn drop(&mut self) {
        self.0.release(self.1);
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
