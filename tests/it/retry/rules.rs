//! What a policy promises, rule by rule, by every entry point.

use std::cell::Cell;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use latchwork::{
    RetryPolicy,
    retry::{
        Attempt, Backoff, Budget, Classifier, Clock, Jitter, RetryCounts, RetryStats, StopReason,
        VirtualClock,
    },
    verdict::{RetryKind, Verdict},
};

use crate::retry::calls::{CONFLICT, Fault, HOPELESS, TRANSIENT, every_entry, priced, spent, virtual_policy};
use crate::support::panic_of;

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// A policy and how many retries it has told of.
fn told_policy() -> (RetryPolicy<impl Classifier<Fault> + Clone>, VirtualClock, Arc<AtomicU32>) {
    let ((policy, clock), told) = (virtual_policy(), Arc::<AtomicU32>::default());
    let policy = policy.on_retry({
        let told = told.clone();
        move |_| {
            told.fetch_add(1, Ordering::Relaxed);
        }
    });
    (policy, clock, told)
}

#[test]
fn the_first_call_always_runs() {
    every_entry(|entry| {
        let (policy, _) = virtual_policy();
        let mut policy = policy.max_attempts(1).deadline(Duration::ZERO).budget(spent());
        for &kind in RetryKind::ALL {
            policy = policy.retry_kind(kind, false);
        }
        assert_eq!(entry.call(&policy, || Ok::<_, Fault>(7)), Ok(7));
        let made = Cell::new(0);
        let error = entry.call(&policy, || {
            made.set(made.get() + 1);
            Err::<(), _>(TRANSIENT)
        });
        assert_eq!((made.get(), error.map_err(|error| error.attempts)), (1, Err(1)));
    });
}

#[test]
fn a_success_is_kept_however_late_it_comes() {
    every_entry(|entry| {
        let (policy, clock) = virtual_policy();
        let policy = policy.jitter(Jitter::None).deadline(ms(100));
        let made = Cell::new(0);
        let out = entry.call(&policy, || {
            made.set(made.get() + 1);
            if made.get() == 2 {
                clock.advance(ms(60_000));
                Ok(7)
            } else {
                Err(TRANSIENT)
            }
        });
        assert_eq!((out, made.get()), (Ok(7), 2));
    });
}

#[test]
fn attempts_include_the_first_call() {
    every_entry(|entry| {
        for attempts in [1, 2, 4, 9] {
            let (policy, clock, told) = told_policy();
            let made = Cell::new(0);
            let error = entry
                .call(&policy.max_attempts(attempts), || {
                    made.set(made.get() + 1);
                    Err::<(), _>(TRANSIENT)
                })
                .expect_err("it never succeeds");
            assert_eq!((error.reason, error.attempts), (StopReason::AttemptsExhausted, attempts));
            assert_eq!(made.get(), attempts);
            assert!(clock.waits().len() < attempts as usize);
            assert_eq!(told.load(Ordering::Relaxed), attempts - 1, "nothing is told after the last failure");
        }
    });
}

#[test]
fn an_attempt_knows_whether_it_is_the_last_and_how_many_were_conflicts() {
    let (policy, _) = virtual_policy();
    let mut told = Vec::new();
    let out = policy.max_attempts(3).run_blocking(|attempt| {
        told.push((attempt.number(), attempt.is_first(), attempt.is_last(), attempt.conflicts()));
        Err::<(), _>(if attempt.is_first() { CONFLICT } else { TRANSIENT })
    });
    assert!(out.is_err_and(|error| error.conflicts == 1));
    assert_eq!(told, [(1, true, false, 0), (2, false, false, 1), (3, false, true, 1)]);
}

#[test]
fn after_the_last_failure_nothing_is_waited_for_or_told() {
    every_entry(|entry| {
        let (policy, ..) = told_policy();
        for (policy, fault, reason) in [
            (policy.clone(), HOPELESS, StopReason::NotRetryable),
            (policy.clone().retry_kind(RetryKind::Transient, false), TRANSIENT, StopReason::NotRetryable),
            (policy.clone().max_attempts(1), TRANSIENT, StopReason::AttemptsExhausted),
            (
                policy.clone().jitter(Jitter::None).deadline(ms(99)),
                TRANSIENT,
                StopReason::DeadlineExceeded { wait: ms(100), left: ms(99) },
            ),
            (policy.budget(spent()), TRANSIENT, StopReason::BudgetExhausted),
        ] {
            let (clock, told) = (VirtualClock::new(), Arc::<AtomicU32>::default());
            let policy = policy.clock(clock.clone()).on_retry({
                let told = told.clone();
                move |_| {
                    told.fetch_add(1, Ordering::Relaxed);
                }
            });
            let error = entry.call(&policy, || Err::<(), _>(fault)).expect_err("it never succeeds");
            assert_eq!((error.error, error.reason, error.attempts), (fault, reason, 1));
            assert_eq!((clock.elapsed(), error.slept), (Duration::ZERO, Duration::ZERO));
            assert_eq!(told.load(Ordering::Relaxed), 0);
        }
    });
}

