//! [`RetryCounts`]: what was counted at some moment.

use std::iter::Sum;
use std::ops::Add;

use crate::verdict::RetryKind;

/// What [`RetryStats`](super::RetryStats) had counted at some moment.
///
/// # Examples
///
/// ```
/// use latchwork::{RetryPolicy, retry::{RetryCounts, RetryStats, VirtualClock}, verdict::{RetryKind, Verdict}};
///
/// static EDITS: RetryStats = RetryStats::new();
/// static VIEWS: RetryStats = RetryStats::new();
/// for (stats, failures) in [(&EDITS, 1), (&VIEWS, 4)] {
///     let policy = RetryPolicy::new().stats(stats).clock(VirtualClock::new());
///     let policy = policy.classify_with(|_: &()| Verdict::Retry(RetryKind::Deadlock));
///     let _ = policy.run_blocking(|attempt| if attempt.number() > failures { Ok(()) } else { Err(()) });
/// }
/// let edits = EDITS.counts();
/// assert_eq!((edits.calls(), edits.retried_ok, edits.failed()), (1, 1, 0));
/// assert_eq!((edits.conflict_rate(), edits.retry_success_rate(), edits.mean_attempts()), (0.5, 1.0, 2.0));
///
/// let all: RetryCounts = [edits, VIEWS.counts()].into_iter().sum();
/// assert_eq!((all.calls(), all.failed(), all.errors(RetryKind::Deadlock), all.without_lock()), (2, 1, 5, 0));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
#[non_exhaustive]
pub struct RetryCounts {
    /// Calls whose first attempt succeeded.
    pub first_try_ok: u64,
    /// Calls of which a later attempt succeeded.
    pub retried_ok: u64,
    /// Calls that failed with an error that is not retried.
    pub not_retryable: u64,
    /// Calls whose last attempt failed.
    pub attempts_exhausted: u64,
    /// Calls that had no time for another wait.
    pub deadline_exceeded: u64,
    /// Calls for which the budget had no tokens.
    pub budget_exhausted: u64,
    /// Calls whose error asked for a longer wait than their policy allows.
    pub hint_too_long: u64,
    /// Of the calls that failed, those that had been retried before.
    pub failed_after_retry: u64,
    /// Calls that were dropped, or panicked, before their end.
    pub abandoned: u64,
    /// Attempts of all calls that have ended.
    pub attempts: u64,
    /// Those of them that ended in a [conflict](RetryKind::is_conflict).
    pub conflicts: u64,
    /// Attempts made without the lock, because the wait for it timed out. Includes calls that are still running.
    pub lock_timed_out: u64,
    /// Attempts made without the lock, because it was busy, its queue was full, or the key can't be locked. Includes calls
    /// that are still running.
    pub lock_refused: u64,
    /// Attempts whose lock was lost, before or during the attempt. Includes calls that are still running.
    pub lock_lost: u64,
    /// Attempts made without the lock, because the lock provider was unavailable. Includes calls that are still running.
    pub lock_unavailable: u64,
    /// Attempts that ended in an error of each kind, in the order of [`RetryKind::ALL`]; also of calls that go on.
    pub(super) errors: [u64; RetryKind::ALL.len()],
}

impl RetryCounts {
    /// Returns the number of all calls that have ended: succeeded, failed, or abandoned.
    #[must_use]
    pub const fn calls(&self) -> u64 {
        self.first_try_ok + self.retried_ok + self.failed() + self.abandoned
    }

    /// Returns the number of calls that failed, for any reason.
    #[must_use]
    pub const fn failed(&self) -> u64 {
        self.not_retryable
            + self.attempts_exhausted
            + self.deadline_exceeded
            + self.budget_exhausted
            + self.hint_too_long
    }

    /// Returns the number of attempts that ended in an error of this kind, also of calls that go on.
    #[must_use]
    pub const fn errors(&self, kind: RetryKind) -> u64 {
        self.errors[kind.index()]
    }

    /// Returns the number of attempts that were made without their lock, also of calls that go on: see
    /// [`escalate_after`](super::RetryOnConflict::escalate_after).
    #[must_use]
    pub const fn without_lock(&self) -> u64 {
        self.lock_timed_out + self.lock_refused + self.lock_lost + self.lock_unavailable
    }

    /// Returns the share of attempts that ended in a conflict, of the calls that have ended; 0 without attempts.
    #[must_use]
    pub fn conflict_rate(&self) -> f64 {
        share(self.conflicts, self.attempts)
    }

    /// Returns the share of calls that succeeded, of those that were retried and have ended; 0 without such calls.
    #[must_use]
    pub fn retry_success_rate(&self) -> f64 {
        share(self.retried_ok, self.retried_ok + self.failed_after_retry)
    }

    /// Returns the mean number of attempts of a call; 0 without calls.
    #[must_use]
    pub fn mean_attempts(&self) -> f64 {
        share(self.attempts, self.calls())
    }
}

/// Adds the counts field by field.
impl Add for RetryCounts {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        let mut errors = self.errors;
        for (sum, more) in errors.iter_mut().zip(other.errors) {
            *sum += more;
        }
        Self {
            first_try_ok: self.first_try_ok + other.first_try_ok,
            retried_ok: self.retried_ok + other.retried_ok,
            not_retryable: self.not_retryable + other.not_retryable,
            attempts_exhausted: self.attempts_exhausted + other.attempts_exhausted,
            deadline_exceeded: self.deadline_exceeded + other.deadline_exceeded,
            budget_exhausted: self.budget_exhausted + other.budget_exhausted,
            hint_too_long: self.hint_too_long + other.hint_too_long,
            failed_after_retry: self.failed_after_retry + other.failed_after_retry,
            abandoned: self.abandoned + other.abandoned,
            attempts: self.attempts + other.attempts,
            conflicts: self.conflicts + other.conflicts,
            lock_timed_out: self.lock_timed_out + other.lock_timed_out,
            lock_refused: self.lock_refused + other.lock_refused,
            lock_lost: self.lock_lost + other.lock_lost,
            lock_unavailable: self.lock_unavailable + other.lock_unavailable,
            errors,
        }
    }
}

impl Sum for RetryCounts {
    fn sum<I: Iterator<Item = Self>>(counts: I) -> Self {
        counts.fold(Self::default(), Add::add)
    }
}

fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}
