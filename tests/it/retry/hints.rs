//! Errors that say when to come back: never earlier, and not all at once.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use latchwork::{
    RetryPolicy,
    retry::{Backoff, Jitter, RetryStats, StopReason, VirtualClock},
    verdict::{RetryKind, Verdict},
};
use proptest::prelude::*;

use crate::retry::calls::{Fault, every_entry, priced, virtual_policy};

const SPREADS: [Jitter; 3] = [Jitter::Full, Jitter::Equal, Jitter::Decorrelated];

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn told_to_wait(hint: Duration) -> Fault {
    Fault(Verdict::RetryAfter(RetryKind::Transient, hint))
}

/// The waits of one call that is told to wait for this long each time.
fn waits_of(policy: &RetryPolicy, hint: Duration) -> Vec<Duration> {
    let clock = VirtualClock::new();
    let policy = policy.clone().clock(clock.clone());
    assert!(policy.run_blocking(|_| Err::<(), _>(told_to_wait(hint))).is_err());
    clock.waits()
}

fn longest_policy(backoff: (u64, u64), jitter: Jitter, seed: u64) -> RetryPolicy {
    let (base, cap) = backoff;
    let policy = RetryPolicy::new().base_delay(ms(base)).max_delay(ms(cap)).jitter(jitter).seed(seed);
    policy.max_attempts(6).max_hint(Duration::MAX)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_wait_is_never_shorter_than_the_hint_and_bounded_behind_it(
        backoff in (0..3_000_u64, 0..9_000_u64),
        hint in prop_oneof![2 => (0..5_000_u64).prop_map(ms), 1 => any::<u64>().prop_map(ms)],
        seed: u64,
    ) {
        let nominal = Backoff::new().base_delay(ms(backoff.0)).max_delay(ms(backoff.1));
        for jitter in SPREADS {
            for (wait, retry) in waits_of(&longest_policy(backoff, jitter, seed), hint).into_iter().zip(1..) {
                // A decorrelated wait may go up to the cap.
                let own = if jitter == Jitter::Decorrelated { ms(backoff.1) } else { nominal.nominal(retry) };
                prop_assert!(wait >= hint, "{wait:?} though the hint is {hint:?}");
                prop_assert!(wait <= hint.saturating_add(own.max(hint / 10)));
            }
        }
    }

    #[test]
    fn without_jitter_a_wait_is_the_longer_of_the_delay_and_the_hint(
        backoff in (0..3_000_u64, 0..9_000_u64),
        hint in 0..9_000_u64,
    ) {
        let nominal = Backoff::new().base_delay(ms(backoff.0)).max_delay(ms(backoff.1));
        let longer: Vec<_> = (1..6).map(|retry| nominal.nominal(retry).max(ms(hint))).collect();
        let waits = waits_of(&longest_policy(backoff, Jitter::None, 7), ms(hint));
        // A wait of nothing is not waited for.
        prop_assert_eq!(waits, longer.into_iter().filter(|wait| !wait.is_zero()).collect::<Vec<_>>());
    }
}

/// The first waits of a hundred calls, and how many of them end in the same millisecond at most.
fn crowd(policy: &RetryPolicy, hint: Duration) -> (Vec<Duration>, usize) {
    let waits: Vec<_> = (0..100).map(|_| waits_of(policy, hint)[0]).collect();
    let mut together = HashMap::new();
    for wait in &waits {
        *together.entry(wait.as_millis()).or_insert(0) += 1;
    }
    let most = together.into_values().max().expect("there are a hundred");
    (waits, most)
}

/// All came back in the same millisecond.
#[test]
fn a_hundred_callers_with_the_same_hint_do_not_come_back_at_once() {
    for jitter in SPREADS {
        for seed in 0..20 {
            // The delay is far shorter than the hint.
            let policy = RetryPolicy::new().max_attempts(2).base_delay(ms(1)).jitter(jitter).seed(seed);
            let (waits, most) = crowd(&policy, ms(7_000));
            assert!(waits.iter().all(|wait| (ms(7_000)..=ms(7_700)).contains(wait)));
            assert!(most <= 5, "{most} of a hundred come back in the same millisecond");
            let late = waits.iter().filter(|wait| **wait > ms(7_350)).count();
            assert!((30..=70).contains(&late), "{late} of a hundred come in the later half");
        }
    }
}

/// 56 of 100 waited for exactly the hint, since their own waits were shorter.
#[test]
fn a_hint_below_the_backoff_piles_nobody_up_on_it() {
    for jitter in SPREADS {
        for seed in 0..20 {
            let policy = RetryPolicy::new().max_attempts(2).base_delay(ms(100)).jitter(jitter).seed(seed);
            let (waits, most) = crowd(&policy, ms(56));
            assert!(waits.iter().all(|wait| *wait >= ms(56)));
            assert!(waits.iter().filter(|wait| **wait == ms(56)).count() <= 1);
            assert!(most <= 10, "{most} of a hundred come back in the same millisecond");
        }
    }
}

#[test]
fn a_hint_of_nothing_changes_no_wait() {
    for jitter in SPREADS {
        let policy = || RetryPolicy::new().jitter(jitter).seed(7).clock(VirtualClock::new());
        let without = {
            let clock = VirtualClock::new();
            let fault = Fault(Verdict::Retry(RetryKind::Transient));
            assert!(policy().clock(clock.clone()).run_blocking(|_| Err::<(), _>(fault)).is_err());
            clock.waits()
        };
        assert_eq!(waits_of(&policy(), Duration::ZERO), without);
    }
}

