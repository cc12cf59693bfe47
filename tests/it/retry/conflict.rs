//! Read, change, store if unchanged: what an attempt works on, and what it holds meanwhile.

use std::cell::{Cell, RefCell};
use std::future::ready;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::executor::block_on;
use latchwork::{
    KeyedLock, RetryPolicy, Versioned,
    retry::{Attempt, Clock, Sleep, StopReason, VirtualClock},
    verdict::{RetryKind, Verdict},
    versioned::{Snapshot, WriteError},
};

use crate::retry::calls::{CONFLICT, Fault, HOPELESS, TRANSIENT, virtual_policy};
use crate::retry::remote::{Answer, Remote};
use crate::support::panic_of;

/// What was loaded: it can neither be copied nor cloned.
#[derive(PartialEq, Debug)]
struct Loaded(u32);

/// What is to be stored.
#[derive(PartialEq, Debug)]
struct Changed(u32);

#[test]
fn each_attempt_loads_once_and_stores_what_was_made_of_that() {
    for failures in 0..4 {
        let (policy, _) = virtual_policy();
        let log = RefCell::new(Vec::new());
        let loads = Cell::new(0);
        let out = block_on(
            policy
                .retry_on_conflict(
                    |_| {
                        loads.set(loads.get() + 1);
                        log.borrow_mut().push(("load", loads.get()));
                        let loaded = Loaded(loads.get());
                        async move { Ok(loaded) }
                    },
                    |Loaded(load)| {
                        log.borrow_mut().push(("apply", load));
                        Ok(Changed(load))
                    },
                    |Changed(load)| {
                        log.borrow_mut().push(("store", load));
                        ready(if load > failures { Ok(load) } else { Err(CONFLICT) })
                    },
                )
                .run(),
        );
        assert_eq!(out, Ok(failures + 1));
        let expected: Vec<_> =
            (1..=failures + 1).flat_map(|n| ["load", "apply", "store"].map(|at| (at, n))).collect();
        assert_eq!(log.into_inner(), expected);
    }
}

#[test]
fn whichever_part_fails_is_classified_and_those_after_it_do_not_run() {
    for (part, ran) in [("load", [4, 0, 0]), ("apply", [4, 4, 0]), ("store", [4, 4, 4])] {
        for fault in [TRANSIENT, HOPELESS] {
            let (policy, _) = virtual_policy();
            let counts = [Cell::new(0), Cell::new(0), Cell::new(0)];
            let run = |at: usize, name| {
                counts[at].set(counts[at].get() + 1);
                if name == part { Err(fault) } else { Ok(()) }
            };
            let change = policy.retry_on_conflict(
                |_| ready(run(0, "load")),
                |()| run(1, "apply"),
                |()| ready(run(2, "store")),
            );
            let error = block_on(change.run()).expect_err("it never succeeds");
            let share = if fault == TRANSIENT { 1 } else { 4 };
            assert_eq!(counts.map(Cell::into_inner), ran.map(|times| times / share));
            assert_eq!((error.error, error.attempts), (fault, 4 / share));
        }
    }
}

#[test]
fn attempts_are_made_alone_after_so_many_conflicts_of_their_own() {
    let ways = |conflicts, faults: [Fault; 3]| {
        let (lock, mut faults) = (Remote::new(|_| Answer::Grants), faults.into_iter());
        let policy = virtual_policy().0.max_attempts(10);
        let change =
            policy.retry_on_conflict(async |_| Ok(()), Ok, |()| ready(faults.next().map_or(Ok(()), Err)));
        assert!(block_on(change.escalate_after(conflicts, &lock, "row").run()).is_ok());
        lock.ways()
    };
    let (together, alone) = ("together", "alone");
    assert_eq!(ways(0, [CONFLICT; 3]), [alone; 4]);
    assert_eq!(ways(1, [CONFLICT; 3]), [together, alone, alone, alone]);
    assert_eq!(ways(2, [CONFLICT; 3]), [together, together, alone, alone]);
    assert_eq!(ways(9, [CONFLICT; 3]), [together; 4]);
    let deadlock = Fault(Verdict::RetryAfter(RetryKind::Deadlock, Duration::ZERO));
    assert_eq!(ways(2, [TRANSIENT, CONFLICT, deadlock]), [together, together, together, alone]);
    assert_eq!(ways(1, [TRANSIENT; 3]), [together; 4], "only conflicts escalate");
}

