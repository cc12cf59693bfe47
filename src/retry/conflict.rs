//! [`RetryOnConflict`]: load, apply, store if unchanged, and all of it again after a conflict.

use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::ops::ControlFlow::{Break, Continue};
use std::time::Duration;

use super::attempt::Attempt;
use super::classify::Classifier;
use super::error::RetryError;
use super::lock::{self, AttemptLock};
use super::policy::RetryPolicy;
use super::roles::{Load, Store};
use super::session::Session;
use crate::provider::{AnyLocks, LockProvider};
use crate::verdict::RetryKind;

impl<C> RetryPolicy<C> {
    /// Creates a change: it loads a value, applies a change to it, and stores the result unless the value has changed
    /// meanwhile. After a conflict all three steps run again. Nothing happens until [`run`](RetryOnConflict::run).
    ///
    /// - `load(attempt)` reads the value and its version. It runs once for each attempt. If it reads through a cache, it must
    ///   go past it after a conflict ([`attempt.conflicts()`](Attempt::conflicts)). Otherwise each attempt may load the same
    ///   stale value.
    /// - `apply(loaded)` makes what will be stored, or refuses. It gets the loaded value itself. No later attempt can
    ///   use that value again, so no attempt stores what was made of a stale one.
    /// - `store(changed)` writes, on condition that the version is still the one that was loaded. If it is not, its
    ///   error classifies as [`VersionConflict`](crate::verdict::RetryKind::VersionConflict).
    ///
    /// The errors of all three are classified in the same way. An error that may pass is retried.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::sync::Arc;
    /// use latchwork::{KeyedLock, RetryPolicy, Versioned};
    ///
    /// # latchwork::__example!(async {
    /// let (row, locks) = (Versioned::new(41), Arc::new(KeyedLock::<&str>::new()));
    /// let policy = RetryPolicy::new();
    /// let change = policy.retry_on_conflict(
    ///     async |_attempt| Ok(row.snapshot()),
    ///     |loaded| Ok((loaded.stamp(), *loaded + 1)),
    ///     async |(stamp, number)| row.compare_and_set(stamp, number),
    /// );
    /// let stored = change.escalate_after(2, &locks, "row").run().await?;
    /// assert_eq!(*stored, 42);
    /// # });
    /// ```
    pub fn retry_on_conflict<L, A, S, W>(
        &self,
        load: L,
        apply: A,
        store: S,
    ) -> RetryOnConflict<'_, C, L, A, S>
    where
        L: Load,
        A: FnMut(L::Value) -> Result<W, L::Error>,
        S: Store<W, Error = L::Error>,
    {
        RetryOnConflict { policy: self, load, apply, store, lock: None, lock_timeout: None }
    }

    /// Creates a change as [`retry_on_conflict`](Self::retry_on_conflict) does, of functions that block.
    ///
    /// Nothing happens until [`run_blocking`](RetryOnConflict::run_blocking).
    ///
    /// # Examples
    ///
    /// ```
    /// use latchwork::{RetryPolicy, Versioned};
    ///
    /// let (row, policy) = (Versioned::new(41), RetryPolicy::new());
    /// let change = policy.retry_on_conflict_blocking(
    ///     |_attempt| Ok(row.snapshot()),
    ///     |loaded| Ok((loaded.stamp(), *loaded + 1)),
    ///     |(stamp, number)| row.compare_and_set(stamp, number),
    /// );
    /// assert!(change.run_blocking().is_ok_and(|stored| *stored == 42));
    /// ```
    pub fn retry_on_conflict_blocking<V, W, T, E, L, A, S>(
        &self,
        load: L,
        apply: A,
        store: S,
    ) -> RetryOnConflict<'_, C, L, A, S>
    where
        L: FnMut(Attempt) -> Result<V, E>,
        A: FnMut(V) -> Result<W, E>,
        S: FnMut(W) -> Result<T, E>,
    {
        RetryOnConflict { policy: self, load, apply, store, lock: None, lock_timeout: None }
    }
}

