//! [`Session`]: one call and its attempts. It decides by the rules in [`decide`](super::decide), without waiting. `run` and
//! the other ways to call make the attempts and wait.

use std::fmt;
use std::future::poll_fn;
use std::ops::ControlFlow::{self, Break, Continue};
use std::task::Poll;
use std::time::{Duration, Instant};

use super::attempt::Attempt;
use super::classify::Classifier;
use super::clock::Clock;
use super::error::RetryError;
use super::observe::{WithoutLock, report_without_lock};
use super::policy::RetryPolicy;
use super::schedule::Waits;
use crate::provider::LockError;
use crate::wait;

/// One call whose attempts the caller makes, in its own loop: for state that is borrowed mutably, or code that
/// does not fit into a closure.
///
/// [`settle`](Self::settle) decides and waits in a task, [`settle_blocking`](Self::settle_blocking) on a thread.
/// [`judge`](Self::judge) only decides: the caller waits in its own way.
///
/// # Cancel safety
///
/// It can be dropped at any point, also in the middle of [`settle`](Self::settle). The call counts as
/// abandoned, and the tokens of a retry that had not begun return to the budget.
///
/// # Examples
///
/// ```
/// use std::ops::ControlFlow::{Break, Continue};
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
/// # latchwork::__example!(async {
/// assert_eq!(save_with_retries(&mut Connection(6)).await, Ok(7));
/// # });
/// ```
#[must_use = "a session that is dropped counts as abandoned"]
pub struct Session<'p, C> {
    pub(super) policy: &'p RetryPolicy<C>,
    /// The attempt under way, or the next one during a wait.
    pub(super) attempt: u32,
    pub(super) conflicts: u32,
    pub(super) phase: Phase,
    /// The price that the budget was paid for the attempt.
    pub(super) paid: u32,
    pub(super) slept: Duration,
    /// The time at which the call began, if there is a deadline.
    pub(super) started: Option<Instant>,
    /// The wait that the last error asked for.
    pub(super) hint: Option<Duration>,
    /// Created for the first retry.
    pub(super) waits: Option<Waits>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Phase {
    Attempting,
    Waiting,
    Settled,
}