#[test]
fn a_wait_may_end_at_the_deadline_and_not_after_it() {
    every_entry(|entry| {
        for (deadline, attempts) in [(ms(300), 3), (ms(300) - Duration::from_nanos(1), 2)] {
            let (policy, clock) = virtual_policy();
            let policy = policy.jitter(Jitter::None).deadline(deadline);
            let error = entry.call(&policy, || Err::<(), _>(TRANSIENT)).expect_err("it never succeeds");
            assert_eq!(error.attempts, attempts);
            assert!(clock.elapsed() <= deadline);
        }
    });
}

/// It counts from the first call on, so an attempt's own time counts as well.
#[test]
fn a_deadline_says_what_it_lacked() {
    every_entry(|entry| {
        for (takes, left) in [(ms(30), ms(70)), (ms(100), ms(0)), (ms(500), ms(0))] {
            let (policy, clock) = virtual_policy();
            let error = entry
                .call(&policy.jitter(Jitter::None).deadline(ms(100)), || {
                    clock.advance(takes);
                    Err::<(), _>(TRANSIENT)
                })
                .expect_err("it never succeeds");
            assert_eq!(error.reason, StopReason::DeadlineExceeded { wait: ms(100), left });
        }
    });
}

#[test]
fn after_the_deadline_there_is_no_retry_even_without_a_wait() {
    every_entry(|entry| {
        for (takes, attempts) in [(ms(100), 4), (ms(101), 1)] {
            let (policy, clock) = virtual_policy();
            let policy = policy.base_delay(Duration::ZERO).deadline(ms(100));
            let first = Cell::new(true);
            let error = entry
                .call(&policy, || {
                    clock.advance(if first.replace(false) { takes } else { Duration::ZERO });
                    Err::<(), _>(TRANSIENT)
                })
                .expect_err("it never succeeds");
            assert_eq!(error.attempts, attempts);
        }
    });
}

#[test]
fn a_hint_is_a_floor_and_exempt_from_the_cap() {
    every_entry(|entry| {
        let (policy, clock) = virtual_policy();
        let policy = policy.jitter(Jitter::None).max_delay(ms(150)).max_attempts(4);
        // Below the schedule, above it, above the cap.
        let hints = [ms(50), ms(151), ms(60_000)];
        let made = Cell::new(0);
        let out = entry.call(&policy, || {
            made.set(made.get() + 1);
            match hints.get(made.get() - 1) {
                Some(hint) => Err(Fault(Verdict::RetryAfter(RetryKind::Transient, *hint))),
                None => Ok(()),
            }
        });
        assert!(out.is_ok());
        assert_eq!(clock.waits(), [ms(100), ms(151), ms(60_000)]);
    });
}

#[test]
fn a_hint_is_bound_by_attempts_deadline_and_budget() {
    every_entry(|entry| {
        let throttled = Fault(Verdict::RetryAfter(RetryKind::Transient, ms(800)));
        let refused = |policy: RetryPolicy| {
            entry.call(&policy, || Err::<(), _>(throttled)).map_err(|error| (error.reason, error.attempts))
        };
        let (policy, _) = virtual_policy();
        assert_eq!(refused(policy.clone().max_attempts(2)), Err((StopReason::AttemptsExhausted, 2)));
        let reason = StopReason::DeadlineExceeded { wait: ms(800), left: ms(700) };
        let late = policy.clone().clock(VirtualClock::new()).jitter(Jitter::None).deadline(ms(1_500));
        assert_eq!(refused(late), Err((reason, 2)));
        let poor = policy.clone().budget(Arc::new(priced(5, 5)));
        assert_eq!(refused(poor), Err((StopReason::BudgetExhausted, 2)));
        let deaf = policy.retry_kind(RetryKind::Transient, false);
        assert_eq!(refused(deaf), Err((StopReason::NotRetryable, 1)));
    });
}

