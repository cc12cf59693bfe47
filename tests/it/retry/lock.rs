//! Attempts whose lock can't be acquired, or is lost: they are made without it, and say so.

use std::cell::Cell;
use std::future::ready;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::executor::block_on;
use latchwork::provider::{AnyLocks, LockError};
use latchwork::{
    KeyedLock, RetryPolicy, Versioned,
    error::{Busy, TimedOut},
    retry::{Classifier, RetryCounts, RetryError, RetryStats, Retrying, VirtualClock},
    verdict::{Classify, RetryKind, Verdict},
    versioned::WriteError,
};

use crate::retry::calls::{CONFLICT, Fault, virtual_policy};
use crate::retry::remote::{Answer, Remote};
use crate::support::panic_of;

/// What a policy reported, in order.
#[derive(PartialEq, Eq, Debug)]
enum Event {
    Retry(u32),
    WithoutLock(u32, String),
}

/// Notes retries, whatever the error is.
#[derive(Clone)]
struct Noting(Arc<Mutex<Vec<Event>>>);

impl<E: Classify> Classifier<E> for Noting {
    fn verdict(&self, error: &E) -> Verdict {
        error.classify()
    }

    fn retrying(&self, retry: &Retrying<'_, E>) {
        self.0.lock().expect("no panic").push(Event::Retry(retry.attempt));
    }
}

#[derive(Clone)]
struct Watched {
    policy: RetryPolicy<Noting>,
    clock: VirtualClock,
    stats: Arc<RetryStats>,
    events: Arc<Mutex<Vec<Event>>>,
}

impl Watched {
    fn new() -> Self {
        let clock = VirtualClock::new();
        let (stats, events) = (Arc::new(RetryStats::new()), Arc::new(Mutex::new(Vec::new())));
        let without_lock = events.clone();
        let policy = RetryPolicy::with_classifier(Noting(events.clone()))
            .clock(clock.clone())
            .name("save")
            .stats(&stats)
            .on_without_lock(move |it| {
                assert_eq!(it.name, "save");
                without_lock
                    .lock()
                    .expect("no panic")
                    .push(Event::WithoutLock(it.attempt, it.error.to_string()));
            });
        Self { policy, clock, stats, events }
    }

    fn events(&self) -> Vec<Event> {
        std::mem::take(&mut self.events.lock().expect("no panic"))
    }

    fn counts(&self) -> RetryCounts {
        self.stats.counts()
    }
}

/// How a call waits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Wait {
    InTask,
    OnThread,
}

const WAITS: [Wait; 2] = [Wait::InTask, Wait::OnThread];

/// Makes a call whose first attempts end in conflicts. Returns how many attempts were made.
fn call(
    wait: Wait,
    policy: &RetryPolicy<Noting>,
    lock: &Remote,
    (after, timeout): (u32, Option<Duration>),
    conflicts: u32,
) -> Result<u32, RetryError<Fault>> {
    let made = Cell::new(0);
    let attempt = || {
        made.set(made.get() + 1);
        if made.get() > conflicts { Ok(made.get()) } else { Err(CONFLICT) }
    };
    match wait {
        Wait::InTask => {
            let change = policy.retry_on_conflict(async |_| Ok(()), Ok, |()| ready(attempt()));
            let change = change.escalate_after(after, lock, 7_u32);
            block_on(match timeout {
                Some(timeout) => change.lock_timeout(timeout).run(),
                None => change.run(),
            })
        }
        Wait::OnThread => {
            let change = policy.retry_on_conflict_blocking(|_| Ok(()), Ok, |()| attempt());
            let change = change.escalate_after(after, lock, 7_u32);
            match timeout {
                Some(timeout) => change.lock_timeout(timeout).run_blocking(),
                None => change.run_blocking(),
            }
        }
    }
}

fn busy() -> LockError {
    Busy::new(0, None).into()
}

fn timed_out() -> LockError {
    TimedOut::new().into()
}

