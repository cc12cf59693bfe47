//! Budgets and time: what a second brings, and what it never does.

use std::sync::Arc;
use std::time::{Duration, Instant};

use latchwork::{
    RetryPolicy,
    retry::{Budget, Clock, StopReason, VirtualClock},
    verdict::{RetryKind, Verdict},
};

use crate::retry::calls::{Fault, TRANSIENT, every_entry, priced, spent};
use crate::support::panic_of;

const SECOND: Duration = Duration::from_secs(1);

/// A policy whose retries are made at once, and its clock.
fn hasty(budget: &Arc<Budget>) -> (RetryPolicy, VirtualClock) {
    let clock = VirtualClock::new();
    (RetryPolicy::new().base_delay(Duration::ZERO).budget(budget).clock(clock.clone()), clock)
}

/// Calls that fail for ever, until the budget is empty. Returns how many retries it paid for.
fn use_up(policy: &RetryPolicy) -> u32 {
    let policy = policy.clone().max_attempts(u32::MAX);
    let error = policy.run_blocking(|_| Err::<(), _>(TRANSIENT)).expect_err("it never succeeds");
    assert_eq!(error.reason, StopReason::BudgetExhausted);
    error.attempts - 1
}

/// 164 of 200 calls failed, and an hour later still.
#[test]
fn a_service_whose_first_attempts_always_fail_goes_on_retrying() {
    every_entry(|entry| {
        let budget = Arc::new(Budget::new(100));
        let (policy, clock) = hasty(&budget);
        // Its third attempts succeed. The price of the second one is spent.
        let call = || {
            let mut made = 0;
            entry.call(&policy, || {
                made += 1;
                if made < 3 { Err(TRANSIENT) } else { Ok(()) }
            })
        };
        let done = |calls| (0..calls).filter(|_| call().is_ok()).count();
        assert_eq!(done(200), 6);
        assert_eq!(done(1), 0, "no token comes back while the clock stands still");
        clock.advance(Duration::from_secs(3600));
        assert_eq!(done(200), 6, "the bucket is full again");
        for _ in 0..50 {
            clock.advance(2 * SECOND);
            assert_eq!(done(1), 1, "a retry each second is paid for, whatever fails");
        }
    });
}

#[test]
fn time_brings_as_many_tokens_as_were_asked_for_and_never_more_than_there_were() {
    for (capacity, refill) in [(140, 14), (140, 1), (5_000, 1_000), (5_000, 1_000_000_000)] {
        let budget = Arc::new(priced(capacity, 1).refill_per_second(refill));
        let (policy, clock) = hasty(&budget);
        assert_eq!(use_up(&policy), capacity);
        for seconds in [1, 3, 7] {
            clock.advance(seconds * SECOND);
            let expected = capacity.min(refill.saturating_mul(seconds));
            let now = clock.now();
            // A token takes whole nanoseconds to come back, so there may be one more.
            let left = budget.tokens_at(now);
            assert!((expected..=expected + 1).contains(&left), "{left} of {expected}");
            assert_eq!(budget.tokens(), 0, "as of the last call");
            assert_eq!(use_up(&policy), left);
        }
        clock.advance(Duration::from_secs(1_000_000));
        assert_eq!((budget.tokens_at(clock.now()), use_up(&policy)), (capacity, capacity));
    }
}

#[test]
fn without_a_refill_time_brings_nothing() {
    let budget = spent();
    let (policy, clock) = hasty(&budget);
    clock.advance(Duration::from_secs(1_000_000));
    assert_eq!((use_up(&policy), budget.tokens_at(clock.now())), (0, 0));
}

#[test]
fn by_default_a_transient_retry_comes_back_each_second() {
    let budget = Arc::new(Budget::new(500));
    let (policy, clock) = hasty(&budget);
    assert_eq!(use_up(&policy), 500 / 14);
    clock.advance(SECOND);
    assert_eq!(use_up(&policy), 1);
    clock.advance(SECOND / 2);
    assert_eq!(use_up(&policy), 1, "with what was left over");
    clock.advance(SECOND / 2);
    assert_eq!(use_up(&policy), 0);
}