/// A change that is made again after a conflict: see [`RetryPolicy::retry_on_conflict`].
///
/// `L`, `A` and `S` are the functions that load, apply and store. `P` and `K` are the lock provider and the key of an
/// [escalation](Self::escalate_after). Their defaults stand for a change without one: there is no key.
#[must_use = "nothing is done until it is run"]
pub struct RetryOnConflict<'p, C, L, A, S, P = AnyLocks<Infallible>, K = Infallible> {
    policy: &'p RetryPolicy<C>,
    load: L,
    apply: A,
    store: S,
    lock: Option<AttemptLock<'p, P, K>>,
    lock_timeout: Option<Duration>,
}

impl<'p, C, L, A, S, P, K> RetryOnConflict<'p, C, L, A, S, P, K> {
    /// Sets the lock of the attempts, and the number of conflicts after which an attempt holds `key` exclusively.
    ///
    /// Attempts before that share the key if the [provider](LockProvider::can_share) can share keys. With one that
    /// can't, they are made without a lock. With 0, every attempt holds the key exclusively.
    ///
    /// An escalated attempt can't lose against an attempt that holds the same key. It can lose against a
    /// writer that holds no lock, and then retries until its attempts are used up.
    ///
    /// By default an attempt waits for its key without a limit: see [`lock_timeout`](Self::lock_timeout). The policy's
    /// deadline does not limit this wait, but the time counts.
    ///
    /// # Attempts without their lock
    ///
    /// The condition of the store protects the data; the lock only helps attempts to get through. If the lock can't
    /// be acquired (the time runs out, the queue is full, the provider is unavailable), the attempt is made without
    /// it. If the lock is lost during an attempt, the attempt is not interrupted, and the loss is reported after it.
    /// Each such attempt is counted in [`RetryCounts::without_lock`](super::RetryCounts::without_lock), and
    /// [`on_without_lock`](RetryPolicy::on_without_lock) is called.
    ///
    /// # Panics
    ///
    /// Panics if no attempt can come after that many conflicts: `conflicts` must be less than the policy's
    /// [`max_attempts`](RetryPolicy::max_attempts). If it is not 0, the policy must retry a kind of
    /// [conflict](RetryKind::is_conflict). How many waits an own [`schedule`](RetryPolicy::schedule) has is not known before,
    /// so one that ends earlier is not refused.
    ///
    /// # Deadlock
    ///
    /// The key is held from before `load` until after `store`, and not while the call waits for the next attempt. A
    /// `load` or `store` that locks the same key waits for ever, and so does a caller that holds it already.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::{sync::Arc, time::Duration};
    /// use latchwork::{KeyedLock, RetryPolicy, Versioned, retry::RetryStats};
    ///
    /// # latchwork::__example!(async {
    /// static STATS: RetryStats = RetryStats::new();
    /// let (stock, locks) = (Versioned::new(3), Arc::new(KeyedLock::<u32>::new()));
    /// let policy = RetryPolicy::new().stats(&STATS);
    /// let _in_the_way = locks.lock(7).await;
    /// let sell = policy.retry_on_conflict(
    ///     async |_| Ok(stock.snapshot()),
    ///     |left| Ok((left.stamp(), *left - 1)),
    ///     async |(stamp, left)| stock.compare_and_set(stamp, left),
    /// );
    /// let sold = sell.escalate_after(0, &locks, 7).lock_timeout(Duration::from_secs(1)).run().await;
    /// assert!(sold.is_ok_and(|left| *left == 2)); // Made without the lock, and counted.
    /// assert_eq!(STATS.counts().lock_timed_out, 1);
    /// # });
    /// ```
    #[track_caller]
    pub fn escalate_after<Q: LockProvider<J>, J: Clone>(
        self,
        conflicts: u32,
        locks: &'p Q,
        key: J,
    ) -> RetryOnConflict<'p, C, L, A, S, Q, J> {
        let Self { policy, load, apply, store, lock: _, lock_timeout } = self;
        assert!(
            conflicts < policy.max_attempts,
            "no attempt comes after {conflicts} conflicts: the policy makes {} at most",
            policy.max_attempts
        );
        assert!(
            conflicts == 0 || RetryKind::ALL.iter().any(|kind| kind.is_conflict() && policy.retries(*kind)),
            "no attempt comes after {conflicts} conflicts: the policy retries no kind of conflict"
        );
        let lock = Some(AttemptLock { locks, key, after: conflicts });
        RetryOnConflict { policy, load, apply, store, lock, lock_timeout }
    }

    /// Sets how long each attempt waits for its lock before it is made without it. A zero limit looks once.
    ///
    /// In a task the policy's [`clock`](RetryPolicy::clock) counts, on a thread real time. Without
    /// [`escalate_after`](Self::escalate_after) there is no lock, and nothing to wait for.
    pub fn lock_timeout(mut self, timeout: Duration) -> Self {
        self.lock_timeout = Some(timeout);
        self
    }
}

