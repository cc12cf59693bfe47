//! [`RetryOnConflict`]: read, change, store if nobody else did; and again from the start if somebody did.

use std::fmt;
use std::future::Future;

use super::classify::Classifier;
use super::error::RetryError;
use super::gate::{Entrance, Gate, Gated, Ungated};
use super::policy::RetryPolicy;
use super::session::Session;

impl<C> RetryPolicy<C> {
    /// Loads a value, applies a change to it, and stores the result unless the value has changed
    /// meanwhile; if it has, all of it is made again. What is set up here does nothing until
    /// [`run`](RetryOnConflict::run).
    ///
    /// - `load()` reads the value and its version. It runs once for each attempt.
    /// - `apply(loaded)` makes what is to be stored of it, or refuses. It gets the loaded value itself: none is
    ///   left over for an attempt to come, so no attempt can store what was made of a stale one.
    /// - `store(changed)` writes, on condition that the version is still the one that was loaded. Its
    ///   error classifies as [`VersionConflict`](crate::verdict::RetryKind::VersionConflict) if it is not.
    ///
    /// Errors of all three are classified in the same way, and those that pass are retried.
    ///
    /// # Examples
    ///
    /// ```
    /// use latchwork::{KeyedLock, RetryPolicy, Versioned};
    ///
    /// # tokio::runtime::Builder::new_current_thread().enable_time().build()?.block_on(async {
    /// let (row, locks) = (Versioned::new(41), KeyedLock::<&str>::new());
    /// let policy = RetryPolicy::new();
    /// let change = policy.retry_on_conflict(
    ///     async || Ok(row.snapshot()),
    ///     |loaded| Ok((loaded.stamp(), *loaded + 1)),
    ///     async |(stamp, number)| row.compare_and_set(stamp, number),
    /// );
    /// let stored = change.escalate_after(2, &locks, "row").run().await?;
    /// assert_eq!(*stored, 42);
    /// # Ok::<(), latchwork::retry::RetryError<latchwork::versioned::WriteError<i32>>>(())
    /// # }).expect("nobody else writes");
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn retry_on_conflict<V, W, T, E, L, LoadFut, A, S, StoreFut>(
        &self,
        load: L,
        apply: A,
        store: S,
    ) -> RetryOnConflict<'_, C, L, A, S>
    where
        L: FnMut() -> LoadFut,
        LoadFut: Future<Output = Result<V, E>>,
        A: FnMut(V) -> Result<W, E>,
        S: FnMut(W) -> StoreFut,
        StoreFut: Future<Output = Result<T, E>>,
        C: Classifier<E>,
    {
        RetryOnConflict { policy: self, load, apply, store, entrance: Ungated }
    }
}

/// A change that is made again when somebody else was faster: see [`RetryPolicy::retry_on_conflict`].
#[must_use = "nothing is done until it is run"]
pub struct RetryOnConflict<'p, C, L, A, S, N = Ungated> {
    policy: &'p RetryPolicy<C>,
    load: L,
    apply: A,
    store: S,
    entrance: N,
}

impl<'p, C, L, A, S> RetryOnConflict<'p, C, L, A, S> {
    /// After so many conflicts makes its attempts alone with `key`.
    ///
    /// Each attempt goes through the gate: together with others at first, alone after `conflicts` of its own.
    /// So an escalated attempt can't lose against any that goes through the same gate with the same key, in
    /// this process; against a writer that does not it can, and gives up when its attempts are used up. With 0,
    /// every attempt is made alone. How long it waits for the key is not limited by the policy's deadline.
    ///
    /// # Deadlock
    ///
    /// The key is held from before `load` until after `store`, and never while it waits for
    /// the next attempt. Whoever holds it already, or takes it inside `load` or `store`, waits for ever.
    ///
    /// # Examples
    ///
    /// ```
    /// use latchwork::{KeyedLock, RetryPolicy, Versioned};
    ///
    /// # tokio::runtime::Builder::new_current_thread().enable_time().build()?.block_on(async {
    /// let (stock, locks, policy) = (Versioned::new(3), KeyedLock::<u32>::new(), RetryPolicy::new());
    /// let sell = policy.retry_on_conflict(
    ///     async || Ok(stock.snapshot()),
    ///     |left| Ok((left.stamp(), *left - 1)),
    ///     async |(stamp, left)| stock.compare_and_set(stamp, left),
    /// );
    /// assert!(sell.escalate_after(0, &locks, 7).run().await.is_ok_and(|left| *left == 2));
    /// # });
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn escalate_after<G: Gate<Q>, Q: Clone>(
        self,
        conflicts: u32,
        gate: &G,
        key: Q,
    ) -> RetryOnConflict<'p, C, L, A, S, Gated<'_, G, Q>> {
        let Self { policy, load, apply, store, entrance: Ungated } = self;
        RetryOnConflict { policy, load, apply, store, entrance: Gated { gate, key, after: conflicts } }
    }
}

impl<C, L, A, S, N: Entrance> RetryOnConflict<'_, C, L, A, S, N> {
    /// Makes attempts until one is stored or the policy gives up. Returns what `store` returned.
    ///
    /// # Errors
    ///
    /// [`RetryError`], with the error of `load`, `apply` or `store` and why there was no further attempt.
    ///
    /// # Panics
    ///
    /// As [`RetryPolicy::run`].
    ///
    /// # Cancel safety
    ///
    /// It may be dropped at any point: no further call is made, no key stays locked, and the tokens of a retry
    /// that had not begun, at the gate for one, go back to the budget. Whether a `store` under way is done is
    /// the store's affair.
    pub async fn run<V, W, T, E, LoadFut, StoreFut>(self) -> Result<T, RetryError<E>>
    where
        L: FnMut() -> LoadFut,
        LoadFut: Future<Output = Result<V, E>>,
        A: FnMut(V) -> Result<W, E>,
        S: FnMut(W) -> StoreFut,
        StoreFut: Future<Output = Result<T, E>>,
        C: Classifier<E>,
    {
        let Self { policy, mut load, mut apply, mut store, entrance } = self;
        policy.report_misuse();
        let mut session = Session::new(policy);
        loop {
            let inside = entrance.enter(session.attempt().conflicts()).await;
            session.begin();
            let attempt = async {
                let loaded = load().await?;
                let changed = apply(loaded)?;
                store(changed).await
            };
            match attempt.await {
                Ok(stored) => {
                    session.succeed();
                    return Ok(stored);
                }
                Err(error) => {
                    // Nothing is held while it waits.
                    drop(inside);
                    let wait = session.fail(error)?;
                    session.wait(wait).await;
                }
            }
        }
    }
}

impl<C, L, A, S, N: fmt::Debug> fmt::Debug for RetryOnConflict<'_, C, L, A, S, N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RetryOnConflict")
            .field("policy", self.policy)
            .field("entrance", &self.entrance)
            .finish_non_exhaustive()
    }
}