/// Own waits longer than a tenth of the hint were the same for all.
#[test]
fn a_hint_spreads_the_waits_of_an_own_schedule() {
    for own in [3, 700, 1_000] {
        let policy = RetryPolicy::new().schedule(move || [ms(own); 5]).max_attempts(2).seed(7);
        let (waits, most) = crowd(&policy, ms(7_000));
        assert!(waits.iter().all(|wait| (ms(7_000 + own)..=ms(7_700 + own)).contains(wait)));
        assert!(most <= 5, "{most} of a hundred come back in the same millisecond");
        assert_eq!(waits_of(&policy, Duration::ZERO), [ms(own)]);
    }
}

/// 954 of 1000 calls gave up at a deadline that the hint alone would have kept.
#[test]
fn a_deadline_that_the_hint_keeps_is_not_missed_for_the_spread() {
    for deadline in [7_000, 7_050, 7_300] {
        for jitter in SPREADS {
            let policy = RetryPolicy::new().max_attempts(2).deadline(ms(deadline)).jitter(jitter).seed(7);
            let (waits, most) = crowd(&policy, ms(7_000));
            assert!(waits.iter().all(|wait| (ms(7_000)..=ms(deadline)).contains(wait)));
            assert!(most <= 20 || deadline == 7_000, "{most} of a hundred come back in the same millisecond");
        }
        let exact = RetryPolicy::new().max_attempts(2).deadline(ms(deadline)).jitter(Jitter::None);
        let slow = exact.clone().base_delay(ms(9_000)).max_delay(ms(9_000));
        assert_eq!(waits_of(&exact, ms(7_000)), [ms(7_000)]);
        assert_eq!(waits_of(&slow, ms(7_000)), [ms(deadline)]);
        let own = RetryPolicy::new().schedule(|| [ms(900)]).deadline(ms(deadline));
        assert!((ms(7_000)..=ms(deadline)).contains(&waits_of(&own, ms(7_000))[0]));
    }
    // The hint itself is never cut short.
    let policy = RetryPolicy::new().deadline(ms(6_999));
    assert_eq!(waits_of(&policy, ms(7_000)), []);
}

#[test]
fn a_hint_above_the_limit_ends_the_call_and_says_so() {
    every_entry(|entry| {
        let (budget, stats) = (Arc::new(priced(10, 5)), Arc::new(RetryStats::new()));
        let (policy, clock) = virtual_policy();
        let policy = policy.max_hint(ms(7_000)).budget(&budget).stats(&stats);
        let too_long = ms(7_000) + Duration::from_nanos(1);
        let error =
            entry.call(&policy, || Err::<(), _>(told_to_wait(too_long))).expect_err("it never succeeds");
        assert_eq!((error.reason, error.attempts), (StopReason::HintTooLong { hint: too_long }, 1));
        assert!(error.is_exhausted());
        let counts = stats.counts();
        assert_eq!((counts.hint_too_long, counts.failed(), counts.calls()), (1, 1, 1));
        assert_eq!(
            (clock.elapsed(), budget.tokens()),
            (Duration::ZERO, 10),
            "nothing is waited for, or paid"
        );
        // The limit itself is still followed.
        let error =
            entry.call(&policy, || Err::<(), _>(told_to_wait(ms(7_000)))).expect_err("it never succeeds");
        assert_eq!((error.reason, error.attempts), (StopReason::BudgetExhausted, 3));
    });
}

#[test]
fn hints_of_more_than_five_minutes_are_too_long_by_default() {
    let reason = |hint| {
        let policy = virtual_policy().0.max_attempts(2);
        policy.run_blocking(|_| Err::<(), _>(told_to_wait(hint))).expect_err("it never succeeds").reason
    };
    assert_eq!(reason(ms(300_000)), StopReason::AttemptsExhausted);
    assert_eq!(reason(ms(300_001)), StopReason::HintTooLong { hint: ms(300_001) });
    assert_eq!(reason(Duration::MAX), StopReason::HintTooLong { hint: Duration::MAX });
}

#[test]
fn an_error_keeps_the_hint_of_its_last_attempt_whatever_ended_the_call() {
    every_entry(|entry| {
        let policy = |attempts| virtual_policy().0.max_attempts(attempts);
        let fail = |policy: &RetryPolicy, fault| {
            entry.call(policy, || Err::<(), _>(fault)).expect_err("it never succeeds")
        };
        let hinted = told_to_wait(ms(7_000));
        let budget = Arc::new(priced(5, 5));
        for (policy, reason) in [
            (policy(2), StopReason::AttemptsExhausted),
            (policy(9).retry_kind(RetryKind::Transient, false), StopReason::NotRetryable),
            (policy(9).budget(&budget), StopReason::BudgetExhausted),
            (policy(9).max_hint(ms(6_999)), StopReason::HintTooLong { hint: ms(7_000) }),
        ] {
            let error = fail(&policy, hinted);
            assert_eq!((error.reason, error.hint), (reason, Some(ms(7_000))));
            assert_eq!(error.map(|_| ()).hint, Some(ms(7_000)));
        }
        assert_eq!(fail(&policy(9).deadline(ms(6_999)), hinted).hint, Some(ms(7_000)));
        assert_eq!(fail(&policy(2), Fault(Verdict::Retry(RetryKind::Transient))).hint, None);
        // That of an earlier attempt no longer counts.
        let mut faults = [hinted, Fault(Verdict::Stop)].into_iter();
        let error = entry.call(&policy(9), || Err::<(), _>(faults.next().expect("there are two")));
        assert_eq!(error.expect_err("it never succeeds").hint, None);
    });
}
