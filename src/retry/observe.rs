//! What a policy reports of its attempts: [`Retrying`], [`WithoutLock`].

#[cfg(feature = "tracing")]
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use crate::provider::LockError;
#[cfg(feature = "tracing")]
use crate::throttle::Throttle;
use crate::verdict::RetryKind;

/// An attempt has failed, and another one follows after a wait. See [`on_retry`](crate::RetryPolicy::on_retry).
///
/// # Examples
///
/// ```
/// use std::cell::RefCell;
/// use latchwork::{RetryPolicy, retry::VirtualClock, verdict::{RetryKind, Verdict}};
///
/// let seen = RefCell::new(Vec::new()); // an observer may borrow
/// let policy = RetryPolicy::new().clock(VirtualClock::new());
/// let policy = policy.classify_with(|_: &&str| Verdict::Retry(RetryKind::Transient));
/// let policy = policy.on_retry(|retry| seen.borrow_mut().push((retry.attempt, *retry.error)));
/// assert!(policy.run_blocking(|_| Err::<(), _>("down")).is_err());
/// assert_eq!(*seen.borrow(), [(1, "down"), (2, "down"), (3, "down")]); // nothing after the last attempt
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub struct Retrying<'e, E> {
    /// The policy's name.
    pub name: &'static str,
    /// The attempt that failed; the first call is 1.
    pub attempt: u32,
    /// Why another one may succeed.
    pub kind: RetryKind,
    /// How long the call waits before it.
    pub wait: Duration,
    /// The error of the attempt that failed.
    pub error: &'e E,
}

impl<E> Clone for Retrying<'_, E> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<E> Copy for Retrying<'_, E> {}

/// An attempt was made without its lock. See [`on_without_lock`](crate::RetryPolicy::on_without_lock).
///
/// # Examples
///
/// ```
/// use std::{sync::{Arc, mpsc::channel}, time::Duration};
/// use latchwork::{KeyedLock, RetryPolicy, Versioned};
///
/// let (send, events) = channel();
/// let policy = RetryPolicy::new().on_without_lock(move |it| drop(send.send((it.attempt, it.error.to_string()))));
/// let (row, locks) = (Versioned::new(41), Arc::new(KeyedLock::<u32>::new()));
/// let _in_the_way = locks.try_lock(7)?;
/// let change = policy.retry_on_conflict_blocking(
///     |_| Ok(row.snapshot()),
///     |loaded| Ok((loaded.stamp(), *loaded + 1)),
///     |(stamp, number)| row.compare_and_set(stamp, number),
/// );
/// assert!(change.escalate_after(0, &locks, 7).lock_timeout(Duration::ZERO).run_blocking().is_ok());
/// assert_eq!(events.recv(), Ok((1, "timed out waiting for the lock".to_owned())));
/// # Ok::<(), latchwork::Busy>(())
/// ```
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct WithoutLock<'e> {
    /// The policy's name.
    pub name: &'static str,
    /// The attempt that has no lock; the first call is 1.
    pub attempt: u32,
    /// Why the lock could not be acquired. [`LockError::Lost`] also stands for a lock that was lost during the attempt.
    pub error: &'e LockError,
}

/// The name for filters, which does not change when this module moves.
#[cfg(feature = "tracing")]
const TARGET: &str = "latchwork::retry";

/// What a policy calls for each attempt without its lock.
pub(super) type LockObserver = dyn Fn(&WithoutLock<'_>) + Send + Sync;

/// Emits the event of a retry.
pub(super) fn report<E>(retrying: &Retrying<'_, E>) {
    #[cfg(feature = "tracing")]
    tracing::debug!(
        target: TARGET,
        name = retrying.name,
        attempt = retrying.attempt,
        kind = ?retrying.kind,
        wait_us = crate::micros::micros(retrying.wait),
        "retrying"
    );
    #[cfg(not(feature = "tracing"))]
    let _ = retrying;
}

/// Limits the warnings of a policy. Its clones share the limit.
#[cfg(feature = "tracing")]
pub(super) struct Warnings(OnceLock<Arc<Throttle>>);

#[cfg(feature = "tracing")]
impl Warnings {
    pub(super) const fn new() -> Self {
        Self(OnceLock::new())
    }

    fn throttle(&self) -> &Arc<Throttle> {
        self.0.get_or_init(Arc::default)
    }
}

#[cfg(feature = "tracing")]
impl Clone for Warnings {
    fn clone(&self) -> Self {
        Self(OnceLock::from(self.throttle().clone()))
    }
}

/// There are no events to limit.
#[cfg(not(feature = "tracing"))]
#[derive(Clone)]
pub(super) struct Warnings;

#[cfg(not(feature = "tracing"))]
impl Warnings {
    pub(super) const fn new() -> Self {
        Self
    }
}

pub(super) fn report_without_lock(
    warnings: &Warnings,
    observer: Option<&LockObserver>,
    without_lock: &WithoutLock<'_>,
) {
    #[cfg(not(feature = "tracing"))]
    let Warnings = warnings;
    #[cfg(feature = "tracing")]
    {
        let WithoutLock { name, attempt, error } = *without_lock;
        // Clients cause this by many changes of one row: not a warning for each of them.
        match warnings.throttle().pass(std::time::Instant::now()) {
            Some(others) => {
                tracing::warn!(target: TARGET, name, attempt, %error, others, "attempt without its lock");
            }
            None => tracing::debug!(target: TARGET, name, attempt, %error, "attempt without its lock"),
        }
    }
    if let Some(observer) = observer {
        observer(without_lock);
    }
}

#[cfg(all(test, feature = "tracing", not(latchwork_loom)))]
mod tests {
    use super::*;

    #[test]
    fn clones_share_the_limit_of_their_warnings_also_those_of_a_policy_that_never_warned() {
        let one = Warnings::new();
        let other = one.clone();
        assert!(Arc::ptr_eq(one.throttle(), other.throttle()));
        assert!(Arc::ptr_eq(one.throttle(), one.clone().throttle()));
        assert!(!Arc::ptr_eq(one.throttle(), Warnings::new().throttle()));
    }
}
