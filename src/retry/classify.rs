//! [`Classifier`]: how a policy asks what an error means.

use crate::verdict::{Classify, Verdict};

/// Classifies errors for a policy: [`ByTrait`], [`ByFunction`], or a closure given to
/// [`classify_with`](crate::RetryPolicy::classify_with).
pub trait Classifier<E> {
    /// Returns what to do about `error`.
    fn verdict(&self, error: &E) -> Verdict;
}

/// Asks the error itself, which implements [`Classify`].
#[derive(Clone, Copy, Default, Debug)]
pub struct ByTrait;

/// A function that classifies errors: it makes the policy's type easy to name, as in
/// `RetryPolicy<ByFunction<io::Error>>`.
pub type ByFunction<E> = fn(&E) -> Verdict;

impl<E: Classify> Classifier<E> for ByTrait {
    #[inline]
    fn verdict(&self, error: &E) -> Verdict {
        error.classify()
    }
}

impl<E, F: Fn(&E) -> Verdict> Classifier<E> for F {
    #[inline]
    fn verdict(&self, error: &E) -> Verdict {
        self(error)
    }
}