fn unavailable() -> LockError {
    LockError::Unavailable(Box::new(io::Error::from(io::ErrorKind::ConnectionRefused)))
}

type Counted = fn(&RetryCounts) -> u64;

/// Each way in which a lock is not acquired, and the counter of it.
const FAILURES: [(fn() -> LockError, Counted); 6] = [
    (timed_out, |counts| counts.lock_timed_out),
    (busy, |counts| counts.lock_refused),
    (|| LockError::QueueFull, |counts| counts.lock_refused),
    (|| LockError::BadKey("it is too long".into()), |counts| counts.lock_refused),
    (|| LockError::Lost, |counts| counts.lock_lost),
    (unavailable, |counts| counts.lock_unavailable),
];

#[test]
fn an_attempt_whose_lock_is_not_acquired_is_made_without_it_and_says_so() {
    for wait in WAITS {
        for (error, counted) in FAILURES {
            for answer in [Answer::Refuses(error), Answer::RefusesLate(error)] {
                let watched = Watched::new();
                // The first attempt shares the key, the second has none, the third is alone.
                let lock = Remote::new(move |n| if n == 1 { answer } else { Answer::Grants });
                assert_eq!(call(wait, &watched.policy, &lock, (2, None), 2), Ok(3));
                let without = Event::WithoutLock(2, error().to_string());
                assert_eq!(watched.events(), [Event::Retry(1), without, Event::Retry(2)]);
                let counts = watched.counts();
                assert_eq!((counted(&counts), counts.without_lock(), counts.attempts), (1, 1, 3));
                assert_eq!((lock.ways(), lock.held()), (vec!["together", "together", "alone"], 0));
            }
        }
    }
}

#[test]
fn a_lock_that_is_lost_when_it_arrives_is_not_held_for_the_attempt() {
    let (watched, lock) = (Watched::new(), Remote::new(|_| Answer::Loses));
    let seen = lock.clone();
    let store = move |()| Ok::<_, Fault>(seen.held());
    let change = watched.policy.retry_on_conflict_blocking(|_| Ok(()), Ok, store);
    assert_eq!(change.escalate_after(0, &lock, 7_u32).run_blocking(), Ok(0));
    assert_eq!((watched.counts().lock_lost, watched.counts().without_lock()), (1, 1));
}

#[test]
fn the_time_limit_of_the_lock_may_be_set_before_the_lock() {
    let (watched, lock) = (Watched::new(), Remote::new(|_| Answer::Hangs));
    let change = watched.policy.retry_on_conflict_blocking(|_| Ok::<_, Fault>(()), Ok, |()| Ok(()));
    let change = change.lock_timeout(Duration::ZERO).escalate_after(0, &lock, 7_u32);
    assert_eq!(change.run_blocking(), Ok(()));
    assert_eq!((watched.counts().lock_timed_out, lock.withdrawn()), (1, 1));
}

#[test]
fn a_provider_that_is_down_does_not_fail_calls_and_each_attempt_says_so() {
    for wait in WAITS {
        let (watched, lock) = (Watched::new(), Remote::new(|_| Answer::Refuses(unavailable)));
        assert_eq!(call(wait, &watched.policy, &lock, (1, None), 3), Ok(4));
        let said: Vec<_> = (1..=4).map(|n| Event::WithoutLock(n, unavailable().to_string())).collect();
        let events = watched.events();
        assert_eq!(events.iter().filter(|event| matches!(event, Event::Retry(_))).count(), 3);
        let without_lock: Vec<_> =
            events.into_iter().filter(|event| matches!(event, Event::WithoutLock(..))).collect();
        assert_eq!(without_lock, said);
        assert_eq!((watched.counts().lock_unavailable, watched.counts().retried_ok), (4, 1));
    }
}

