//! What errors say and what they mean: texts, sources, verdicts.

use std::error::Error;
use std::io;
use std::time::Duration;

use latchwork::{
    Busy, Claims, KeyedLock, Mutex, RetryPolicy, TimedOut, Versioned,
    retry::{BoxedError, RetryError, StopReason, VirtualClock, sqlstate},
    verdict::{Classify, RetryKind, Verdict},
    versioned::WriteError,
};

use crate::retry::calls::{Fault, HOPELESS, TRANSIENT, spent, virtual_policy};

#[test]
fn an_error_says_who_gave_up_when_and_why() {
    let (policy, _) = virtual_policy();
    let policy = policy.jitter(latchwork::retry::Jitter::None).name("save card");
    let said = |policy: &RetryPolicy, fault| {
        policy.run_blocking(|_| Err::<(), _>(fault)).expect_err("it never succeeds").to_string()
    };
    assert_eq!(said(&policy, HOPELESS), "save card: gave up at attempt 1: not retryable");
    assert_eq!(said(&policy, TRANSIENT), "save card: gave up at attempt 4: attempts exhausted");
    assert_eq!(
        said(&policy.clone().budget(spent()), TRANSIENT),
        "save card: gave up at attempt 1: retry budget exhausted"
    );
    assert_eq!(
        said(&policy.clone().deadline(Duration::from_millis(250)), TRANSIENT),
        "save card: gave up at attempt 2: deadline exceeded, 150ms left for a wait of 200ms"
    );
    let late = Fault(Verdict::RetryAfter(RetryKind::Throttled, Duration::from_secs(3600)));
    assert_eq!(
        said(&policy, late),
        "save card: gave up at attempt 1: the hint to wait for 3600s is too long"
    );
    assert_eq!(said(&RetryPolicy::new(), HOPELESS), "retry: gave up at attempt 1: not retryable");
}

#[test]
fn the_last_attempts_error_is_the_source_and_can_be_had() {
    let (policy, _) = virtual_policy();
    let policy = policy.classify_with(|error: &io::Error| match error.kind() {
        io::ErrorKind::ConnectionRefused => Verdict::Retry(RetryKind::Transient),
        _ => Verdict::Stop,
    });
    let mut errors = [io::ErrorKind::ConnectionRefused, io::ErrorKind::NotFound].into_iter();
    let error = policy
        .run_blocking(|_| Err::<(), _>(io::Error::from(errors.next().expect("the second one stops"))))
        .expect_err("it never succeeds");
    let source = error.source().and_then(|source| source.downcast_ref::<io::Error>());
    assert_eq!(source.map(io::Error::kind), Some(io::ErrorKind::NotFound));
    assert!(!error.to_string().contains(&error.error.to_string()), "the source is not repeated in the text");
    assert_eq!(error.into_inner().kind(), io::ErrorKind::NotFound);
}

