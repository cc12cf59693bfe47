//! [`Snapshot`]: a value and its stamp.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use crate::stamp::Stamp;

/// A value as it was at one moment, with its stamp. It does not change, and keeps nobody from writing.
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

    /// Whether both show the same write. Stamps can't tell that where they are seeded.
    pub(super) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.value, &other.value)
    }

    /// The stamp of the value.
    ///
    /// # Examples
    ///
    /// ```
    /// let first = latchwork::Versioned::new(7).snapshot();
    /// assert_eq!((*first, first.stamp().get()), (7, 1));
    /// ```
    #[inline]
    #[must_use]
    pub fn stamp(&self) -> Stamp {
        self.stamp
    }

    /// The shared value.
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

    /// The shared value, without its stamp.
    ///
    /// # Examples
    ///
    /// ```
    /// let value = latchwork::Versioned::new(7).snapshot().into_arc();
    /// assert_eq!(*value, 7);
    /// ```
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

impl<T: fmt::Debug> fmt::Debug for Snapshot<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Snapshot").field("value", &self.value).field("stamp", &self.stamp).finish()
    }
}
