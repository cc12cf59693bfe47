//! [`RetryStats`]: how calls ended, counted.

use std::iter::Sum;
use std::ops::Add;
use std::sync::atomic::{AtomicU64, Ordering};

use super::error::StopReason;
use crate::verdict::RetryKind;

/// Counters that policies keep when told to: one set for each thing to be watched.
///
/// A call that succeeds at the first attempt costs one atomic addition. Counters are read one after
/// the other, while calls go on.
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
    /// Of the calls that did not succeed at the first attempt.
    attempts: AtomicU64,
    /// Counted when their call ends, as attempts are: a rate would exceed 1 otherwise.
    conflicts: AtomicU64,
    errors: [AtomicU64; RetryKind::ALL.len()],
}

/// What [`RetryStats`] had counted at some moment.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
#[non_exhaustive]
pub struct RetryCounts {
    /// Calls whose first attempt succeeded.
    pub first_try_ok: u64,
    /// Calls of which a later attempt succeeded.
    pub retried_ok: u64,
    /// Calls whose error was not to be retried.
    pub not_retryable: u64,
    /// Calls whose last attempt failed.
    pub attempts_exhausted: u64,
    /// Calls that had no time for another wait.
    pub deadline_exceeded: u64,
    /// Calls for which the budget had no tokens.
    pub budget_exhausted: u64,
    /// Of the calls that failed, those that had been retried before.
    pub failed_after_retry: u64,
    /// Calls that were dropped, or panicked, before they came to an end.
    pub abandoned: u64,
    /// Attempts of all calls that have ended.
    pub attempts: u64,
    /// Those of them that ended in a [conflict](RetryKind::is_conflict).
    pub conflicts: u64,
    /// Attempts that ended in an error of each kind, in the order of [`RetryKind::ALL`]; also of calls that go on.
    errors: [u64; RetryKind::ALL.len()],
}

