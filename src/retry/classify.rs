//! [`Classifier`]: how a policy asks what an error means.

use crate::verdict::{Classify, Verdict};

/// How a policy classifies errors: [`ByTrait`], or a function given to
/// [`classify_with`](crate::RetryPolicy::classify_with).
pub trait Classifier<E> {
    /// What to do about `error`.
    fn verdict(&self, error: &E) -> Verdict;
}

/// Asks the error itself, which implements [`Classify`].
#[derive(Clone, Copy, Default, Debug)]
pub struct ByTrait;

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