#[test]
fn unique_violations_are_retried_only_if_asked_for() {
    every_entry(|entry| {
        for verdict in [
            Verdict::Retry(RetryKind::UniqueViolation),
            Verdict::RetryAfter(RetryKind::UniqueViolation, ms(1)),
        ] {
            let (policy, _) = virtual_policy();
            let refused =
                entry.call(&policy, || Err::<(), _>(Fault(verdict))).expect_err("it never succeeds");
            assert_eq!((refused.reason, refused.attempts), (StopReason::NotRetryable, 1));
            let policy = policy.retry_kind(RetryKind::UniqueViolation, true);
            let refused =
                entry.call(&policy, || Err::<(), _>(Fault(verdict))).expect_err("it never succeeds");
            assert_eq!((refused.reason, refused.attempts), (StopReason::AttemptsExhausted, 4));
            assert_eq!(refused.conflicts, 0);
        }
    });
}

#[test]
fn conflicts_are_counted_whether_they_are_retried_or_not() {
    every_entry(|entry| {
        for &kind in RetryKind::ALL {
            let stats = Arc::new(RetryStats::new());
            let (policy, _) = virtual_policy();
            let policy = policy.retry_kind(kind, false).stats(&stats);
            let error = entry
                .call(&policy, || Err::<(), _>(Fault(Verdict::Retry(kind))))
                .expect_err("it is not retried");
            let conflicts = u32::from(kind.is_conflict());
            assert_eq!((error.conflicts, error.attempts), (conflicts, 1));
            let counts = stats.counts();
            assert_eq!((counts.conflicts, counts.errors(kind)), (conflicts.into(), 1));
            assert_eq!(counts.conflict_rate(), f64::from(conflicts));
        }
    });
    let conflicts = RetryKind::ALL.iter().map(|kind| kind.is_conflict()).collect::<Vec<_>>();
    assert_eq!(conflicts, [true, false, true, true, false, false, false]);
}

/// The conflicts of a call under way were counted before its attempts: a rate of 300 % was shown.
#[test]
fn a_conflict_rate_is_one_of_calls_that_have_ended() {
    let ((policy, _), stats) = (virtual_policy(), Arc::new(RetryStats::new()));
    let policy = policy.stats(&stats);
    assert_eq!(policy.run_blocking(|_| Ok::<_, Fault>(7)), Ok(7));
    let mut session = policy.session();
    for _ in 0..3 {
        assert!(session.settle_blocking(Err::<(), _>(CONFLICT)).is_continue());
    }
    let counts = stats.counts();
    assert_eq!((counts.attempts, counts.conflicts, counts.errors(RetryKind::VersionConflict)), (1, 0, 3));
    assert_eq!((counts.conflict_rate(), counts.mean_attempts()), (0.0, 1.0));
    assert!(session.settle_blocking(Ok::<_, Fault>(())).is_break());
    let counts = stats.counts();
    assert_eq!((counts.attempts, counts.conflicts, counts.conflict_rate()), (5, 3, 0.6));
}

#[test]
fn a_retry_that_is_refused_costs_nothing() {
    every_entry(|entry| {
        let budget = Arc::new(priced(10, 5));
        let (policy, _) = virtual_policy();
        let policy = policy.budget(&budget).jitter(Jitter::None);
        for policy in [
            policy.clone().max_attempts(1),
            policy.clone().deadline(ms(99)),
            policy.clone().retry_kind(RetryKind::Transient, false),
        ] {
            assert!(entry.call(&policy, || Err::<(), _>(TRANSIENT)).is_err());
            assert_eq!(budget.tokens(), 10);
        }
    });
}

/// Fails `failures` times, then succeeds.
fn after(failures: u32, fault: Fault) -> impl FnMut() -> Result<(), Fault> {
    let mut left = failures;
    move || match left.checked_sub(1) {
        Some(fewer) => {
            left = fewer;
            Err(fault)
        }
        None => Ok(()),
    }
}

#[test]
fn the_price_of_the_retry_that_succeeds_comes_back_and_that_of_others_does_not() {
    every_entry(|entry| {
        let budget = Arc::new(priced(20, 5));
        let (policy, _) = virtual_policy();
        let policy = policy.budget(&budget);
        assert!(entry.call(&policy, after(1, TRANSIENT)).is_ok());
        assert_eq!(budget.tokens(), 20);
        assert!(entry.call(&policy, after(3, TRANSIENT)).is_ok());
        assert_eq!(budget.tokens(), 10);
        assert!(entry.call(&policy, after(0, TRANSIENT)).is_ok());
        assert_eq!(budget.tokens(), 11, "a success at once earns a token");
        assert!(entry.call(&policy, after(9, TRANSIENT)).is_err_and(|error| error.attempts == 3));
        assert_eq!(budget.tokens(), 1);
    });
}

