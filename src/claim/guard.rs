//! [`Claim`]: a claimed name.

use std::fmt;
use std::sync::Arc;

use super::names::{Lent, Names};

/// A claimed name, until it is dropped or committed. It keeps its [`Claims`](super::Claims) alive.
///
/// It may be held across an `.await`, and dropped on another thread. `Drop` frees the name at once: on return, on `?`,
/// on panic, and when the future that holds it is dropped.
///
/// # Examples
///
/// ```
/// let slugs = latchwork::Claims::<String>::new();
/// let claim = slugs.try_claim("ada")?;
/// assert_eq!(claim.name(), "ada");
/// std::thread::spawn(move || drop(claim)).join().expect("it does not panic");
/// assert!(!slugs.is_taken("ada"));
/// # Ok::<(), latchwork::claim::Taken<String>>(())
/// ```
#[must_use = "the name is free again at once if its claim is not kept"]
pub struct Claim<K = Arc<str>> {
    names: Names<K>,
    hash: u64,
    /// `None` once the claim has ended.
    lent: Option<Arc<Lent<K>>>,
    is_committed: bool,
}

impl<K> Claim<K> {
    #[inline]
    pub(super) fn new(names: Names<K>, hash: u64, lent: Arc<Lent<K>>) -> Self {
        Self { names, hash, lent: Some(lent), is_committed: false }
    }

    /// Returns the name.
    #[must_use]
    pub fn name(&self) -> &K {
        match &self.lent {
            Some(lent) => lent.name(),
            None => unreachable!("a claim ends in its drop"),
        }
    }

    /// Keeps the name, because it is stored, and returns a clone of it. It stays taken until it is
    /// [released](super::Claims::release).
    ///
    /// # Examples
    ///
    /// ```
    /// let slugs = latchwork::Claims::<String>::new();
    /// let name = slugs.try_claim("ada")?.commit();
    /// assert!(name == "ada" && slugs.is_taken("ada"));
    /// # Ok::<(), latchwork::claim::Taken<String>>(())
    /// ```
    #[allow(clippy::must_use_candidate, reason = "most callers know the name")]
    pub fn commit(mut self) -> K
    where
        K: Clone,
    {
        // First, so that the name is kept even if its clone panics.
        self.is_committed = true;
        self.name().clone()
    }
}

impl<K> Drop for Claim<K> {
    fn drop(&mut self) {
        if let Some(lent) = self.lent.take() {
            self.names.end(self.hash, lent, self.is_committed);
        }
    }
}

impl<K: fmt::Debug> fmt::Debug for Claim<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Claim").field("name", self.name()).finish_non_exhaustive()
    }
}

/// A claim on the first name of several that was free.
#[derive(Debug)]
#[must_use = "the name is free again at once if its claim is not kept"]
#[non_exhaustive]
pub struct UniqueClaim<K = Arc<str>> {
    /// The claim.
    pub claim: Claim<K>,
    /// The number of names that were tried; 1 if the first one was free.
    pub attempts: usize,
}

impl<K> UniqueClaim<K> {
    pub(super) fn new(claim: Claim<K>, attempts: usize) -> Self {
        Self { claim, attempts }
    }
}
