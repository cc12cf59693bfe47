//! [`Snapshot`]: a value and its stamp.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use crate::stamp::Stamp;

/// A value as it was at one moment, with its stamp. It does not change, and does not block writers.
///
/// Two snapshots are equal if their stamps and their values are. In one cell or map equal stamps mean the same write,
/// except where stamps were [seeded](crate::VersionedMap::seed).
///
/// # Examples
///
/// ```
/// let card = latchwork::Versioned::new("Ada".to_owned());
/// let before = card.snapshot();
/// card.modify(|name| format!("{name} Lovelace"))?;
/// assert_eq!((before.len(), before.stamp().get()), (3, 1));
/// # Ok::<(), latchwork::stamp::StampsExhausted>(())
/// ```
pub struct Snapshot<T> {
    value: Arc<T>,
    stamp: Stamp,
}

impl<T> Snapshot<T> {
    #[inline]
    pub(super) fn new(value: Arc<T>, stamp: Stamp) -> Self {
        Self { value, stamp }
    }

    /// Returns `true` if both show the same write. It does not compare stamps, because they can be seeded.
    pub(super) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.value, &other.value)
    }

    /// Returns the stamp of the value.
    #[inline]
    #[must_use]
    pub fn stamp(&self) -> Stamp {
        self.stamp
    }

    /// Returns the shared value.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::sync::Arc;
    ///
    /// let cell = latchwork::Versioned::new(7);
    /// assert!(Arc::ptr_eq(cell.snapshot().arc(), cell.snapshot().arc()));
    /// ```
    #[inline]
    #[must_use]
    pub fn arc(&self) -> &Arc<T> {
        &self.value
    }

    /// Returns the shared value, without its stamp.
    #[inline]
    #[must_use]
    pub fn into_arc(self) -> Arc<T> {
        self.value
    }
}

impl<T> Deref for Snapshot<T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T> Clone for Snapshot<T> {
    #[inline]
    fn clone(&self) -> Self {
        Self { value: self.value.clone(), stamp: self.stamp }
    }
}

impl<T: PartialEq> PartialEq for Snapshot<T> {
    fn eq(&self, other: &Self) -> bool {
        self.stamp == other.stamp && self.value == other.value
    }
}

impl<T: Eq> Eq for Snapshot<T> {}

impl<T: fmt::Debug> fmt::Debug for Snapshot<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Snapshot").field("value", &self.value).field("stamp", &self.stamp).finish()
    }
}
