//! Waits of kinds of errors, and schedules that users bring along.

use std::cell::Cell;
use std::sync::Arc;
use std::time::Duration;

use latchwork::{
    RetryPolicy,
    retry::{Backoff, Jitter, StopReason, VirtualClock},
    verdict::{RetryKind, Verdict},
};

use crate::retry::calls::{CONFLICT, Fault, TRANSIENT, every_entry, priced, virtual_policy};

const THROTTLED: Fault = Fault(Verdict::Retry(RetryKind::Throttled));

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// The waits of a call with these errors.
fn waits_of(policy: &RetryPolicy, faults: &[Fault]) -> Vec<Duration> {
    let clock = VirtualClock::new();
    let policy = policy.clone().clock(clock.clone());
    let call = policy.run_blocking(|attempt| match faults.get(attempt.number() as usize - 1) {
        Some(fault) => Err(*fault),
        None => Ok(()),
    });
    assert!(call.is_ok());
    clock.waits()
}

#[test]
fn a_kind_waits_by_its_own_backoff_and_the_others_by_the_policys() {
    let own = Backoff::new().base_delay(ms(7)).multiplier(3.0).jitter(Jitter::None);
    let policy = RetryPolicy::new().jitter(Jitter::None).backoff_for(RetryKind::VersionConflict, own);
    assert_eq!(waits_of(&policy, &[CONFLICT; 3]), [7, 21, 63].map(ms));
    assert_eq!(waits_of(&policy, &[TRANSIENT; 3]), [100, 200, 400].map(ms));
    // The number of the retry counts, whatever the earlier errors were.
    assert_eq!(waits_of(&policy, &[TRANSIENT, CONFLICT, TRANSIENT]), [100, 21, 400].map(ms));
}

#[test]
fn throttled_errors_wait_a_second_at_first_unless_the_policy_waits_longer() {
    let policy = RetryPolicy::new().jitter(Jitter::None);
    assert_eq!(waits_of(&policy, &[THROTTLED; 3]), [1_000, 2_000, 4_000].map(ms));
    assert_eq!(waits_of(&policy, &[TRANSIENT, THROTTLED]), [100, 2_000].map(ms));
    let slow = policy.clone().base_delay(ms(1_500));
    assert_eq!(waits_of(&slow, &[THROTTLED]), [1_500].map(ms));
    let capped = policy.clone().max_delay(ms(300));
    assert_eq!(waits_of(&capped, &[THROTTLED]), [300].map(ms));
    let own = policy.backoff_for(RetryKind::Throttled, Backoff::new().jitter(Jitter::None));
    assert_eq!(waits_of(&own, &[THROTTLED]), [100].map(ms));
}

#[test]
fn a_fraction_lets_the_waits_grow() {
    let policy = RetryPolicy::new().jitter(Jitter::None).multiplier(1.5).max_delay(ms(300)).max_attempts(6);
    let waits = waits_of(&policy, &[TRANSIENT; 5]);
    assert_eq!(waits, [100_000, 150_000, 225_000, 300_000, 300_000].map(Duration::from_micros));
}

#[test]
fn an_own_schedule_is_waited_for_as_it_is_and_starts_anew_with_each_call() {
    // Fibonacci's, by an iterator that threads can't share.
    let fibonacci = || {
        let (last, next) = (Cell::new(0), Cell::new(1));
        std::iter::from_fn(move || {
            let sum = last.replace(next.get()) + next.get();
            Some(ms(next.replace(sum)))
        })
    };
    let policy = RetryPolicy::new().schedule(fibonacci).max_attempts(8).base_delay(ms(77));
    for _ in 0..2 {
        assert_eq!(waits_of(&policy, &[TRANSIENT; 6]), [1, 1, 2, 3, 5, 8].map(ms));
    }
}

#[test]
fn an_own_schedule_serves_every_entry_point_and_calls_that_are_sent() {
    fn is_send<T: Send>(value: T) -> T {
        value
    }
    every_entry(|entry| {
        let (policy, clock) = virtual_policy();
        let policy = policy.schedule(|| [ms(5), ms(6)]);
        assert!(entry.call(&policy, || Err::<(), _>(TRANSIENT)).is_err());
        assert_eq!(clock.waits(), [5, 6].map(ms));
    });
    let policy = virtual_policy().0.schedule(|| [ms(5), ms(6)]);
    drop(is_send(policy.run(async |_| Err::<(), _>(TRANSIENT))));
}

#[test]
fn attempts_are_exhausted_when_an_own_schedule_ends() {
    every_entry(|entry| {
        let budget = Arc::new(priced(20, 5));
        let (policy, _) = virtual_policy();
        let policy = policy.schedule(|| [ms(1), ms(2)]).max_attempts(u32::MAX).budget(&budget);
        let error = entry.call(&policy, || Err::<(), _>(TRANSIENT)).expect_err("it never succeeds");
        assert_eq!((error.reason, error.attempts), (StopReason::AttemptsExhausted, 3));
        assert_eq!((error.slept, budget.tokens()), (ms(3), 10));
    });
}

#[test]
fn a_kind_with_its_own_backoff_takes_no_wait_of_an_own_schedule() {
    let own = Backoff::new().base_delay(ms(77)).multiplier(1.0).jitter(Jitter::None);
    let policy = RetryPolicy::new().schedule(|| [ms(1), ms(2)]).backoff_for(RetryKind::VersionConflict, own);
    assert_eq!(waits_of(&policy, &[TRANSIENT, CONFLICT, TRANSIENT]), [1, 77, 2].map(ms));
    // An own schedule knows best, also after throttling.
    assert_eq!(waits_of(&policy, &[THROTTLED]), [1].map(ms));
}