impl RetryStats {
    /// Counters at zero.
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
        }
    }

    /// What is counted by now.
    ///
    /// # Examples
    ///
    /// ```
    /// use latchwork::{Busy, RetryPolicy, retry::RetryStats};
    ///
    /// static STATS: RetryStats = RetryStats::new();
    /// drop(RetryPolicy::new().stats(&STATS).session());
    /// assert_eq!(STATS.counts().abandoned, 1);
    /// ```
    #[must_use]
    pub fn counts(&self) -> RetryCounts {
        let errors = self.errors.each_ref().map(read);
        let [not_retryable, attempts_exhausted, deadline_exceeded, budget_exhausted] =
            self.failed.each_ref().map(read);
        // Before the attempts that they are among: who sees a conflict sees its attempt.
        let conflicts = self.conflicts.load(Ordering::Acquire);
        let first_try_ok = read(&self.first_try_ok);
        RetryCounts {
            first_try_ok,
            retried_ok: read(&self.retried_ok),
            not_retryable,
            attempts_exhausted,
            deadline_exceeded,
            budget_exhausted,
            failed_after_retry: read(&self.failed_after_retry),
            abandoned: read(&self.abandoned),
            attempts: first_try_ok + read(&self.attempts),
            conflicts,
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

impl RetryCounts {
    /// All calls: those that succeeded at once or later, failed, or were abandoned.
    ///
    /// # Examples
    ///
    /// ```
    /// use latchwork::{RetryPolicy, retry::{RetryStats, VirtualClock}, verdict::{RetryKind, Verdict}};
    ///
    /// static STATS: RetryStats = RetryStats::new();
    /// let policy = RetryPolicy::new().stats(&STATS).clock(VirtualClock::new());
    /// let policy = policy.classify_with(|_: &()| Verdict::Retry(RetryKind::Deadlock));
    /// assert!(policy.run_blocking(|_| Err::<(), _>(())).is_err());
    /// assert_eq!(STATS.counts().calls(), 1);
    /// ```
    #[must_use]
    pub const fn calls(&self) -> u64 {
        self.first_try_ok + self.retried_ok + self.failed() + self.abandoned
    }

    /// Calls that failed, for whatever reason.
    ///
    /// # Examples
    ///
    /// ```
    /// use latchwork::{RetryPolicy, retry::{RetryStats, VirtualClock}, verdict::{RetryKind, Verdict}};
    ///
    /// static STATS: RetryStats = RetryStats::new();
    /// let policy = RetryPolicy::new().stats(&STATS).clock(VirtualClock::new());
    /// let policy = policy.classify_with(|_: &()| Verdict::Retry(RetryKind::Deadlock));
    /// assert!(policy.run_blocking(|_| Err::<(), _>(())).is_err());
    /// assert_eq!(STATS.counts().failed(), 1);
    /// ```
    #[must_use]
    pub const fn failed(&self) -> u64 {
        self.not_retryable + self.attempts_exhausted + self.deadline_exceeded + self.budget_exhausted
    }

    /// Attempts that ended in an error of this kind, also of calls that go on.
    ///
    /// # Examples
    ///
    /// ```
    /// use latchwork::{RetryPolicy, retry::{RetryStats, VirtualClock}, verdict::{RetryKind, Verdict}};
    ///
    /// static STATS: RetryStats = RetryStats::new();
    /// let policy = RetryPolicy::new().stats(&STATS).clock(VirtualClock::new());
    /// let policy = policy.classify_with(|_: &()| Verdict::Retry(RetryKind::Deadlock));
    /// assert!(policy.run_blocking(|_| Err::<(), _>(())).is_err());
    /// assert_eq!(STATS.counts().errors(RetryKind::Deadlock), 4);
    /// ```
    #[must_use]
    pub const fn errors(&self, kind: RetryKind) -> u64 {
        self.errors[kind.index()]
    }

    /// The share of attempts that ended in a conflict, of the calls that have ended; 0 without attempts.
    ///
    /// # Examples
    ///
    /// ```
    /// use latchwork::{RetryPolicy, retry::{RetryStats, VirtualClock}, verdict::{RetryKind, Verdict}};
    ///
    /// static STATS: RetryStats = RetryStats::new();
    /// let policy = RetryPolicy::new().stats(&STATS).clock(VirtualClock::new());
    /// let policy = policy.classify_with(|_: &()| Verdict::Retry(RetryKind::Deadlock));
    /// assert!(policy.run_blocking(|attempt| if attempt.is_first() { Err(()) } else { Ok(()) }).is_ok());
    /// assert_eq!(STATS.counts().conflict_rate(), 0.5);
    /// ```
    #[must_use]
    pub fn conflict_rate(&self) -> f64 {
        share(self.conflicts, self.attempts)
    }

    /// Of the calls that were retried and came to an end, the share that succeeded; 0 without such calls.
    ///
    /// # Examples
    ///
    /// ```
    /// use latchwork::{RetryPolicy, retry::{RetryStats, VirtualClock}, verdict::{RetryKind, Verdict}};
    ///
    /// static STATS: RetryStats = RetryStats::new();
    /// let policy = RetryPolicy::new().stats(&STATS).clock(VirtualClock::new());
    /// let policy = policy.classify_with(|_: &()| Verdict::Retry(RetryKind::Deadlock));
    /// assert!(policy.run_blocking(|attempt| if attempt.is_first() { Err(()) } else { Ok(()) }).is_ok());
    /// assert_eq!(STATS.counts().retry_success_rate(), 1.0);
    /// ```
    #[must_use]
    pub fn retry_success_rate(&self) -> f64 {
        share(self.retried_ok, self.retried_ok + self.failed_after_retry)
    }

    /// Attempts a call, on average; 0 without calls.
    ///
    /// # Examples
    ///
    /// ```
    /// use latchwork::{RetryPolicy, retry::{RetryStats, VirtualClock}, verdict::{RetryKind, Verdict}};
    ///
    /// static STATS: RetryStats = RetryStats::new();
    /// let policy = RetryPolicy::new().stats(&STATS).clock(VirtualClock::new());
    /// let policy = policy.classify_with(|_: &()| Verdict::Retry(RetryKind::Deadlock));
    /// assert!(policy.run_blocking(|_| Err::<(), _>(())).is_err());
    /// assert_eq!(STATS.counts().mean_attempts(), 4.0);
    /// ```
    #[must_use]
    pub fn mean_attempts(&self) -> f64 {
        share(self.attempts, self.calls())
    }
}

/// Of both together.
///
/// # Examples
///
/// ```
/// use latchwork::{Busy, RetryPolicy, retry::{RetryCounts, RetryStats}};
///
/// static EDITS: RetryStats = RetryStats::new();
/// static VIEWS: RetryStats = RetryStats::new();
/// for stats in [&EDITS, &VIEWS] {
///     assert!(RetryPolicy::new().stats(stats).run_blocking(|_| Ok::<_, Busy>(7)).is_ok());
/// }
/// let all: RetryCounts = [&EDITS, &VIEWS].map(RetryStats::counts).into_iter().sum();
/// assert_eq!(all.calls(), 2);
/// ```
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
            failed_after_retry: self.failed_after_retry + other.failed_after_retry,
            abandoned: self.abandoned + other.abandoned,
            attempts: self.attempts + other.attempts,
            conflicts: self.conflicts + other.conflicts,
            errors,
        }
    }
}

impl Sum for RetryCounts {
    fn sum<I: Iterator<Item = Self>>(counts: I) -> Self {
        counts.fold(Self::default(), Add::add)
    }
}

fn read(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}

#[inline]
fn add(counter: &AtomicU64, by: u32) {
    counter.fetch_add(by.into(), Ordering::Relaxed);
}

fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}
