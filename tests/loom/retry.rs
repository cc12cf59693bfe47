//! Retries: tokens are conserved, and who escalates neither loses nor blocks anybody for ever.

use std::collections::hash_map::DefaultHasher;
use std::future::{Future, ready};
use std::hash::BuildHasherDefault;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use latchwork::{
    KeyedLock, RetryPolicy,
    keyed::KeyedBuilder,
    retry::{Budget, Clock, RetryError, RetryStats, Sleep, StopReason, VirtualClock},
    verdict::{Classify, RetryKind, Verdict},
};
use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::thread;

use crate::support::{Seen, Watched, check, poll_once};

#[derive(Clone, Copy, PartialEq, Debug)]
enum Fault {
    Down,
    Stale,
}

impl Classify for Fault {
    fn classify(&self) -> Verdict {
        Verdict::Retry(match self {
            Self::Down => RetryKind::Transient,
            Self::Stale => RetryKind::VersionConflict,
        })
    }
}

type Out<T> = Result<T, RetryError<Fault>>;

/// Retries that cost a token each, and are made at once.
fn paying(budget: &Arc<Budget>, attempts: u32) -> RetryPolicy {
    let policy = RetryPolicy::new().max_attempts(attempts).base_delay(Duration::ZERO);
    policy.budget(budget).clock(VirtualClock::new())
}

/// A budget by which each retry costs the same, and that time does not refill.
fn flat(tokens: u32, price: u32) -> Budget {
    let budget = Budget::new(tokens).refill_per_second(0);
    RetryKind::ALL.iter().fold(budget, |budget, kind| budget.price(*kind, price))
}

fn budget(tokens: u32) -> Arc<Budget> {
    Arc::new(flat(tokens, 1))
}

/// A call whose attempts fail `failures` times.
fn call(policy: &RetryPolicy, failures: u32) -> Out<()> {
    policy.run_blocking(|attempt| if attempt.number() > failures { Ok(()) } else { Err(Fault::Down) })
}

#[test]
fn the_last_token_pays_for_one_retry() {
    check(None, 18, || {
        let budget = budget(1);
        let rivals: Vec<_> = (0..2)
            .map(|_| {
                let policy = paying(&budget, 2);
                thread::spawn(move || call(&policy, 2).unwrap_err())
            })
            .collect();
        let mut ends: Vec<_> = rivals
            .into_iter()
            .map(|rival| rival.join().unwrap())
            .map(|error| (error.attempts, error.reason))
            .collect();
        ends.sort_by_key(|end| end.0);
        assert_eq!(ends, [(1, StopReason::BudgetExhausted), (2, StopReason::AttemptsExhausted)]);
        assert_eq!(budget.tokens(), 0);
    });
}

/// One pays twice and gets the second price back, one pays and gets nothing back, one is dropped while it waits.
#[test]
fn tokens_are_conserved_by_those_who_pay_succeed_fail_and_are_dropped() {
    check(Some(3), 7_000, || {
        let budget = Arc::new(flat(9, 2));
        let succeeds = {
            let policy = paying(&budget, 3);
            thread::spawn(move || assert_eq!(call(&policy, 2), Ok(())))
        };
        let fails = {
            let policy = paying(&budget, 2);
            thread::spawn(move || assert!(call(&policy, 2).is_err_and(|error| error.attempts == 2)))
        };
        let policy = paying(&budget, 2).base_delay(Duration::from_secs(1));
        {
            let mut waits = pin!(policy.run(|_| ready(Err::<(), _>(Fault::Down))));
            assert!(poll_once(waits.as_mut()).is_pending());
        }
        succeeds.join().unwrap();
        fails.join().unwrap();
        // Spent are the first retry of the one, and the only one of the other.
        assert_eq!(budget.tokens(), 9 - 2 - 2);
    });
}

#[test]
fn there_are_never_more_tokens_than_at_the_start() {
    check(None, 45, || {
        let budget = Arc::new(flat(2, 2).earnings(1));
        let refunded = {
            let policy = paying(&budget, 2);
            thread::spawn(move || drop(call(&policy, 1)))
        };
        let earns = {
            let policy = paying(&budget, 2);
            thread::spawn(move || assert_eq!(call(&policy, 0), Ok(())))
        };
        assert!(budget.tokens() <= 2);
        refunded.join().unwrap();
        earns.join().unwrap();
        assert_eq!(budget.tokens(), 2);
    });
}

/// An hour has passed since it was full, or empty: either way there are two tokens, and no more.
#[test]
fn time_fills_a_budget_once_and_never_beyond_its_capacity() {
    for uses_it_up in [false, true] {
        check(None, 18, move || {
            let budget = Arc::new(flat(2, 2).earnings(0).refill_per_second(1));
            let clock = VirtualClock::new();
            let policy = || paying(&budget, 2).clock(clock.clone());
            if uses_it_up {
                assert!(call(&policy(), 2).is_err());
                assert_eq!(budget.tokens(), 0);
            }
            clock.advance(Duration::from_secs(3600));
            let other = {
                let policy = policy();
                thread::spawn(move || call(&policy, 2).unwrap_err().attempts)
            };
            let mut attempts = [call(&policy(), 2).unwrap_err().attempts, other.join().unwrap()];
            attempts.sort_unstable();
            assert_eq!((attempts, budget.tokens()), ([1, 2], 0));
        });
    }
}

