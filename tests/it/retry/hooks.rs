//! Who hears of retries and of calls that fail.

use std::cell::{Cell, RefCell};
use std::error::Error;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use latchwork::{
    RetryPolicy,
    retry::{Jitter, RetryError, RetryStats, Retrying, StopReason, VirtualClock},
    verdict::{RetryKind, Verdict},
};

use crate::retry::calls::{
    CONFLICT, Fault, HOPELESS, Left, TRANSIENT, every_entry, leave, spent, virtual_policy,
};

#[test]
fn an_observer_of_retries_gets_the_error_and_may_borrow() {
    every_entry(|entry| {
        let seen = RefCell::new(Vec::new());
        let (policy, clock) = virtual_policy();
        // It neither is an error nor can be sent.
        let policy = policy.classify_with(|_: &Rc<str>| Verdict::Retry(RetryKind::Transient));
        let policy = policy.on_retry(|retry| {
            seen.borrow_mut().push(((retry.attempt, retry.error.clone()), retry.wait));
        });
        let made = Cell::new(0);
        let call = entry.call(&policy, || {
            made.set(made.get() + 1);
            Err::<(), Rc<str>>(format!("failure {}", made.get()).into())
        });
        assert!(call.is_err());
        let expected: Vec<_> =
            (1..=3).map(|n| (n, format!("failure {n}").into())).zip(clock.waits()).collect();
        assert_eq!(seen.take(), expected);
    });
}

#[test]
fn a_call_that_gives_up_is_observed_once_with_the_error_that_it_returns() {
    every_entry(|entry| {
        let late = Fault(Verdict::RetryAfter(RetryKind::Throttled, Duration::MAX));
        let (policy, _) = virtual_policy();
        for (policy, fault, attempts) in [
            (policy.clone(), HOPELESS, 1),
            (policy.clone(), TRANSIENT, 4),
            (policy.clone().jitter(Jitter::None).deadline(Duration::from_millis(100)), TRANSIENT, 2),
            (policy.clone().budget(spent()), TRANSIENT, 1),
            (policy.clone(), late, 1),
            (policy.clone().retry_kind(RetryKind::VersionConflict, false), CONFLICT, 1),
        ] {
            let (seen, retries) = (RefCell::new(Vec::new()), Cell::new(0));
            let policy = policy.on_give_up(|error: &RetryError<Fault>| seen.borrow_mut().push(error.clone()));
            let policy = policy.on_retry(|_| retries.set(retries.get() + 1));
            let error = entry.call(&policy, || Err::<(), _>(fault)).expect_err("it never succeeds");
            assert_eq!((error.attempts, retries.get()), (attempts, attempts - 1));
            assert_eq!(seen.take(), [error]);
            assert!(entry.call(&policy, || Ok::<_, Fault>(())).is_ok());
            assert_eq!(seen.take(), []);
        }
    });
}

#[test]
fn a_dropped_call_has_not_given_up() {
    let gave_up = Cell::new(false);
    let policy = virtual_policy().0.on_give_up(|_: &RetryError<Fault>| gave_up.set(true));
    let mut session = policy.session();
    assert!(session.judge(Err::<(), _>(TRANSIENT)).is_continue());
    drop(session);
    assert!(!gave_up.get());
}

