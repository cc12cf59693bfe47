//! [`Shared`]: a value that several policies use.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

/// A reference to a value that policies share, in a `static` or counted: created from `&'static T` or `Arc<T>`.
///
/// # Examples
///
/// ```
/// use std::sync::Arc;
/// use latchwork::retry::{Budget, Shared};
///
/// static FOR_ALL: Budget = Budget::new(100);
/// let one: Shared<Budget> = Shared::from(&FOR_ALL);
/// let other = Shared::from(Arc::new(Budget::new(10)));
/// assert_eq!((one.tokens(), other.tokens()), (100, 10));
/// ```
pub enum Shared<T: 'static> {
    /// It lives as long as the program.
    Static(&'static T),
    /// It lives as long as it is used.
    Counted(Arc<T>),
}

impl<T> Clone for Shared<T> {
    fn clone(&self) -> Self {
        match self {
            Self::Static(shared) => Self::Static(shared),
            Self::Counted(shared) => Self::Counted(shared.clone()),
        }
    }
}

impl<T> Deref for Shared<T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        match self {
            Self::Static(shared) => shared,
            Self::Counted(shared) => shared,
        }
    }
}

impl<T> From<&'static T> for Shared<T> {
    fn from(shared: &'static T) -> Self {
        Self::Static(shared)
    }
}

impl<T> From<Arc<T>> for Shared<T> {
    fn from(shared: Arc<T>) -> Self {
        Self::Counted(shared)
    }
}

impl<T> From<&Arc<T>> for Shared<T> {
    fn from(shared: &Arc<T>) -> Self {
        Self::Counted(shared.clone())
    }
}

impl<T: fmt::Debug> fmt::Debug for Shared<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}
