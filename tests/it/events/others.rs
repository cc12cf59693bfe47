//! Events of retries, and of tasks that block their workers.

use std::sync::Arc;
use std::time::Duration;

use latchwork::{
    KeyedLock, RetryPolicy,
    retry::{Jitter, VirtualClock},
    verdict::{RetryKind, Verdict},
};
use tracing::Level;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use super::capture::{Book, Capture, captured, taken};
use crate::support::{alone, no_hang, until};

#[test]
fn each_retry_is_told_before_its_wait_and_the_last_failure_is_not() {
    alone("events::others::each_retry_is_told_before_its_wait_and_the_last_failure_is_not", || {
        let policy = RetryPolicy::new().name("save card").jitter(Jitter::None).clock(VirtualClock::new());
        let policy = policy.max_attempts(3).classify_with(|_: &()| Verdict::Retry(RetryKind::Throttled));
        let seen =
            captured(Level::TRACE, || (), || assert!(policy.run_blocking(|_| Err::<(), _>(())).is_err()));
        let told = |attempt: &str, wait: &str| {
            let fields =
                [("attempt", attempt), ("kind", "Throttled"), ("name", "\"save card\""), ("wait_us", wait)];
            fields.map(|(name, value)| (name.to_owned(), value.to_owned())).into()
        };
        assert!(seen.iter().all(|event| event.level == Level::DEBUG && event.message == "retrying"));
        let fields: Vec<_> = seen.into_iter().map(|event| event.fields).collect();
        assert_eq!(fields, [told("1", "1000000"), told("2", "2000000")]);
    });
}

/// The lower bits of its microseconds were shown.
#[test]
fn a_wait_of_more_microseconds_than_there_are_numbers_is_the_highest_number() {
    alone("events::others::a_wait_of_more_microseconds_than_there_are_numbers_is_the_highest_number", || {
        let policy = RetryPolicy::new().clock(VirtualClock::new()).max_hint(Duration::MAX).max_attempts(2);
        let policy = policy.classify_with(|_: &()| Verdict::RetryAfter(RetryKind::Transient, Duration::MAX));
        let seen =
            captured(Level::TRACE, || (), || assert!(policy.run_blocking(|_| Err::<(), _>(())).is_err()));
        assert_eq!(seen.iter().map(|event| event.number("wait_us")).collect::<Vec<_>>(), [Some(u64::MAX)]);
    });
}

/// The first one of a policy was held back, since another policy had warned in the same second.
#[test]
fn each_policy_warns_of_attempts_without_their_lock_whatever_the_others_do() {
    alone("events::others::each_policy_warns_of_attempts_without_their_lock_whatever_the_others_do", || {
        let locks = Arc::new(KeyedLock::<u32>::new());
        let _in_the_way = locks.try_lock(7).expect("it is free");
        let seen = captured(
            Level::WARN,
            || (),
            || {
                for name in ["count a view", "pay"] {
                    let policy = RetryPolicy::new().name(name);
                    let change =
                        policy.retry_on_conflict_blocking(|_| Ok::<_, latchwork::Busy>(()), Ok, |()| Ok(()));
                    let change = change.escalate_after(0, &locks, 7).lock_timeout(Duration::ZERO);
                    assert!(change.run_blocking().is_ok());
                }
            },
        );
        let names: Vec<_> = seen.iter().map(|event| event.field("name")).collect();
        assert_eq!(names, [Some("\"count a view\""), Some("\"pay\"")]);
    });
}

#[test]
fn an_attempt_without_its_lock_is_a_warning() {
    alone("events::others::an_attempt_without_its_lock_is_a_warning", || {
        let policy = RetryPolicy::new().name("save card").clock(VirtualClock::new());
        let locks = Arc::new(KeyedLock::<u32>::new());
        let _in_the_way = locks.try_lock(7).expect("it is free");
        let change = policy.retry_on_conflict_blocking(|_| Ok::<_, latchwork::Busy>(()), Ok, |()| Ok(()));
        let change = change.escalate_after(0, &locks, 7).lock_timeout(Duration::ZERO);
        let seen = captured(Level::WARN, || (), || assert!(change.run_blocking().is_ok()));
        let fields = [
            ("attempt", "1"),
            ("error", "timed out waiting for the lock"),
            ("name", "\"save card\""),
            ("others", "0"),
        ];
        let fields = fields.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        let seen: Vec<_> =
            seen.into_iter().filter(|event| event.message == "attempt without its lock").collect();
        assert_eq!(
            seen.into_iter().map(|event| (event.level, event.fields)).collect::<Vec<_>>(),
            [(Level::WARN, fields)]
        );
    });
}

#[test]
fn tasks_that_block_their_workers_are_a_warning_when_they_are_many_and_when_they_have_doubled() {
    alone(
        "events::others::tasks_that_block_their_workers_are_a_warning_when_they_are_many_and_when_they_have_doubled",
        || {
            const TASKS: usize = 130;
            let seen = Book::default();
            let runtime = tokio::runtime::Builder::new_multi_thread()
                .worker_threads(1)
                .max_blocking_threads(TASKS + 1)
                .build()
                .expect("a runtime starts");
            for warnings in [&["64", "128"][..], &[]] {
                let lock = Arc::new(latchwork::RwLock::new(()));
                let held = lock.clone().write_owned().wait();
                let tasks: Vec<_> = (0..TASKS)
                    .map(|_| {
                        let lock = lock.clone();
                        let capture = Capture { seen: seen.clone(), least: Level::WARN, act: || () };
                        runtime.spawn(async move {
                            let _seen = tracing_subscriber::registry().with(capture).set_default();
                            drop(lock.read().wait());
                        })
                    })
                    .collect();
                no_hang(move || {
                    until(|| lock.try_read().is_err_and(|busy| busy.waiters == TASKS));
                    drop(held);
                });
                for task in tasks {
                    runtime.block_on(task).expect("it gets the lock");
                }
                let seen = taken(&seen);
                let parked: Vec<_> = seen.iter().filter_map(|event| event.field("parked")).collect();
                assert_eq!(parked, warnings, "once for each number: {seen:?}");
                assert!(
                    seen.iter()
                        .all(|event| event.level == Level::WARN
                            && event.message.contains("block their workers"))
                );
            }
        },
    );
}