#[test]
fn several_observers_are_called_in_the_order_in_which_they_were_set() {
    let seen = RefCell::new(String::new());
    let see = |what| seen.borrow_mut().push(what);
    let policy = virtual_policy().0.max_attempts(2);
    let policy = policy.on_retry(|_: &Retrying<'_, Fault>| see('a')).on_give_up(|_| see('c'));
    let policy = policy.on_retry(|_| see('b')).on_give_up(|_| see('d'));
    assert!(policy.run_blocking(|_| Err::<(), _>(TRANSIENT)).is_err());
    assert_eq!(seen.take(), "abcd");
}

#[test]
fn an_observer_of_failures_that_panics_changes_no_count() {
    every_entry(|entry| {
        let stats = Arc::new(RetryStats::new());
        let policy = virtual_policy().0.stats(&stats).on_give_up(|_: &RetryError<Fault>| leave());
        let call = std::panic::AssertUnwindSafe(|| entry.call(&policy, || Err::<(), _>(HOPELESS)));
        let panic = std::panic::catch_unwind(call).expect_err("the observer panics");
        assert_eq!(panic.downcast_ref(), Some(&Left));
        let counts = stats.counts();
        assert_eq!((counts.calls(), counts.not_retryable, counts.abandoned), (1, 1, 0));
    });
}

/// Its type has a name, by functions in place of closures.
#[test]
fn a_policy_with_observers_can_be_a_field() {
    use latchwork::retry::{ByTrait, OnGiveUp, OnRetry};

    type Observed = OnRetry<ByTrait, fn(&Retrying<'_, Fault>)>;
    type GivenUp = fn(&RetryError<Fault>);
    struct App {
        save: RetryPolicy<OnGiveUp<Observed, GivenUp>>,
    }
    fn retrying(_: &Retrying<'_, Fault>) {}
    fn gave_up(error: &RetryError<Fault>) {
        assert_eq!(error.reason, StopReason::AttemptsExhausted);
    }
    let policy = RetryPolicy::new().clock(VirtualClock::new());
    let policy = policy.on_retry(retrying as fn(&Retrying<'_, Fault>));
    let app = App { save: policy.on_give_up(gave_up as GivenUp) };
    assert!(app.save.run_blocking(|_| Err::<(), _>(TRANSIENT)).is_err());
}

#[test]
fn a_policy_tells_its_name_its_counters_and_its_budget() {
    static STATS: RetryStats = RetryStats::new();
    let plain = RetryPolicy::new();
    assert_eq!(
        (plain.get_name(), plain.get_stats().is_none(), plain.get_budget().is_none()),
        ("retry", true, true)
    );
    let budget = spent();
    let policy = plain.name("save card").static_stats(&STATS).budget(&budget);
    assert_eq!(policy.get_name(), "save card");
    assert!(policy.get_stats().is_some_and(|stats| std::ptr::eq(&**stats, &STATS)));
    assert!(policy.get_budget().is_some_and(|own| std::ptr::eq(&**own, &*budget)));
}

/// What stopped the call decides between 503 and 500.
#[test]
fn a_mapped_error_keeps_its_reason_and_its_counts() {
    let (policy, clock) = virtual_policy();
    let fail = |fault| policy.run_blocking(|_| Err::<(), _>(fault)).expect_err("it never succeeds");
    let error = fail(CONFLICT).map(|Fault(verdict)| format!("{verdict:?}"));
    assert_eq!((error.reason, error.attempts, error.conflicts), (StopReason::AttemptsExhausted, 4, 4));
    assert_eq!((error.slept, error.name), (clock.elapsed(), "retry"));
    assert_eq!(error.error, "Retry(VersionConflict)");
    assert!(error.is_exhausted());
    assert!(!fail(HOPELESS).map(|_| ()).is_exhausted());
}

/// Boxes of errors are none themselves, so that their failures went through no `?`.
#[test]
fn failures_with_boxed_errors_go_through_question_marks() {
    type AnyError = Box<dyn Error + Send + Sync>;

    fn boxed() -> Result<(), AnyError> {
        let policy = RetryPolicy::new().classify_with(|_: &AnyError| Verdict::Stop);
        policy.run_blocking(|_| Err::<(), AnyError>("disk full".into())).map_err(RetryError::boxed)?;
        Ok(())
    }
    fn any() -> anyhow::Result<()> {
        let policy = RetryPolicy::new().classify_with(|_: &anyhow::Error| Verdict::Stop);
        let full = || anyhow::anyhow!("disk full").context("can't save");
        policy.run_blocking(|_| Err::<(), _>(full())).map_err(RetryError::boxed)?;
        Ok(())
    }
    let error = boxed().expect_err("it never succeeds");
    assert_eq!(error.to_string(), "retry: gave up at attempt 1: not retryable");
    assert_eq!(error.source().map(ToString::to_string).as_deref(), Some("disk full"));
    let error = any().expect_err("it never succeeds");
    let chain: Vec<_> = error.chain().map(ToString::to_string).collect();
    assert_eq!(chain, ["retry: gave up at attempt 1: not retryable", "can't save", "disk full"]);
}
