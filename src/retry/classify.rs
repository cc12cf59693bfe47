//! [`Classifier`]: how a policy asks what an error means, and where it reports what it does about it.

use super::error::RetryError;
use super::observe::Retrying;
use crate::verdict::{Classify, Verdict};

/// Classifies the errors of a policy's calls, and observes what the policy does about them.
///
/// Most policies need no implementation of their own: they have [`ByTrait`], [`ByFunction`], or a closure given to
/// [`classify_with`](crate::RetryPolicy::classify_with). Observers are closures given to
/// [`on_retry`](crate::RetryPolicy::on_retry) and [`on_give_up`](crate::RetryPolicy::on_give_up). A type of your
/// own can do all of it, for errors of several types. The policy's type then has a name, and the policy can be a
/// `static`.
///
/// # Examples
///
/// ```
/// use std::fmt::Display;
/// use latchwork::{Busy, RetryPolicy, retry::{Classifier, RetryError, Retrying}, verdict::{Classify, Verdict}};
///
/// struct Logged;
///
/// impl<E: Classify + Display> Classifier<E> for Logged {
///     fn verdict(&self, error: &E) -> Verdict {
///         error.classify()
///     }
///
///     fn retrying(&self, retry: &Retrying<'_, E>) {
///         eprintln!("{}: {}, again in {:?}", retry.name, retry.error, retry.wait);
///     }
///
///     fn gave_up(&self, error: &RetryError<E>) {
///         eprintln!("{error}: {}", error.error);
///     }
/// }
///
/// static SAVE: RetryPolicy<Logged> = RetryPolicy::with_classifier(Logged).name("save card");
/// assert_eq!(SAVE.run_blocking(|_| Ok::<_, Busy>(7)).ok(), Some(7));
/// ```
pub trait Classifier<E> {
    /// Returns what to do about `error`.
    fn verdict(&self, error: &E) -> Verdict;

    /// Observes that an attempt has failed, and that another one follows after a wait. It is called before the wait.
    fn retrying(&self, retry: &Retrying<'_, E>) {
        let _ = retry;
    }

    /// Observes that a call has failed: there is no further attempt. The error tells why.
    fn gave_up(&self, error: &RetryError<E>) {
        let _ = error;
    }
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

/// A classifier and an observer of retries: see [`RetryPolicy::on_retry`](crate::RetryPolicy::on_retry).
#[derive(Clone, Copy, Debug)]
pub struct OnRetry<C, F> {
    pub(super) classifier: C,
    pub(super) observer: F,
}

impl<E, C: Classifier<E>, F: Fn(&Retrying<'_, E>)> Classifier<E> for OnRetry<C, F> {
    #[inline]
    fn verdict(&self, error: &E) -> Verdict {
        self.classifier.verdict(error)
    }

    fn retrying(&self, retry: &Retrying<'_, E>) {
        self.classifier.retrying(retry);
        (self.observer)(retry);
    }

    fn gave_up(&self, error: &RetryError<E>) {
        self.classifier.gave_up(error);
    }
}

/// A classifier and an observer of calls that fail: see [`RetryPolicy::on_give_up`](crate::RetryPolicy::on_give_up).
#[derive(Clone, Copy, Debug)]
pub struct OnGiveUp<C, F> {
    pub(super) classifier: C,
    pub(super) observer: F,
}

impl<E, C: Classifier<E>, F: Fn(&RetryError<E>)> Classifier<E> for OnGiveUp<C, F> {
    #[inline]
    fn verdict(&self, error: &E) -> Verdict {
        self.classifier.verdict(error)
    }

    fn retrying(&self, retry: &Retrying<'_, E>) {
        self.classifier.retrying(retry);
    }

    fn gave_up(&self, error: &RetryError<E>) {
        self.classifier.gave_up(error);
        (self.observer)(error);
    }
}
