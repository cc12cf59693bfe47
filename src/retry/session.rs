//! [`Session`]: one call and its attempts. This is the one place that decides; `run` and the others
//! only make the attempts and wait.

use std::fmt;
use std::ops::ControlFlow::{self, Break, Continue};
use std::time::{Duration, Instant};

use super::backoff::Backoff;
use super::classify::Classifier;
use super::error::{RetryError, StopReason};
use super::observe::{Retrying, report};
use super::policy::RetryPolicy;
use crate::verdict::Verdict;

/// Which attempt it is.
///
/// # Examples
///
/// ```
/// let policy = latchwork::RetryPolicy::new().max_attempts(1);
/// let attempt = policy.session().attempt();
/// assert_eq!((attempt.number(), attempt.is_first(), attempt.is_last()), (1, true, true));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Attempt {
    number: u32,
    conflicts: u32,
    is_last: bool,
}

impl Attempt {
    /// Its number; the first call is 1.
    ///
    /// # Examples
    ///
    /// ```
    /// assert_eq!(latchwork::RetryPolicy::new().session().attempt().number(), 1);
    /// ```
    #[must_use]
    pub const fn number(self) -> u32 {
        self.number
    }

    /// Whether it is the first call.
    ///
    /// # Examples
    ///
    /// ```
    /// assert!(latchwork::RetryPolicy::new().session().attempt().is_first());
    /// ```
    #[must_use]
    pub const fn is_first(self) -> bool {
        self.number == 1
    }

    /// Whether no further one is allowed.
    ///
    /// # Examples
    ///
    /// ```
    /// assert!(!latchwork::RetryPolicy::new().session().attempt().is_last());
    /// ```
    #[must_use]
    pub const fn is_last(self) -> bool {
        self.is_last
    }

    /// How many attempts before it ended in a [conflict](crate::verdict::RetryKind::is_conflict).
    ///
    /// # Examples
    ///
    /// ```
    /// assert_eq!(latchwork::RetryPolicy::new().session().attempt().conflicts(), 0);
    /// ```
    #[must_use]
    pub const fn conflicts(self) -> u32 {
        self.conflicts
    }
}

/// One call whose attempts the caller makes, in a loop of its own: for a state that is borrowed
/// mutably, or code that no closure can hold.
///
/// # Cancel safety
///
/// It may be dropped at any point, also in the middle of [`settle`](Self::settle): it counts as
/// abandoned, and the tokens of a retry that had not begun go back to the budget.
///
/// # Examples
///
/// ```
/// use std::ops::ControlFlow::Break;
/// use latchwork::{Busy, RetryPolicy, retry::RetryError};
///
/// # struct Connection(u32);
/// async fn save(connection: &mut Connection) -> Result<u32, Busy> {
///     connection.0 += 1;
///     Ok(connection.0)
/// }
///
/// async fn save_with_retries(connection: &mut Connection) -> Result<u32, RetryError<Busy>> {
///     let policy = RetryPolicy::new();
///     let mut session = policy.session();
///     loop {
///         let result = save(connection).await;
///         if let Break(out) = session.settle(result).await {
///             return out;
///         }
///     }
/// }
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// assert_eq!(save_with_retries(&mut Connection(6)).await, Ok(7));
/// # });
/// # Ok::<(), std::io::Error>(())
/// ```
#[must_use = "a session that is dropped counts as abandoned"]
pub struct Session<'p, C> {
    policy: &'p RetryPolicy<C>,
    /// The attempt under way, or the one that is waited for.
    attempt: u32,
    conflicts: u32,
    phase: Phase,
    /// What the budget was paid for the attempt.
    paid: u32,
    slept: Duration,
    /// When the call began, if there is a deadline.
    started: Option<Instant>,
    /// Made for the first retry.
    waits: Option<Backoff>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Phase {
    Attempting,
    Waiting,
    Settled,
}

impl<'p, C> Session<'p, C> {
    /// A call whose first attempt has not begun.
    #[inline]
    pub(super) fn new(policy: &'p RetryPolicy<C>) -> Self {
        Self {
            policy,
            attempt: 1,
            conflicts: 0,
            phase: Phase::Waiting,
            paid: 0,
            slept: Duration::ZERO,
            started: policy.deadline.map(|_| policy.clock_in_use().now()),
            waits: None,
        }
    }

    /// The attempt to be made now.
    ///
    /// # Examples
    ///
    /// ```
    /// assert!(latchwork::RetryPolicy::new().session().attempt().is_first());
    /// ```
    #[must_use]
    #[inline]
    pub fn attempt(&self) -> Attempt {
        let is_last = self.attempt >= self.policy.max_attempts;
        Attempt { number: self.attempt, conflicts: self.conflicts, is_last }
    }

    /// Takes the attempt's result: breaks with what the call comes to, or waits, and continues when the
    /// next attempt is to be made.
    ///
    /// # Errors
    ///
    /// Breaks with a [`RetryError`] when the policy gives up.
    ///
    /// # Panics
    ///
    /// When the call is over already; and when it can't wait, as [`RetryPolicy::run`] says.
    ///
    /// # Cancel safety
    ///
    /// It may be dropped while it waits; drop the session then, too.
    #[inline]
    pub async fn settle<T, E>(&mut self, result: Result<T, E>) -> ControlFlow<Result<T, RetryError<E>>>
    where
        C: Classifier<E>,
    {
        self.report_misuse();
        match result {
            Ok(value) => {
                self.succeed();
                Break(Ok(value))
            }
            Err(error) => match self.fail(error) {
                Ok(wait) => {
                    self.wait(wait).await;
                    self.begin();
                    Continue(())
                }
                Err(error) => Break(Err(error)),
            },
        }
    }