#[test]
fn what_a_dropped_wait_gives_back_pays_for_anothers_retry() {
    let seen = Seen::default();
    let noted = seen.clone();
    check(None, 6, move || {
        let (budget, stats) = (budget(1), Arc::new(RetryStats::new()));
        let policy = paying(&budget, 2).base_delay(Duration::from_secs(1)).stats(&stats);
        let mut waits = Box::pin(async { policy.run(|_| ready(Err::<(), _>(Fault::Down))).await });
        assert!(poll_once(waits.as_mut()).is_pending());
        let other = {
            let policy = paying(&budget, 2);
            thread::spawn(move || call(&policy, 1).is_ok())
        };
        drop(waits);
        let retried = other.join().unwrap();
        noted.note(retried);
        assert_eq!((budget.tokens(), stats.counts().abandoned), (1, 1));
    });
    seen.both();
}

/// The same hash in every execution; a model's table has one shard.
type Fixed = BuildHasherDefault<DefaultHasher>;
type Locks = Arc<KeyedLock<u8, Fixed>>;

fn locks() -> Locks {
    let builder: KeyedBuilder<u8, Fixed> = KeyedLock::builder().hasher(Fixed::default());
    Arc::new(builder.build())
}

/// A number that is stored only if it is still the one that was loaded.
#[derive(Default)]
struct Row(AtomicUsize);

impl Row {
    fn load(&self) -> usize {
        self.0.load(Ordering::Acquire)
    }

    fn store(&self, loaded: usize, changed: usize) -> Result<usize, Fault> {
        let stored = self.0.compare_exchange(loaded, changed, Ordering::AcqRel, Ordering::Acquire);
        stored.map(|_| changed).map_err(|_| Fault::Stale)
    }
}

fn increment<'a>(
    policy: &'a RetryPolicy,
    row: &'a Row,
    locks: &'a Locks,
    escalation: u32,
) -> impl Future<Output = Out<usize>> + 'a {
    let change = policy.retry_on_conflict(
        |_| ready(Ok(row.load())),
        |loaded| Ok((loaded, loaded + 1)),
        |(loaded, changed)| ready(row.store(loaded, changed)),
    );
    change.escalate_after(escalation, locks, 7).run()
}

fn at_once(attempts: u32) -> RetryPolicy {
    RetryPolicy::new().max_attempts(attempts).base_delay(Duration::ZERO).clock(VirtualClock::new())
}

/// Runs a task that notes whether its call met a conflict, which it survives.
fn task(noted: &Seen, tries: &Seen, row: &Row, locks: &Locks, attempts: u32, escalation: u32) {
    let stats = Arc::new(RetryStats::new());
    let policy = at_once(attempts).stats(&stats);
    let out = noted.task(increment(&policy, row, locks, escalation));
    assert!(out.is_ok(), "an escalated attempt lost: {out:?}");
    tries.note(stats.counts().conflicts > 0);
}

#[test]
fn two_tasks_that_escalate_at_the_first_conflict_both_store() {
    let (seen, tries) = (Seen::default(), Seen::default());
    let (noted, tried) = (seen.clone(), tries.clone());
    check(None, 110, move || {
        let (locks, row) = (locks(), Arc::new(Row::default()));
        let other = {
            let (locks, row, noted, tried) = (locks.clone(), row.clone(), noted.clone(), tried.clone());
            thread::spawn(move || task(&noted, &tried, &row, &locks, 2, 1))
        };
        task(&noted, &tried, &row, &locks, 2, 1);
        other.join().unwrap();
        assert_eq!(row.load(), 2);
        assert!(locks.is_empty());
    });
    seen.both();
    tries.both();
}

#[test]
fn who_is_alone_from_the_start_never_meets_a_conflict() {
    let (seen, tries) = (Seen::default(), Seen::default());
    let (noted, tried) = (seen.clone(), tries.clone());
    check(None, 13, move || {
        let (locks, row) = (locks(), Arc::new(Row::default()));
        let other = {
            let (locks, row, noted, tried) = (locks.clone(), row.clone(), noted.clone(), tried.clone());
            thread::spawn(move || task(&noted, &tried, &row, &locks, 1, 0))
        };
        // The other is alone: neither of them can get between the other's load and store.
        let policy = at_once(2).retry_kind(RetryKind::VersionConflict, false);
        let out = noted.task(increment(&policy, &row, &locks, 1));
        assert!(out.is_ok(), "it met a conflict: {out:?}");
        other.join().unwrap();
        assert_eq!(row.load(), 2);
        assert!(locks.is_empty());
    });
    seen.both();
}