#[test]
fn a_bucket_is_never_more_than_full() {
    let budget = Arc::new(priced(6, 5).earnings(u32::MAX));
    let (policy, _) = virtual_policy();
    let policy = policy.budget(&budget);
    assert!(policy.run_blocking(|_| Ok::<_, Fault>(())).is_ok());
    assert_eq!(budget.tokens(), 6);
    assert!(policy.run_blocking(|_| Err::<(), _>(TRANSIENT)).is_err());
    assert_eq!(budget.tokens(), 1);
    assert!(policy.run_blocking(|_| Ok::<_, Fault>(())).is_ok());
    assert_eq!((budget.tokens(), budget.capacity()), (6, 6));
    assert_eq!(format!("{budget:?}"), "Budget { tokens: 6, capacity: 6, earnings: 4294967295, .. }");
}

#[test]
fn conflicts_cost_nothing_so_a_hot_key_does_not_use_up_the_budget() {
    let budget = Budget::new(0);
    let prices = RetryKind::ALL.iter().map(|kind| budget.price_of(*kind)).collect::<Vec<_>>();
    assert_eq!(prices, [0, 0, 1, 1, 14, 5, 14]);
    every_entry(|entry| {
        let (policy, _) = virtual_policy();
        let policy = policy.budget(spent());
        let error = entry.call(&policy, || Err::<(), _>(CONFLICT)).expect_err("it never succeeds");
        assert_eq!(error.reason, StopReason::AttemptsExhausted);
        let error = entry.call(&policy, || Err::<(), _>(TRANSIENT)).expect_err("it never succeeds");
        assert_eq!(error.reason, StopReason::BudgetExhausted);
    });
}

#[test]
fn the_greatest_numbers_do_not_overflow() {
    every_entry(|entry| {
        let (policy, clock) = virtual_policy();
        let policy = policy.max_attempts(u32::MAX).base_delay(Duration::MAX).max_delay(Duration::MAX);
        let policy = policy
            .multiplier(f64::MAX)
            .max_hint(Duration::MAX)
            .budget(Arc::new(Budget::new(u32::MAX).earnings(u32::MAX)));
        let longest = Fault(Verdict::RetryAfter(RetryKind::Transient, Duration::MAX));
        assert!(entry.call(&policy, after(3, longest)).is_ok());
        assert_eq!(clock.waits(), [Duration::MAX; 3]);
        let error =
            entry.call(&policy.max_attempts(3), || Err::<(), _>(longest)).expect_err("it never succeeds");
        assert_eq!(error.slept, Duration::MAX);
    });
}

/// Its time went back to the start beyond the range of `Instant`, and so a deadline began anew.
#[test]
fn a_virtual_clock_never_goes_back() {
    let (policy, clock) = virtual_policy();
    let before = clock.now();
    let longest = Fault(Verdict::RetryAfter(RetryKind::Transient, Duration::MAX));
    let error =
        policy.deadline(Duration::MAX).max_hint(Duration::MAX).run_blocking(|_| Err::<(), _>(longest));
    clock.advance(ms(1));
    clock.advance(Duration::MAX);
    assert!(clock.now() >= before + ms(1), "it stands at the start again");
    assert!(error.is_err_and(|error| error.attempts == 2), "the second wait is beyond the deadline");
}

#[test]
fn a_session_that_is_over_takes_no_further_result() {
    let (policy, _) = virtual_policy();
    let mut session = policy.session();
    assert!(session.settle_blocking(Ok::<_, Fault>(())).is_break());
    let said = panic_of(|| session.settle_blocking(Ok::<_, Fault>(())).is_break());
    assert_eq!(said, "this call is over: begin another session");
    let mut session = policy.session();
    assert!(session.settle_blocking(Err::<(), _>(HOPELESS)).is_break());
    let said = panic_of(|| session.settle_blocking(Err::<(), _>(TRANSIENT)).is_break());
    assert_eq!(said, "this call is over: begin another session");
}

#[test]
fn numbers_that_make_no_sense_are_refused_in_a_sentence() {
    let attempts = "max_attempts must be at least 1: the first call is an attempt";
    assert_eq!(panic_of(|| RetryPolicy::new().max_attempts(0)), attempts);
    let multiplier = "a backoff's multiplier must be a finite number of at least 1";
    for odd in [0.0, 0.999, -2.0, f64::NAN, f64::INFINITY] {
        assert_eq!(panic_of(|| RetryPolicy::new().multiplier(odd)), multiplier);
        assert_eq!(panic_of(|| Backoff::new().multiplier(odd)), multiplier);
    }
    let refill = "a budget's refill must be at most a billion tokens per second";
    assert_eq!(panic_of(|| Budget::new(1).refill_per_second(1_000_000_001)), refill);
}