#[test]
fn a_lock_that_does_not_come_in_time_is_withdrawn_and_the_attempt_is_made() {
    for timeout in [Duration::ZERO, Duration::from_millis(1)] {
        for wait in WAITS {
            let (watched, lock) = (Watched::new(), Remote::new(|_| Answer::Hangs));
            assert_eq!(call(wait, &watched.policy, &lock, (0, Some(timeout)), 1), Ok(2));
            let late = || timed_out().to_string();
            let events = [Event::WithoutLock(1, late()), Event::Retry(1), Event::WithoutLock(2, late())];
            assert_eq!(watched.events(), events);
            assert_eq!((lock.withdrawn(), lock.held(), watched.counts().lock_timed_out), (2, 0, 2));
        }
    }
}

/// The limit is counted by the policy's clock.
#[test]
fn each_attempt_waits_for_its_lock_as_long_as_it_was_told() {
    let (watched, lock) = (Watched::new(), Remote::new(|_| Answer::Hangs));
    let policy = watched.policy.clone().base_delay(Duration::ZERO);
    let limit = Duration::from_secs(3600);
    assert_eq!(call(Wait::InTask, &policy, &lock, (0, Some(limit)), 1), Ok(2));
    assert_eq!(watched.clock.waits(), [limit; 2]);
}

#[test]
fn a_lock_that_comes_late_but_in_time_is_held() {
    for wait in WAITS {
        for timeout in [None, Some(Duration::from_secs(3600))] {
            let (watched, lock) = (Watched::new(), Remote::new(|_| Answer::GrantsLate));
            assert_eq!(call(wait, &watched.policy, &lock, (1, timeout), 1), Ok(2));
            assert_eq!(watched.events(), [Event::Retry(1)]);
            assert_eq!((watched.counts().without_lock(), lock.withdrawn(), lock.held()), (0, 0, 0));
        }
    }
}

/// It may have written already: whether it has, its store says.
#[test]
fn an_attempt_that_loses_its_lock_is_not_interrupted_and_says_so_after_it() {
    for wait in WAITS {
        let (watched, lock) = (Watched::new(), Remote::new(|_| Answer::Loses));
        assert_eq!(call(wait, &watched.policy, &lock, (0, None), 1), Ok(2));
        let lost = || LockError::Lost.to_string();
        assert_eq!(
            watched.events(),
            [Event::WithoutLock(1, lost()), Event::Retry(1), Event::WithoutLock(2, lost())]
        );
        assert_eq!((watched.counts().lock_lost, watched.counts().without_lock(), lock.held()), (2, 2, 0));
    }
}

/// The stamp protects what the lost lock does not.
#[test]
fn a_writer_that_comes_while_the_lock_is_lost_is_not_overwritten() {
    let (row, watched) = (Versioned::new(0), Watched::new());
    let lock = Remote::new(|n| if n == 0 { Answer::Loses } else { Answer::Grants });
    let mut is_first = true;
    let change = watched.policy.retry_on_conflict_blocking(
        |_| Ok(row.snapshot()),
        |loaded| {
            if std::mem::take(&mut is_first) {
                row.modify(|_| 100).expect("stamps are left");
            }
            Ok((loaded.stamp(), *loaded + 1))
        },
        |(stamp, number)| row.compare_and_set(stamp, number),
    );
    let stored: Result<_, RetryError<WriteError<i32>>> = change.escalate_after(0, &lock, 7).run_blocking();
    assert_eq!(stored.map(|stored| *stored).ok(), Some(101));
    assert_eq!(watched.counts().lock_lost, 1);
}

#[test]
fn with_a_provider_that_cannot_share_only_escalated_attempts_take_the_key() {
    for wait in WAITS {
        let (watched, lock) = (Watched::new(), Remote::new(|_| Answer::Grants).that_cannot_share());
        assert_eq!(call(wait, &watched.policy, &lock, (2, None), 3), Ok(4));
        assert_eq!(lock.ways(), ["alone", "alone"]);
        // Nothing was asked for, so nothing is missing.
        assert_eq!(watched.counts().without_lock(), 0);
    }
}