impl<C, L, A, S, P: LockProvider<K>, K: Clone> RetryOnConflict<'_, C, L, A, S, P, K> {
    /// Makes attempts in a task until one is stored or the policy gives up. Returns what `store` returned.
    ///
    /// # Errors
    ///
    /// Returns a [`RetryError`] with the error of `load`, `apply` or `store`, and why there was no further attempt.
    ///
    /// # Panics
    ///
    /// Panics where [`RetryPolicy::run`] does.
    ///
    /// # Cancel safety
    ///
    /// It can be dropped at any point: no further call is made and no key stays locked. The tokens of a retry that
    /// had not begun return to the budget; a retry that waits for its lock has not begun. Whether a `store` under way
    /// takes effect depends on the store.
    pub async fn run<V, W, T, E, Loading, Storing>(self) -> Result<T, RetryError<E>>
    where
        L: FnMut(Attempt) -> Loading,
        Loading: Future<Output = Result<V, E>>,
        A: FnMut(V) -> Result<W, E>,
        S: FnMut(W) -> Storing,
        Storing: Future<Output = Result<T, E>>,
        C: Classifier<E>,
    {
        let Self { policy, mut load, mut apply, mut store, lock, lock_timeout } = self;
        policy.report_misuse();
        let mut session = Session::new(policy);
        loop {
            let held = match lock.as_ref().map_or(Break(None), |lock| lock.enter(lock_timeout, &session)) {
                Break(held) => held,
                Continue(wait) => lock::answered(wait.await, &session),
            };
            session.start();
            let number = session.attempt();
            let attempt = async {
                let loaded = load(number).await?;
                let changed = apply(loaded)?;
                store(changed).await
            };
            let result = attempt.await;
            // Nothing is held while it waits.
            lock::leave(held, &session);
            // As in `RetryPolicy::run`.
            match result {
                Ok(stored) => {
                    session.succeed();
                    return Ok(stored);
                }
                Err(error) => {
                    let wait = session.fail(error)?;
                    session.wait(wait).await;
                }
            }
        }
    }

    /// Makes attempts on this thread until one is stored or the policy gives up. Returns what `store` returned.
    ///
    /// # Errors
    ///
    /// Returns a [`RetryError`] with the error of `load`, `apply` or `store`, and why there was no further attempt.
    ///
    /// # Panics
    ///
    /// Panics if it has to wait inside a task of a current-thread runtime or a `LocalSet`. With a lock, debug builds
    /// panic there even if the key is free.
    pub fn run_blocking<V, W, T, E>(self) -> Result<T, RetryError<E>>
    where
        L: FnMut(Attempt) -> Result<V, E>,
        A: FnMut(V) -> Result<W, E>,
        S: FnMut(W) -> Result<T, E>,
        C: Classifier<E>,
    {
        let Self { policy, mut load, mut apply, mut store, lock, lock_timeout } = self;
        let mut session = Session::new(policy);
        loop {
            let held = lock.as_ref().and_then(|lock| lock.enter_blocking(lock_timeout, &session));
            session.start();
            let result = load(session.attempt()).and_then(&mut apply).and_then(&mut store);
            // Nothing is held while it waits.
            lock::leave(held, &session);
            match session.judge(result) {
                Break(out) => return out,
                Continue(wait) => session.wait_blocking(wait),
            }
        }
    }
}

impl<C, L, A, S, P, K> fmt::Debug for RetryOnConflict<'_, C, L, A, S, P, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RetryOnConflict")
            .field("policy", self.policy)
            .field("lock", &self.lock)
            .field("lock_timeout", &self.lock_timeout)
            .finish_non_exhaustive()
    }
}