#[test]
fn a_keyed_lock_lets_those_in_together_who_did_not_escalate() {
    for (escalation, is_shared) in [(0, false), (1, true)] {
        let (policy, locks) = (virtual_policy().0, Arc::new(KeyedLock::<&str>::new()));
        let change = policy.retry_on_conflict(
            async |_| {
                assert_eq!(locks.snapshot()[0].is_shared(), is_shared);
                assert_eq!(locks.try_lock_shared("row").is_ok(), is_shared);
                assert!(locks.try_lock("row").is_err() && locks.try_lock("another").is_ok());
                Ok(())
            },
            Ok::<_, Fault>,
            |()| ready(Ok(7)),
        );
        assert_eq!(block_on(change.escalate_after(escalation, &locks, "row").run()), Ok(7));
        assert!(locks.is_empty());
    }
}

/// A clock that looks whether the key is free whenever a retry begins to wait.
struct Watching {
    clock: VirtualClock,
    locks: Arc<KeyedLock<u32>>,
}

impl Clock for Watching {
    fn sleep(&self, wait: Duration) -> Sleep {
        assert!(self.locks.try_lock(7).is_ok(), "the key is held while it waits");
        let (sleep, locks) = (self.clock.sleep(wait), self.locks.clone());
        Box::pin(async move {
            sleep.await;
            assert!(locks.is_empty(), "the key is taken before the wait is over");
        })
    }

    fn now(&self) -> Instant {
        assert!(self.locks.is_empty());
        self.clock.now()
    }
}

#[test]
fn nothing_is_held_while_it_waits() {
    for escalation in [0, 1, 3] {
        let (clock, locks) = (VirtualClock::new(), Arc::new(KeyedLock::new()));
        let policy =
            RetryPolicy::new().jitter(latchwork::retry::Jitter::None).deadline(Duration::from_secs(3600));
        let policy = policy.clock(Watching { clock: clock.clone(), locks: locks.clone() });
        let change = policy.retry_on_conflict(async |_| Ok(()), Ok, |()| ready(Err::<(), _>(CONFLICT)));
        let error =
            block_on(change.escalate_after(escalation, &locks, 7).run()).expect_err("it never succeeds");
        assert_eq!((error.attempts, error.conflicts, clock.waits().len()), (4, 4, 3));
        assert!(locks.is_empty());
    }
}

/// The deadline does not limit how long it waits for its key, but that time counts.
#[test]
fn an_attempt_whose_key_comes_late_is_made_and_the_last_one_if_it_fails() {
    let (policy, clock) = virtual_policy();
    let policy = policy.jitter(latchwork::retry::Jitter::None).deadline(Duration::from_millis(1500));
    let made = Cell::new(0);
    for (conflicts, attempts) in [(0, 1), (1, 2), (9, 2)] {
        made.set(0);
        let change = policy.retry_on_conflict(
            async |_| Ok(()),
            Ok,
            |()| {
                made.set(made.get() + 1);
                ready(if made.get() > conflicts { Ok(()) } else { Err(CONFLICT) })
            },
        );
        let passing = clock.clone();
        // Time passes before each grant, as it does in a long queue.
        let slow = Remote::with_hook(|_| Answer::Grants, move |_| passing.advance(Duration::from_secs(1)));
        let out = block_on(change.escalate_after(0, &slow, 7).run());
        assert_eq!(made.get(), attempts);
        match out {
            Ok(()) => assert!(conflicts < 2),
            Err(error) => {
                assert!(matches!(error.reason, StopReason::DeadlineExceeded { left: Duration::ZERO, .. }));
                assert_eq!((error.attempts, conflicts), (2, 9));
            }
        }
    }
}