#[test]
fn a_provider_chosen_at_run_time_is_a_lock() {
    let local: Arc<KeyedLock<u32>> = Arc::default();
    for locks in [AnyLocks::new(local.clone()), AnyLocks::new(Remote::new(|_| Answer::GrantsLate))] {
        let policy = virtual_policy().0;
        let change = policy.retry_on_conflict(async |_| Ok::<_, Fault>(()), Ok, async |()| Ok(7));
        assert_eq!(block_on(change.escalate_after(1, &locks, 7).run()), Ok(7));
        let change = policy.retry_on_conflict_blocking(|_| Ok::<_, Fault>(()), Ok, |()| Ok(7));
        assert_eq!(change.escalate_after(1, &locks, 7).run_blocking(), Ok(7));
    }
    assert!(local.is_empty());
}

#[test]
fn threads_that_escalate_all_store() {
    const THREADS: u32 = 8;
    let (row, locks) = (Versioned::new(0), Arc::new(KeyedLock::<&str>::new()));
    let policy = RetryPolicy::new().max_attempts(2).base_delay(Duration::ZERO);
    std::thread::scope(|s| {
        for _ in 0..THREADS {
            s.spawn(|| {
                let change = policy.retry_on_conflict_blocking(
                    |_| Ok(row.snapshot()),
                    |loaded| {
                        std::thread::yield_now();
                        Ok((loaded.stamp(), *loaded + 1))
                    },
                    |(stamp, number)| row.compare_and_set(stamp, number),
                );
                let stored: Result<_, RetryError<WriteError<u32>>> =
                    change.escalate_after(1, &locks, "row").run_blocking();
                assert!(stored.is_ok(), "an escalated attempt lost");
            });
        }
    });
    assert_eq!(*row.snapshot(), THREADS);
    assert!(locks.is_empty());
}

#[test]
fn a_thread_that_gives_up_its_lock_leaves_the_queue() {
    let (watched, locks) = (Watched::new(), Arc::new(KeyedLock::<u32>::new()));
    let held = locks.try_lock(7).expect("it is free");
    for after in [0, 3] {
        let change = watched.policy.retry_on_conflict_blocking(|_| Ok::<_, Fault>(()), Ok, |()| Ok(7));
        let change = change.escalate_after(after, &locks, 7).lock_timeout(Duration::from_millis(1));
        assert_eq!(change.run_blocking(), Ok(7));
        assert_eq!(locks.snapshot()[0].waiters(), 0);
    }
    assert_eq!(watched.counts().lock_timed_out, 2);
    drop(held);
    assert!(locks.is_empty());
}

/// It was accepted, and escalated never.
#[test]
fn an_escalation_after_conflicts_that_are_not_retried_is_refused() {
    let locks = Arc::new(KeyedLock::<u32>::new());
    let without = |kinds: &[RetryKind]| {
        kinds.iter().fold(RetryPolicy::new(), |policy, kind| policy.retry_kind(*kind, false))
    };
    let escalate = |policy: RetryPolicy, after| {
        let change = policy.retry_on_conflict_blocking(|_| Ok::<_, Fault>(()), Ok, |()| Ok(()));
        change.escalate_after(after, &locks, 7).run_blocking()
    };
    let conflicts = [RetryKind::VersionConflict, RetryKind::Deadlock, RetryKind::Serialization];
    assert_eq!(
        panic_of(|| escalate(without(&conflicts), 2)),
        "no attempt comes after 2 conflicts: the policy retries no kind of conflict"
    );
    assert_eq!(escalate(without(&conflicts), 0), Ok(()));
    assert_eq!(escalate(without(&conflicts[..2]), 2), Ok(()));
    // How many waits there will be is not known.
    assert_eq!(escalate(RetryPolicy::new().schedule(|| [Duration::ZERO]), 3), Ok(()));
}