    /// As [`settle`](Self::settle), waiting on this thread.
    ///
    /// # Errors
    ///
    /// Breaks with a [`RetryError`] when the policy gives up.
    ///
    /// # Panics
    ///
    /// When the call is over already; and when it can't wait, as [`RetryPolicy::run_blocking`] says.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::ops::ControlFlow::{Break, Continue};
    /// use latchwork::{Busy, RetryPolicy};
    ///
    /// let policy = RetryPolicy::new();
    /// assert_eq!(policy.session().settle_blocking(Ok::<_, Busy>(7)), Break(Ok(7)));
    /// ```
    #[inline]
    pub fn settle_blocking<T, E>(&mut self, result: Result<T, E>) -> ControlFlow<Result<T, RetryError<E>>>
    where
        C: Classifier<E>,
    {
        self.report_misuse();
        match result {
            Ok(value) => {
                self.succeed();
                Break(Ok(value))
            }
            Err(error) => match self.fail(error) {
                Ok(wait) => {
                    self.wait_blocking(wait);
                    self.begin();
                    Continue(())
                }
                Err(error) => Break(Err(error)),
            },
        }
    }

    fn report_misuse(&self) {
        assert!(self.phase != Phase::Settled, "this call is over: begin another session");
    }

    /// The attempt succeeded: the call is over.
    #[inline]
    pub(super) fn succeed(&mut self) {
        self.phase = Phase::Settled;
        if let Some(budget) = &self.policy.budget {
            if self.attempt == 1 {
                budget.earn();
            } else {
                budget.put(self.paid);
            }
        }
        if let Some(stats) = &self.policy.stats {
            stats.ok(self.attempt, self.conflicts);
        }
    }

    /// The attempt failed: says how long to wait for the next one, or that there is none.
    #[cold]
    pub(super) fn fail<E>(&mut self, error: E) -> Result<Duration, RetryError<E>>
    where
        C: Classifier<E>,
    {
        match self.decide(&error) {
            Ok(wait) => Ok(wait),
            Err(reason) => Err(self.give_up(error, reason)),
        }
    }

    /// Waits in a task for the time of the next attempt.
    pub(super) async fn wait(&self, wait: Duration) {
        if !wait.is_zero() {
            self.policy.clock_in_use().sleep(wait).await;
        }
    }

    /// Waits on this thread for the time of the next attempt.
    pub(super) fn wait_blocking(&self, wait: Duration) {
        if !wait.is_zero() {
            self.policy.clock_in_use().sleep_blocking(wait);
        }
    }

    /// The attempt begins: what was paid for it is spent, unless it succeeds.
    #[inline]
    pub(super) fn begin(&mut self) {
        self.phase = Phase::Attempting;
    }

    fn decide<E>(&mut self, error: &E) -> Result<Duration, StopReason>
    where
        C: Classifier<E>,
    {
        let policy = self.policy;
        // User code, here and in the observer: it may panic, and the session is as good as dropped then.
        let (kind, least) = match policy.classifier.verdict(error) {
            Verdict::Stop => return Err(StopReason::NotRetryable),
            Verdict::Retry(kind) => (kind, Duration::ZERO),
            Verdict::RetryAfter(kind, least) => (kind, least),
        };
        if let Some(stats) = &policy.stats {
            stats.error(kind);
        }
        if kind.is_conflict() {
            self.conflicts = self.conflicts.saturating_add(1);
        }
        if !policy.retries(kind) {
            return Err(StopReason::NotRetryable);
        }
        if self.attempt >= policy.max_attempts {
            return Err(StopReason::AttemptsExhausted);
        }
        let waits = self.waits.get_or_insert_with(|| policy.waits());
        let wait = waits.next().unwrap_or_default().max(least);
        if let (Some(deadline), Some(started)) = (policy.deadline, self.started) {
            // The waits count even if they were made by another clock, as on threads while tokio's is paused.
            let elapsed = policy.clock_in_use().now().saturating_duration_since(started).max(self.slept);
            let left = deadline.saturating_sub(elapsed);
            if elapsed > deadline || wait > left {
                return Err(StopReason::DeadlineExceeded { wait, left });
            }
        }
        self.paid = match &policy.budget {
            None => 0,
            Some(budget) => budget.pay(kind).ok_or(StopReason::BudgetExhausted)?,
        };
        self.phase = Phase::Waiting;
        let failed = self.attempt;
        self.attempt += 1;
        self.slept = self.slept.saturating_add(wait);
        report(policy.observer(), &Retrying { name: policy.name, attempt: failed, kind, wait });
        Ok(wait)
    }

    fn give_up<E>(&mut self, error: E, reason: StopReason) -> RetryError<E> {
        self.phase = Phase::Settled;
        if let Some(stats) = &self.policy.stats {
            stats.failed(self.attempt, self.conflicts, reason);
        }
        RetryError {
            error,
            reason,
            attempts: self.attempt,
            conflicts: self.conflicts,
            slept: self.slept,
            name: self.policy.name,
        }
    }

    #[cold]
    fn abandon(&mut self) {
        let mut attempts = self.attempt;
        if self.phase == Phase::Waiting {
            attempts -= 1;
            if let Some(budget) = &self.policy.budget {
                budget.put(self.paid);
            }
        }
        if let Some(stats) = &self.policy.stats {
            stats.abandoned(attempts, self.conflicts);
        }
    }
}

impl<C> Drop for Session<'_, C> {
    #[inline]
    fn drop(&mut self) {
        if self.phase != Phase::Settled {
            self.abandon();
        }
    }
}

impl<C> fmt::Debug for Session<'_, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("policy", &self.policy.name)
            .field("attempt", &self.attempt)
            .field("phase", &self.phase)
            .finish_non_exhaustive()
    }
}