/// Loom itself reports two that are inside at the same time, or one that does not see the other's write.
#[test]
fn attempts_that_are_made_alone_exclude_each_other() {
    let seen = Seen::default();
    let noted = seen.clone();
    check(None, 13, move || {
        let (locks, value) = (locks(), Arc::new(Watched::default()));
        let add = |noted: &Seen, locks: &Locks, value: &Watched| {
            let policy = at_once(1);
            let change = policy.retry_on_conflict(
                |_| ready(Ok::<_, Fault>(value.get())),
                Ok,
                |_| {
                    value.add(1);
                    ready(Ok(()))
                },
            );
            noted.task(change.escalate_after(0, locks, 7).run()).unwrap();
        };
        let other = {
            let (locks, value, noted) = (locks.clone(), value.clone(), noted.clone());
            thread::spawn(move || add(&noted, &locks, &value))
        };
        add(&noted, &locks, &value);
        other.join().unwrap();
        assert_eq!(value.get(), 2);
    });
    seen.both();
}

#[test]
fn three_tasks_that_escalate_at_different_times_all_store() {
    let (seen, tries) = (Seen::default(), Seen::default());
    let (noted, tried) = (seen.clone(), tries.clone());
    check(Some(3), 900, move || {
        let (locks, row) = (locks(), Arc::new(Row::default()));
        let others: Vec<_> = [(1, 0), (2, 1)]
            .into_iter()
            .map(|(attempts, escalation)| {
                let (locks, row, noted, tried) = (locks.clone(), row.clone(), noted.clone(), tried.clone());
                thread::spawn(move || task(&noted, &tried, &row, &locks, attempts, escalation))
            })
            .collect();
        task(&noted, &tried, &row, &locks, 2, 1);
        for other in others {
            other.join().unwrap();
        }
        assert_eq!(row.load(), 3);
        assert!(locks.is_empty());
    });
    seen.both();
    tries.both();
}

/// A clock by which a wait takes until the key is free.
struct UntilFree(Locks);

impl Clock for UntilFree {
    fn sleep(&self, _: Duration) -> Sleep {
        let locks = self.0.clone();
        Box::pin(async move { drop(locks.lock(7).await) })
    }
}

#[test]
fn a_key_is_free_for_others_while_a_retry_waits() {
    let seen = Seen::default();
    let noted = seen.clone();
    check(None, 250, move || {
        let locks = locks();
        let other = {
            let locks = locks.clone();
            thread::spawn(move || drop(locks.lock(7).wait()))
        };
        let policy = RetryPolicy::new().max_attempts(2).jitter(latchwork::retry::Jitter::None);
        let policy = policy.clock(UntilFree(locks.clone()));
        let change = policy.retry_on_conflict(|_| ready(Ok(())), Ok, |()| ready(Err::<(), _>(Fault::Stale)));
        let out = noted.task(change.escalate_after(1, &locks, 7).run());
        assert!(out.is_err_and(|error| error.attempts == 2));
        other.join().unwrap();
        assert!(locks.is_empty());
    });
    seen.both();
}

/// It is dropped in the line, or inside if the holder was faster; the third gets the key all the same.
#[test]
fn a_dropped_escalated_call_leaves_no_key_locked() {
    let seen = Seen::default();
    let noted = seen.clone();
    check(Some(3), 400, move || {
        let (locks, began) = (locks(), Arc::new(std::sync::atomic::AtomicBool::new(false)));
        let held = locks.lock_owned(7).wait();
        let holder = thread::spawn(move || drop(held));
        let third = {
            let locks = locks.clone();
            thread::spawn(move || drop(locks.lock(7).wait()))
        };
        let policy = at_once(1);
        let change = policy.retry_on_conflict(
            |_| {
                began.store(true, std::sync::atomic::Ordering::Relaxed);
                std::future::pending::<Result<(), Fault>>()
            },
            Ok,
            |()| ready(Ok(())),
        );
        {
            let mut dropped = pin!(change.escalate_after(0, &locks, 7).run());
            for _ in 0..2 {
                assert!(poll_once(dropped.as_mut()).is_pending());
            }
        }
        noted.note(!began.load(std::sync::atomic::Ordering::Relaxed));
        holder.join().unwrap();
        third.join().unwrap();
        assert!(locks.is_empty());
    });
    seen.both();
}

/// Each thread parks until the other has released the key, or finds it free.
#[test]
fn threads_that_wait_for_their_lock_get_it() {
    check(None, 13, || {
        let (locks, value) = (locks(), Arc::new(Watched::default()));
        let add = |locks: &Locks, value: &Watched| {
            let policy = at_once(1);
            let change = policy.retry_on_conflict_blocking(
                |_| Ok::<_, Fault>(value.get()),
                Ok,
                |_| {
                    value.add(1);
                    Ok(())
                },
            );
            change.escalate_after(0, locks, 7).run_blocking().unwrap();
        };
        let other = {
            let (locks, value) = (locks.clone(), value.clone());
            thread::spawn(move || add(&locks, &value))
        };
        add(&locks, &value);
        other.join().unwrap();
        assert_eq!(value.get(), 2);
        assert!(locks.is_empty());
    });
}