impl<'p, C> Session<'p, C> {
    /// Creates a call whose first attempt has not begun.
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
            hint: None,
            waits: None,
        }
    }

    /// Returns the attempt under way, or the next one during a wait.
    #[must_use]
    #[inline]
    pub fn attempt(&self) -> Attempt {
        let is_last = self.attempt >= self.policy.max_attempts;
        Attempt { number: self.attempt, conflicts: self.conflicts, is_last }
    }

    /// Judges the attempt's result, without waiting.
    ///
    /// Breaks with the result of the call, or continues with the time to wait. After that time call
    /// [`begin`](Self::begin), and make the next attempt.
    ///
    /// # Errors
    ///
    /// Breaks with a [`RetryError`] if the policy gives up.
    ///
    /// # Panics
    ///
    /// Panics if the call is over already. Debug builds also panic if the attempt has not begun: after
    /// [`Continue`](ControlFlow::Continue) without [`begin`](Self::begin), or after a [`settle`](Self::settle) that was
    /// dropped while it waited.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::{ops::ControlFlow::{Break, Continue}, time::Duration};
    /// use latchwork::{RetryPolicy, retry::Jitter, verdict::{RetryKind, Verdict}};
    ///
    /// let policy = RetryPolicy::new().jitter(Jitter::None);
    /// let policy = policy.classify_with(|_: &()| Verdict::Retry(RetryKind::Transient));
    /// let mut session = policy.session();
    /// assert_eq!(session.judge(Err::<u8, _>(())), Continue(Duration::from_millis(100)));
    /// session.begin(); // After a wait by an event loop of your own.
    /// assert_eq!(session.judge(Ok(7)), Break(Ok(7)));
    /// ```
    #[inline]
    pub fn judge<T, E>(&mut self, result: Result<T, E>) -> ControlFlow<Result<T, RetryError<E>>, Duration>
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
                Ok(wait) => Continue(wait),
                Err(error) => Break(Err(error)),
            },
        }
    }

    /// Begins the next attempt, after the wait that [`judge`](Self::judge) asked for.
    ///
    /// From here on the price of the retry is spent, unless the attempt succeeds. A session that is dropped before
    /// gives it back. Has no effect during an attempt.
    #[inline]
    pub fn begin(&mut self) {
        if self.phase == Phase::Waiting {
            self.start();
        }
    }

    /// Judges the attempt's result, and waits in a task for the next attempt. Breaks with the result of the call, or
    /// continues when it is time to make the next attempt.
    ///
    /// # Errors
    ///
    /// Breaks with a [`RetryError`] if the policy gives up.
    ///
    /// # Panics
    ///
    /// Panics where [`judge`](Self::judge) does, and if it can't wait: see [`RetryPolicy::run`].
    ///
    /// # Cancel safety
    ///
    /// It can be dropped while it waits. Drop the session too in that case, or call [`begin`](Self::begin) to make the
    /// next attempt at once.
    #[inline]
    pub async fn settle<T, E>(&mut self, result: Result<T, E>) -> ControlFlow<Result<T, RetryError<E>>>
    where
        C: Classifier<E>,
    {
        match self.judge(result) {
            Break(out) => Break(out),
            Continue(wait) => {
                self.wait(wait).await;
                self.start();
                Continue(())
            }
        }
    }

    /// Judges the attempt's result, and waits on this thread for the next attempt: see [`settle`](Self::settle).
    ///
    /// # Errors
    ///
    /// Breaks with a [`RetryError`] if the policy gives up.
    ///
    /// # Panics
    ///
    /// Panics where [`judge`](Self::judge) does, and if it can't wait: see [`RetryPolicy::run_blocking`].
    #[inline]
    pub fn settle_blocking<T, E>(&mut self, result: Result<T, E>) -> ControlFlow<Result<T, RetryError<E>>>
    where
        C: Classifier<E>,
    {
        match self.judge(result) {
            Break(out) => Break(out),
            Continue(wait) => {
                self.wait_blocking(wait);
                self.start();
                Continue(())
            }
        }
    }

    /// Begins the attempt of a call that goes on.
    #[inline]
    pub(super) fn start(&mut self) {
        self.phase = Phase::Attempting;
    }

    fn report_misuse(&self) {
        assert!(self.phase != Phase::Settled, "this call is over: begin another session");
        debug_assert!(
            self.phase != Phase::Waiting,
            "this attempt has not begun: call Session::begin after the wait, also after one that was dropped"
        );
    }

    /// Waits in a task. Without a delay it lets other tasks run: attempts that never wait would keep the task's thread,
    /// and a timeout around them would never fire.
    pub(super) async fn wait(&self, wait: Duration) {
        if wait.is_zero() {
            let mut has_yielded = false;
            poll_fn(|cx| {
                if std::mem::replace(&mut has_yielded, true) {
                    return Poll::Ready(());
                }
                cx.waker().wake_by_ref();
                Poll::Pending
            })
            .await;
        } else {
            self.clock().sleep(wait).await;
        }
    }

    /// Waits on this thread. Without a delay it lets other threads and tasks run, as [`wait`](Self::wait) does: attempts
    /// that never wait would keep a runtime's worker from its other tasks.
    pub(super) fn wait_blocking(&self, wait: Duration) {
        if wait.is_zero() {
            wait::give_way();
        } else {
            self.clock().sleep_blocking(wait);
        }
    }

    pub(super) fn clock(&self) -> &'p dyn Clock {
        self.policy.clock_in_use()
    }

    /// Reports that an attempt is, or was, made without its lock.
    #[cold]
    pub(super) fn report_without_lock(&self, error: &LockError) {
        let policy = self.policy;
        if let Some(stats) = &policy.stats {
            stats.without_lock(error);
        }
        let (name, attempt) = (policy.name, self.attempt);
        report_without_lock(&policy.warnings, policy.lock_observer(), &WithoutLock { name, attempt, error });
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