/// The box stood in front of it, and was of another type.
#[test]
fn the_error_in_a_box_is_a_link_of_the_chain_and_found_by_its_type() {
    type AnyError = Box<dyn Error + Send + Sync>;
    #[derive(Debug, thiserror::Error)]
    #[error("the card is not saved")]
    struct NotSaved(#[source] io::Error);

    let policy = virtual_policy().0.classify_with(|_: &AnyError| Verdict::Stop);
    let fail = || {
        let inner = || NotSaved(io::Error::from(io::ErrorKind::NotFound));
        let error = policy.run_blocking(|_| Err::<(), AnyError>(inner().into()));
        error.expect_err("it never succeeds").boxed()
    };
    let error = fail();
    assert!(error.source().is_some_and(|source| source.is::<NotSaved>()));
    assert!(
        error.error.is::<NotSaved>() && error.error.source().is_some_and(|source| source.is::<io::Error>())
    );
    let chain = anyhow::Error::from(fail());
    let links: Vec<_> = chain.chain().map(ToString::to_string).collect();
    let last = io::Error::from(io::ErrorKind::NotFound).to_string();
    assert_eq!(links, ["retry: gave up at attempt 1: not retryable", "the card is not saved", &last]);
    assert!(chain.chain().any(|link| link.is::<io::Error>()));
    assert!(chain.is::<RetryError<BoxedError>>() && chain.root_cause().is::<io::Error>());
}

#[test]
fn a_failure_can_be_cloned_and_compared() {
    let fail = || virtual_policy().0.run_blocking(|_| Err::<(), _>(HOPELESS));
    let error: RetryError<Fault> = fail().expect_err("it never succeeds");
    assert_eq!((Err(error.clone()), error.reason), (fail(), StopReason::NotRetryable));
    assert_eq!(error.slept, Duration::ZERO);
}

#[test]
fn each_sqlstate_has_its_verdict() {
    for (code, kind) in [
        ("40001", RetryKind::Serialization),
        ("40P01", RetryKind::Deadlock),
        ("55P03", RetryKind::LockTimeout),
        ("23505", RetryKind::UniqueViolation),
        ("53300", RetryKind::Throttled),
        ("08001", RetryKind::Transient),
        ("08004", RetryKind::Transient),
        ("57P03", RetryKind::Transient),
    ] {
        assert_eq!(sqlstate::verdict(code), Verdict::Retry(kind), "{code}");
    }
    // Of unknown outcome, of no use again, or no code at all.
    for code in [
        "08007",
        "40003",
        "08003",
        "08006",
        "40002",
        "40000",
        "23503",
        "23502",
        "42601",
        "57014",
        "57P01",
        "00000",
        "",
        "4000",
        "400011",
        "40p01",
        " 40001",
        "40001 ",
        "４０００１",
        "no code",
    ] {
        assert_eq!(sqlstate::verdict(code), Verdict::Stop, "{code:?}");
    }
}

#[test]
fn locks_that_are_not_had_may_be_tried_again() {
    let waiting = Verdict::Retry(RetryKind::LockTimeout);
    let mutex = Mutex::new(());
    let _guard = mutex.try_lock().expect("it is free");
    let busy: Busy = mutex.try_lock().map(drop).expect_err("it is held");
    assert_eq!(busy.classify(), waiting);
    assert_eq!(Box::new(busy).classify(), waiting);
    let late: TimedOut = mutex.lock().wait_timeout(Duration::ZERO).map(drop).expect_err("it is held");
    assert_eq!(late.classify(), waiting);
    let boxed: Box<dyn Classify> = Box::new(late);
    assert_eq!(boxed.classify(), waiting);
}

#[test]
fn errors_of_other_rooms_have_their_verdict() {
    let row = Versioned::new(1);
    let stale = row.stamp();
    assert!(row.compare_and_set(stale, 2).is_ok());
    let error = row.compare_and_set(stale, 3).expect_err("it has changed");
    assert_eq!(error.classify(), Verdict::Retry(RetryKind::VersionConflict));
    let refused: WriteError<u8, Fault> = WriteError::Refused(TRANSIENT);
    assert_eq!(refused.classify(), TRANSIENT.0);
    let names = Claims::<String>::new();
    let _claim = names.try_claim("ada").expect("it is free");
    let taken = names.try_claim("ada").map(drop).expect_err("it is taken");
    assert_eq!(taken.classify(), Verdict::Retry(RetryKind::UniqueViolation));
    let none = names.claim_unique("ada", ["-2"], 1).map(drop).expect_err("it is taken");
    assert_eq!(none.classify(), Verdict::Retry(RetryKind::UniqueViolation));
}

#[test]
fn a_key_that_is_given_back_meanwhile_is_had_by_a_retry() {
    let locks = KeyedLock::<u32>::new();
    let mut held = Some(locks.try_lock(7).expect("it is free"));
    let policy = RetryPolicy::new().clock(VirtualClock::new());
    let guard = policy.run_blocking(|attempt| {
        if attempt.number() == 3 {
            held = None;
        }
        locks.try_lock(7)
    });
    assert!(guard.is_ok_and(|guard| *guard.key() == 7));
}
