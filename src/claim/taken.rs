//! [`Taken`]: a name that could not be claimed.

use std::error::Error;
use std::fmt;
use std::sync::Arc;

use crate::verdict::{Classify, RetryKind, Verdict};

/// The name is taken; it comes back with the error.
///
/// Neither its text nor its `Debug` shows the name, so that it can be logged.
///
/// # Examples
///
/// ```
/// let slugs: latchwork::Claims = latchwork::Claims::new();
/// slugs.mark_taken("admin");
/// let taken = slugs.try_claim("admin").unwrap_err();
/// assert_eq!((&*taken.name, taken.is_kept), ("admin", true));
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Taken<K = Arc<str>> {
    /// The name that was to be claimed.
    pub name: K,
    /// Whether it is kept; otherwise it is only claimed, and may be free again soon.
    pub is_kept: bool,
}

impl<K> fmt::Debug for Taken<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Taken").field("is_kept", &self.is_kept).finish_non_exhaustive()
    }
}

impl<K> fmt::Display for Taken<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_kept { "the name is taken" } else { "the name is claimed" })
    }
}

impl<K> Error for Taken<K> {}

/// The name is taken: with another one it may work.
impl<K> Classify for Taken<K> {
    fn classify(&self) -> Verdict {
        Verdict::Retry(RetryKind::UniqueViolation)
    }
}
