//! [`Taken`] and [`ClaimExhausted`]: no name was claimed.

use std::error::Error;
use std::fmt;
use std::sync::Arc;

use crate::verdict::{Classify, RetryKind, Verdict};

/// The name is taken. It comes back with the error.
///
/// Neither its text nor its `Debug` shows the name, so it can be logged.
///
/// # Examples
///
/// ```
/// let slugs = latchwork::Claims::<String>::new();
/// slugs.mark_taken("admin");
/// let taken = slugs.try_claim("admin").unwrap_err();
/// assert_eq!((taken.name.as_str(), taken.is_kept), ("admin", true));
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Taken<K = Arc<str>> {
    /// The name that was asked for.
    pub name: K,
    /// `true` if the name is kept; otherwise it is only claimed, and may be free again soon.
    pub is_kept: bool,
}

impl<K> Taken<K> {
    pub(super) fn new(name: K, is_kept: bool) -> Self {
        Self { name, is_kept }
    }
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

/// The name is taken: another one may be free.
impl<K> Classify for Taken<K> {
    fn classify(&self) -> Verdict {
        Verdict::Retry(RetryKind::UniqueViolation)
    }
}

/// None of the names that were tried was free.
///
/// # Examples
///
/// ```
/// let slugs = latchwork::Claims::<String>::new();
/// slugs.mark_taken("ada");
/// let error = slugs.claim_unique("ada", ["-2"], 1).unwrap_err();
/// assert_eq!(error.to_string(), "no free name, 1 tried");
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("no free name, {attempts} tried")]
#[non_exhaustive]
pub struct ClaimExhausted {
    /// The number of names that were tried.
    pub attempts: usize,
}

/// All names that were tried are taken: another one may be free.
impl Classify for ClaimExhausted {
    fn classify(&self) -> Verdict {
        Verdict::Retry(RetryKind::UniqueViolation)
    }
}
