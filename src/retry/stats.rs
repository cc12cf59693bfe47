//! [`RetryStats`]: counters of how calls ended.

use std::sync::atomic::{AtomicU64, Ordering};

use super::counts::RetryCounts;
use super::error::StopReason;
use crate::provider::LockError;
use crate::verdict::RetryKind;

/// Live counters of calls, kept by the policies that they are given to. Use one set for each thing to watch.
///
/// A call that succeeds at the first attempt costs one atomic addition. [`counts`](Self::counts) reads the
/// counters one after the other, while calls go on.
///
/// # Examples
///
/// ```
/// use latchwork::{Busy, RetryPolicy, retry::RetryStats};
///
/// static SAVES: RetryStats = RetryStats::new();
/// let policy = RetryPolicy::new().stats(&SAVES);
/// policy.run_blocking(|_| Ok::<_, Busy>(7))?;
/// let counts = SAVES.counts();
/// assert_eq!((counts.calls(), counts.first_try_ok, counts.conflict_rate()), (1, 1, 0.0));
/// # Ok::<(), latchwork::retry::RetryError<Busy>>(())
/// ```
#[derive(Debug, Default)]
pub struct RetryStats {
    first_try_ok: AtomicU64,
    retried_ok: AtomicU64,
    failed: [AtomicU64; StopReason::COUNT],
    failed_after_retry: AtomicU64,
    abandoned: AtomicU64,
    /// Of calls that did not succeed at the first attempt.
    attempts: AtomicU64,
    /// Counted when their call ends, as attempts are. Otherwise a rate could exceed 1.
    conflicts: AtomicU64,
    errors: [AtomicU64; RetryKind::ALL.len()],
    /// By `lock_index`.
    without_lock: [AtomicU64; 4],
}

impl RetryStats {
    /// Creates counters at zero.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            first_try_ok: AtomicU64::new(0),
            retried_ok: AtomicU64::new(0),
            failed: [const { AtomicU64::new(0) }; StopReason::COUNT],
            failed_after_retry: AtomicU64::new(0),
            abandoned: AtomicU64::new(0),
            attempts: AtomicU64::new(0),
            conflicts: AtomicU64::new(0),
            errors: [const { AtomicU64::new(0) }; RetryKind::ALL.len()],
            without_lock: [const { AtomicU64::new(0) }; 4],
        }
    }

    /// Returns what is counted by now.
    #[must_use]
    pub fn counts(&self) -> RetryCounts {
        let errors = self.errors.each_ref().map(read);
        let [not_retryable, attempts_exhausted, deadline_exceeded, budget_exhausted, hint_too_long] =
            self.failed.each_ref().map(read);
        let [lock_timed_out, lock_refused, lock_lost, lock_unavailable] =
            self.without_lock.each_ref().map(read);
        // Read before the attempts: a reader that sees a conflict sees its attempt too.
        let conflicts = self.conflicts.load(Ordering::Acquire);
        let first_try_ok = read(&self.first_try_ok);
        RetryCounts {
            first_try_ok,
            retried_ok: read(&self.retried_ok),
            not_retryable,
            attempts_exhausted,
            deadline_exceeded,
            budget_exhausted,
            hint_too_long,
            failed_after_retry: read(&self.failed_after_retry),
            abandoned: read(&self.abandoned),
            attempts: first_try_ok + read(&self.attempts),
            conflicts,
            lock_timed_out,
            lock_refused,
            lock_lost,
            lock_unavailable,
            errors,
        }
    }

    #[inline]
    pub(super) fn ok(&self, attempts: u32, conflicts: u32) {
        if attempts == 1 {
            add(&self.first_try_ok, 1);
        } else {
            self.tried(attempts, conflicts);
            add(&self.retried_ok, 1);
        }
    }

    pub(super) fn error(&self, kind: RetryKind) {
        add(&self.errors[kind.index()], 1);
    }

    pub(super) fn without_lock(&self, error: &LockError) {
        add(&self.without_lock[lock_index(error)], 1);
    }

    pub(super) fn failed(&self, attempts: u32, conflicts: u32, reason: StopReason) {
        self.tried(attempts, conflicts);
        add(&self.failed[reason.index()], 1);
        if attempts > 1 {
            add(&self.failed_after_retry, 1);
        }
    }

    pub(super) fn abandoned(&self, attempts: u32, conflicts: u32) {
        self.tried(attempts, conflicts);
        add(&self.abandoned, 1);
    }

    fn tried(&self, attempts: u32, conflicts: u32) {
        add(&self.attempts, attempts);
        self.conflicts.fetch_add(u64::from(conflicts), Ordering::Release);
    }
}

const fn lock_index(error: &LockError) -> usize {
    match error {
        LockError::TimedOut(_) => 0,
        // The provider has answered: nothing is down.
        LockError::Busy(_) | LockError::QueueFull | LockError::BadKey(_) => 1,
        LockError::Lost => 2,
        LockError::Unavailable(_) => 3,
    }
}

fn read(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}

#[inline]
fn add(counter: &AtomicU64, by: u32) {
    counter.fetch_add(by.into(), Ordering::Relaxed);
}