/// A refund of what time has brought back already would make it more than full.
#[test]
fn a_refund_to_a_bucket_that_time_has_filled_is_lost() {
    let budget = Arc::new(Budget::new(28));
    let (policy, clock) = hasty(&budget);
    let done = policy.run_blocking(|attempt| {
        clock.advance(Duration::from_secs(60));
        if attempt.is_first() { Err(TRANSIENT) } else { Ok(()) }
    });
    assert!(done.is_ok());
    assert_eq!((budget.tokens(), use_up(&policy)), (28, 2));
}

/// The time of the one lies behind that of the other.
#[test]
fn policies_with_several_clocks_never_turn_a_budgets_time_back() {
    let budget = Arc::new(Budget::new(28));
    let ((late, clock), (early, _)) = (hasty(&budget), hasty(&budget));
    clock.advance(Duration::from_secs(3600));
    assert_eq!(use_up(&late), 2);
    assert_eq!(use_up(&early), 0);
    clock.advance(SECOND);
    assert_eq!(use_up(&late), 1);
    assert_eq!(use_up(&early), 0);
}

#[test]
fn a_budget_that_was_never_used_is_full_at_any_time() {
    let budget = Budget::new(28);
    assert_eq!((budget.tokens(), budget.tokens_at(Instant::now())), (28, 28));
}

#[test]
fn a_budget_too_small_for_a_price_says_so_when_a_policy_gets_it() {
    static SMALL: Budget = Budget::new(13);
    let said = |kind: RetryKind, price: u32, capacity: u32| {
        format!(
            "a retry of the kind {kind:?} costs {price} tokens, more than the budget's capacity of {capacity}: \
             raise it, lower the price, or set the policy not to retry the kind before it gets the budget"
        )
    };
    let small = said(RetryKind::LockTimeout, 14, 13);
    assert_eq!(panic_of(|| RetryPolicy::new().budget(&SMALL)), small);
    assert_eq!(panic_of(|| RetryPolicy::new().static_budget(&SMALL)), small);
    let empty = said(RetryKind::Deadlock, 1, 0);
    assert_eq!(panic_of(|| RetryPolicy::new().budget(Arc::new(Budget::new(0)))), empty);
    for kind in RetryKind::ALL.iter().copied() {
        let dear = Arc::new(priced(4_294_967_294, 0).price(kind, u32::MAX));
        let said = said(kind, u32::MAX, u32::MAX - 1);
        assert_eq!(panic_of(|| RetryPolicy::new().retry_kind(kind, true).budget(&dear)), said);
        // What is not retried is never paid for.
        let policy = RetryPolicy::new().retry_kind(kind, false).budget(&dear);
        assert_eq!(panic_of(|| policy.retry_kind(kind, true)), said);
    }
    static RARE: RetryPolicy = RetryPolicy::new()
        .retry_kind(RetryKind::LockTimeout, false)
        .retry_kind(RetryKind::Transient, false)
        .static_budget(&SMALL);
    assert_eq!(RARE.get_budget().map(|budget| budget.capacity()), Some(13));
    // It is not larger than the highest price.
    static ENOUGH: Budget = Budget::new(14);
    static POLICY: RetryPolicy = RetryPolicy::new().static_budget(&ENOUGH);
    assert_eq!(POLICY.get_budget().map(|budget| budget.capacity()), Some(14));
}

#[test]
fn throttled_errors_cost_less_and_wait_longer() {
    let throttled = Fault(Verdict::Retry(RetryKind::Throttled));
    let budget = Arc::new(Budget::new(14).refill_per_second(0));
    let (policy, clock) = (RetryPolicy::new().budget(&budget), VirtualClock::new());
    let policy = policy.jitter(latchwork::retry::Jitter::None).clock(clock.clone());
    let error = policy.run_blocking(|_| Err::<(), _>(throttled)).expect_err("it never succeeds");
    assert_eq!((error.reason, error.attempts, budget.tokens()), (StopReason::BudgetExhausted, 3, 4));
    assert_eq!(clock.waits(), [SECOND, 2 * SECOND]);
}
