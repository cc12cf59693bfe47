//! How a [`Session`] decides: the rules, in their order, and the three ends of a call.

use std::time::Duration;

use super::classify::Classifier;
use super::error::{RetryError, StopReason};
use super::observe::{Retrying, report};
use super::session::{Phase, Session};
use crate::verdict::Verdict;

impl<C> Session<'_, C> {
    /// Ends the call after an attempt that succeeded.
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

    /// Returns how long to wait after an attempt that failed, or the error of a call that is over.
    #[cold]
    pub(super) fn fail<E>(&mut self, error: E) -> Result<Duration, RetryError<E>>
    where
        C: Classifier<E>,
    {
        match self.decide(&error) {
            Ok(wait) => Ok(wait),
            Err(reason) => {
                let failed = self.give_up(error, reason);
                // All is counted: an observer that panics changes nothing.
                self.policy.classifier.gave_up(&failed);
                Err(failed)
            }
        }
    }

    fn decide<E>(&mut self, error: &E) -> Result<Duration, StopReason>
    where
        C: Classifier<E>,
    {
        let policy = self.policy;
        // User code runs here and in the observer. If it panics, the session is dropped as abandoned.
        let verdict = policy.classifier.verdict(error);
        self.hint = match verdict {
            Verdict::RetryAfter(_, hint) if !hint.is_zero() => Some(hint),
            _ => None,
        };
        let hint = self.hint.unwrap_or_default();
        let kind = match verdict {
            Verdict::Stop => return Err(StopReason::NotRetryable),
            Verdict::Retry(kind) | Verdict::RetryAfter(kind, _) => kind,
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
        if hint > policy.max_hint {
            return Err(StopReason::HintTooLong { hint });
        }
        let waits = self.waits.get_or_insert_with(|| policy.waits());
        let wait = waits.next(&policy.schedules, self.attempt, kind, hint);
        // A schedule that ends is a limit of attempts.
        let drawn = wait.ok_or(StopReason::AttemptsExhausted)?;
        let mut wait = drawn.wait;
        if let (Some(deadline), Some(started)) = (policy.deadline, self.started) {
            // The waits count even if another clock made them, as on threads while tokio's time is paused.
            let elapsed = policy.clock_in_use().now().saturating_duration_since(started).max(self.slept);
            let left = deadline.saturating_sub(elapsed);
            wait = drawn.within(left);
            if elapsed > deadline || wait > left {
                return Err(StopReason::DeadlineExceeded { wait, left });
            }
        }
        self.paid = match &policy.budget {
            None => 0,
            Some(budget) => {
                budget.pay(kind, || policy.clock_in_use().now()).ok_or(StopReason::BudgetExhausted)?
            }
        };
        self.phase = Phase::Waiting;
        let failed = self.attempt;
        self.attempt += 1;
        self.slept = self.slept.saturating_add(wait);
        let retrying = Retrying { name: policy.name, attempt: failed, kind, wait, error };
        report(&retrying);
        policy.classifier.retrying(&retrying);
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
            hint: self.hint,
            name: self.policy.name,
        }
    }

    #[cold]
    pub(super) fn abandon(&mut self) {
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

/// For calls whose attempts must not be repeated now: those of a scope that only observes.
#[cfg(all(feature = "sqlx", not(latchwork_loom)))]
impl<C> Session<'_, C> {
    /// Returns `true` if the policy makes another attempt after errors like this one.
    pub(crate) fn would_retry<E>(&self, error: &E) -> bool
    where
        C: Classifier<E>,
    {
        match self.policy.classifier.verdict(error) {
            Verdict::Stop => false,
            Verdict::Retry(kind) | Verdict::RetryAfter(kind, _) => self.policy.retries(kind),
        }
    }

    /// Ends the call, although the policy might have gone on.
    pub(crate) fn stop<E>(&mut self, error: E) -> RetryError<E>
    where
        C: Classifier<E>,
    {
        let failed = self.give_up(error, StopReason::NotRetryable);
        self.policy.classifier.gave_up(&failed);
        failed
    }
}