/// It writes between the load and the store of each attempt, and takes no key.
#[test]
fn an_escalated_attempt_can_lose_against_a_writer_that_ignores_the_lock() {
    let (policy, locks) = (virtual_policy().0, Arc::new(KeyedLock::<u32>::new()));
    let row = Cell::new((1, 0));
    let foreign = |row: &Cell<(u32, u32)>| row.set((row.get().0 + 1, row.get().1 + 100));
    for stubborn in [2, 3, 4] {
        row.set((1, 0));
        let mut attempts = 0;
        let change = policy.retry_on_conflict(
            async |_| Ok::<_, Fault>(row.get()),
            |(version, value)| {
                attempts += 1;
                if attempts <= stubborn {
                    foreign(&row);
                }
                Ok((version, value + 1))
            },
            async |(version, value)| {
                if row.get().0 != version {
                    return Err(CONFLICT);
                }
                row.set((version + 1, value));
                Ok(value)
            },
        );
        let out = block_on(change.escalate_after(0, &locks, 7).run());
        if stubborn < 4 {
            assert_eq!(out, Ok(100 * stubborn + 1));
        } else {
            let error = out.expect_err("it lost every time");
            assert_eq!(
                (error.reason, error.attempts, error.conflicts),
                (StopReason::AttemptsExhausted, 4, 4)
            );
            assert_eq!(row.get().1, 400);
        }
        assert!(locks.is_empty());
    }
}

#[test]
fn what_is_set_up_does_nothing_until_it_is_run() {
    let (policy, locks) = (virtual_policy().0, Arc::new(KeyedLock::<u32>::new()));
    let change = policy.retry_on_conflict(
        |_| -> std::future::Ready<Result<(), Fault>> { panic!("it must not be called") },
        Ok,
        |()| ready(Ok(())),
    );
    let change = change.escalate_after(0, &locks, 7);
    assert!(format!("{change:?}").starts_with("RetryOnConflict"));
    // Nor does its future until it is polled.
    drop(change.run());
    assert!(locks.is_empty() && locks.counts().acquired == 0);
}

/// With 4 attempts there are 3 conflicts at most before one of them.
#[test]
fn an_escalation_that_can_never_come_is_refused() {
    let locks = Arc::new(KeyedLock::<u32>::new());
    for (attempts, conflicts, is_refused) in [(4, 3, false), (4, 4, true), (1, 0, false), (1, 1, true)] {
        let policy = virtual_policy().0.max_attempts(attempts);
        let change = || policy.retry_on_conflict_blocking(|_| Ok::<_, Fault>(()), Ok, |()| Ok(()));
        if is_refused {
            let said =
                format!("no attempt comes after {conflicts} conflicts: the policy makes {attempts} at most");
            assert_eq!(panic_of(|| change().escalate_after(conflicts, &locks, 7)), said);
        } else {
            assert!(change().escalate_after(conflicts, &locks, 7).run_blocking().is_ok());
        }
    }
}

/// Each attempt read the same stale value.
#[test]
fn a_load_is_told_its_attempt_so_that_it_can_go_past_its_cache() {
    let (policy, row) = (virtual_policy().0, Versioned::new(1));
    let cached = row.snapshot();
    row.modify(|value| value + 1).expect("stamps are left");
    let load = |attempt: Attempt| {
        assert_eq!(attempt.number(), attempt.conflicts() + 1);
        if attempt.conflicts() == 0 { cached.clone() } else { row.snapshot() }
    };
    let apply = |loaded: Snapshot<i32>| Ok::<_, WriteError<i32>>((loaded.stamp(), *loaded + 1));
    let change = policy.retry_on_conflict(
        async |attempt| Ok(load(attempt)),
        apply,
        async |(stamp, value)| row.compare_and_set(stamp, value),
    );
    assert_eq!(block_on(change.run()).map(|stored| *stored).ok(), Some(3));
    let change = policy.retry_on_conflict_blocking(
        |attempt| Ok(load(attempt)),
        apply,
        |(stamp, value)| row.compare_and_set(stamp, value),
    );
    assert_eq!(change.run_blocking().map(|stored| *stored).ok(), Some(4));
}