#[test]
fn counters_at_zero_have_no_rates() {
    let counts = RetryStats::new().counts();
    assert_eq!((counts.calls(), counts.failed(), counts.attempts), (0, 0, 0));
    let rates = [counts.conflict_rate(), counts.retry_success_rate(), counts.mean_attempts()];
    assert_eq!(rates, [0.0; 3]);
}

#[test]
fn counts_added_up_are_those_of_one_set_of_statistics_for_all() {
    let stats = [(); 3].map(|()| Arc::new(RetryStats::new()));
    // The third has what the first and the second have.
    for (at, rounds) in [(0, 1), (1, 2), (2, 3)] {
        for _ in 0..rounds {
            let policy = || virtual_policy().0.stats(&stats[at]);
            for &kind in RetryKind::ALL {
                let by_kind = policy().classify_with(move |_: &()| Verdict::Retry(kind));
                let succeeds = |attempt: Attempt| if attempt.is_first() { Err(()) } else { Ok(()) };
                assert_eq!(by_kind.run_blocking(succeeds).is_ok(), kind != RetryKind::UniqueViolation);
                assert!(by_kind.run_blocking(|_| Err::<(), _>(())).is_err());
            }
            assert!(policy().run_blocking(|_| Ok::<_, Fault>(())).is_ok());
            let hasty = policy().deadline(Duration::ZERO);
            assert!(hasty.run_blocking(|_| Err::<(), _>(TRANSIENT)).is_err());
            let poor = policy().budget(spent());
            assert!(poor.run_blocking(|_| Err::<(), _>(TRANSIENT)).is_err());
            let late = Fault(Verdict::RetryAfter(RetryKind::Throttled, ms(300_001)));
            assert!(policy().run_blocking(|_| Err::<(), _>(late)).is_err());
            drop(policy().session());
        }
    }
    let [one, two, all] = stats.each_ref().map(|stats| stats.counts());
    assert_eq!(one + two, all);
    assert_eq!([one, two].into_iter().sum::<RetryCounts>(), all);
    let RetryCounts { abandoned, deadline_exceeded, budget_exhausted, failed_after_retry, .. } = all;
    assert!(
        all.hint_too_long > 0
            && abandoned > 0
            && deadline_exceeded > 0
            && budget_exhausted > 0
            && failed_after_retry > 0
    );
    assert!(
        all.first_try_ok > 0 && all.retried_ok > 0 && all.not_retryable > 0 && all.attempts_exhausted > 0
    );
}

/// The caller waits in its own way, or not at all.
#[test]
fn a_session_decides_without_waiting() {
    let (policy, clock) = virtual_policy();
    let policy = policy.jitter(Jitter::None).max_attempts(3);
    let mut session = policy.session();
    assert_eq!(session.judge(Err::<(), _>(TRANSIENT)), ControlFlow::Continue(ms(100)));
    session.begin();
    assert_eq!(session.judge(Err::<(), _>(TRANSIENT)), ControlFlow::Continue(ms(200)));
    session.begin();
    let ControlFlow::Break(Err(error)) = session.judge(Err::<(), _>(TRANSIENT)) else {
        panic!("it was the last attempt")
    };
    assert_eq!((error.attempts, error.slept, clock.elapsed()), (3, ms(300), Duration::ZERO));
}

#[test]
fn the_price_of_a_judged_retry_is_spent_from_its_begin_on() {
    for begins in [false, true] {
        let budget = Arc::new(priced(10, 3));
        let policy = virtual_policy().0.budget(&budget);
        let mut session = policy.session();
        assert!(session.judge(Err::<(), _>(TRANSIENT)).is_continue());
        assert_eq!(budget.tokens(), 7);
        if begins {
            session.begin();
        }
        drop(session);
        assert_eq!(budget.tokens(), if begins { 7 } else { 10 });
    }
}

#[test]
fn a_policy_that_gave_up_is_not_tried_again_by_an_outer_one() {
    let (inner, outer) = (virtual_policy().0, virtual_policy().0);
    let error = outer.run_blocking(|_| inner.run_blocking(|_| Err::<(), _>(TRANSIENT)));
    assert!(error.is_err_and(|error| (error.attempts, error.error.attempts) == (1, 4)));
}
