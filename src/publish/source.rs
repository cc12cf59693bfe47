//! What each type publishes: its counters, under the names of the table.

use std::time::Instant;

use metrics::{counter, gauge};

use super::names::*;
use crate::flight::FlightCounts;
use crate::keyed::KeyedCounts;
use crate::retry::{Budget, RetryCounts};
use crate::verdict::RetryKind;

/// A source of metrics for a [`Publisher`](super::Publisher), besides the types of this crate.
///
/// Closures implement it.
///
/// # Examples
///
/// ```
/// use std::sync::atomic::{AtomicU64, Ordering};
/// use latchwork::publish::{Publisher, Source};
///
/// #[derive(Default)]
/// struct Letters(AtomicU64);
///
/// impl Source for Letters {
///     fn publish(&self) {
///         metrics::counter!("letters_total").absolute(self.0.load(Ordering::Relaxed));
///     }
/// }
///
/// Publisher::new().source(Letters::default()).publish();
/// ```
pub trait Source: Send + Sync {
    /// Writes the current values. Counters are written as absolute numbers, so that nothing is counted twice.
    fn publish(&self);
}

impl<F: Fn() + Send + Sync> Source for F {
    fn publish(&self) {
        self();
    }
}

pub(super) fn keyed(name: &'static str, stats: &KeyedCounts) {
    counter!(LOCK_ACQUIRED, LOCK => name).absolute(stats.acquired);
    counter!(LOCK_WAITED, LOCK => name).absolute(stats.waited);
    counter!(LOCK_BUSY, LOCK => name).absolute(stats.busy);
    counter!(LOCK_TIMED_OUT, LOCK => name).absolute(stats.timed_out);
    counter!(LOCK_CANCELLED, LOCK => name).absolute(stats.cancelled);
    gauge!(LOCK_KEYS, LOCK => name).set(stats.keys as f64);
    gauge!(LOCK_WAITING, LOCK => name).set(stats.waiting as f64);
    gauge!(LOCK_LONGEST_QUEUE, LOCK => name).set(stats.longest_queue as f64);
}

pub(super) fn retries(name: &'static str, counts: &RetryCounts) {
    let outcomes = [
        ("first_try_ok", counts.first_try_ok),
        ("retried_ok", counts.retried_ok),
        ("not_retryable", counts.not_retryable),
        ("attempts_exhausted", counts.attempts_exhausted),
        ("deadline_exceeded", counts.deadline_exceeded),
        ("budget_exhausted", counts.budget_exhausted),
        ("hint_too_long", counts.hint_too_long),
        ("abandoned", counts.abandoned),
    ];
    for (outcome, calls) in outcomes {
        counter!(RETRY_CALLS, POLICY => name, OUTCOME => outcome).absolute(calls);
    }
    counter!(RETRY_FAILED_AFTER_RETRY, POLICY => name).absolute(counts.failed_after_retry);
    counter!(RETRY_ATTEMPTS, POLICY => name).absolute(counts.attempts);
    for &kind in RetryKind::ALL {
        counter!(RETRY_ERRORS, POLICY => name, KIND => word(kind)).absolute(counts.errors(kind));
    }
    counter!(RETRY_CONFLICTS, POLICY => name).absolute(counts.conflicts);
    let reasons = [
        ("timed_out", counts.lock_timed_out),
        ("refused", counts.lock_refused),
        ("lost", counts.lock_lost),
        ("unavailable", counts.lock_unavailable),
    ];
    for (reason, attempts) in reasons {
        counter!(RETRY_WITHOUT_LOCK, POLICY => name, REASON => reason).absolute(attempts);
    }
}

pub(super) fn budget(name: &'static str, budget: &Budget) {
    gauge!(BUDGET_TOKENS, BUDGET => name).set(budget.tokens_at(Instant::now()));
    gauge!(BUDGET_CAPACITY, BUDGET => name).set(budget.capacity());
}

pub(super) fn flights(name: &'static str, counts: &FlightCounts) {
    counter!(FLIGHT_FLIGHTS, FLIGHT => name).absolute(counts.flights);
    counter!(FLIGHT_JOINED, FLIGHT => name).absolute(counts.joined);
    counter!(FLIGHT_ABORTED, FLIGHT => name).absolute(counts.aborted);
    gauge!(FLIGHT_UNDER_WAY, FLIGHT => name).set(counts.under_way as f64);
}

const fn word(kind: RetryKind) -> &'static str {
    match kind {
        RetryKind::VersionConflict => "version_conflict",
        RetryKind::UniqueViolation => "unique_violation",
        RetryKind::Deadlock => "deadlock",
        RetryKind::Serialization => "serialization",
        RetryKind::LockTimeout => "lock_timeout",
        RetryKind::Throttled => "throttled",
        RetryKind::Transient => "transient",
    }
}
