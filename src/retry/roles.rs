//! [`Load`] and [`Store`]: what a change is made of, as names for closures.

use std::future::Future;

use super::attempt::Attempt;

/// Reads a value and its version, in a task. Every closure is one that takes the [`Attempt`] and returns a future of a
/// `Result`.
///
/// See [`retry_on_conflict`](crate::RetryPolicy::retry_on_conflict).
pub trait Load:
    FnMut(Attempt) -> Self::Future + AsyncFnMut(Attempt) -> Result<Self::Value, Self::Error>
{
    /// What is loaded.
    type Value;
    /// Why it can't be loaded.
    type Error;
    /// The future of one load.
    type Future: Future<Output = Result<Self::Value, Self::Error>>;
}

impl<F, R, V, E> Load for F
where
    F: FnMut(Attempt) -> R + AsyncFnMut(Attempt) -> Result<V, E>,
    R: Future<Output = Result<V, E>>,
{
    type Value = V;
    type Error = E;
    type Future = R;
}

/// Stores a changed value `W` if the version is still the one that was loaded, in a task. Every closure is one that
/// takes the value and returns a future of a `Result`.
///
/// See [`retry_on_conflict`](crate::RetryPolicy::retry_on_conflict).
pub trait Store<W>: FnMut(W) -> Self::Future + AsyncFnMut(W) -> Result<Self::Value, Self::Error> {
    /// What a store returns.
    type Value;
    /// Why nothing was stored: a conflict, or another error.
    type Error;
    /// The future of one store.
    type Future: Future<Output = Result<Self::Value, Self::Error>>;
}

impl<F, W, R, T, E> Store<W> for F
where
    F: FnMut(W) -> R + AsyncFnMut(W) -> Result<T, E>,
    R: Future<Output = Result<T, E>>,
{
    type Value = T;
    type Error = E;
    type Future = R;
}
