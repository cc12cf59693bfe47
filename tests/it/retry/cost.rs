//! What a call that succeeds at once does not do. What it allocates is in `tests/it/allocations.rs`.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use latchwork::{
    RetryPolicy,
    retry::{Budget, Clock, Sleep, VirtualClock},
};

use crate::retry::calls::{Entry, Fault, TRANSIENT, every_entry, priced};

/// Counts how often it is asked.
#[derive(Default)]
struct Asked {
    time: AtomicUsize,
    waits: AtomicUsize,
    clock: VirtualClock,
}

impl Clock for Asked {
    fn sleep(&self, wait: Duration) -> Sleep {
        self.waits.fetch_add(1, Ordering::Relaxed);
        self.clock.sleep(wait)
    }

    fn sleep_blocking(&self, wait: Duration) {
        self.waits.fetch_add(1, Ordering::Relaxed);
        self.clock.sleep_blocking(wait);
    }

    fn now(&self) -> Instant {
        self.time.fetch_add(1, Ordering::Relaxed);
        self.clock.now()
    }
}

fn asked(entry: Entry, policy: impl FnOnce(RetryPolicy) -> RetryPolicy, failures: usize) -> (usize, usize) {
    let clock = Arc::new(Asked::default());
    let policy = policy(RetryPolicy::new().clock(clock.clone()));
    let mut made = 0;
    let out = entry.call(&policy, || {
        made += 1;
        if made <= failures { Err(TRANSIENT) } else { Ok(7) }
    });
    assert_eq!(out, Ok(7));
    (clock.time.load(Ordering::Relaxed), clock.waits.load(Ordering::Relaxed))
}

#[test]
fn a_success_at_once_reads_no_clock() {
    every_entry(|entry| assert_eq!(asked(entry, |policy| policy, 0), (0, 0)));
}

#[test]
fn with_a_deadline_a_success_at_once_reads_the_clock_once() {
    let deadline = Duration::from_secs(3600);
    every_entry(|entry| assert_eq!(asked(entry, |policy| policy.deadline(deadline), 0), (1, 0)));
}

#[test]
fn only_a_deadline_asks_for_the_time_and_once_for_each_retry() {
    let deadline = Duration::from_secs(3600);
    every_entry(|entry| {
        assert_eq!(asked(entry, |policy| policy.seed(7), 3), (0, 3));
        assert_eq!(asked(entry, |policy| policy.seed(7).deadline(deadline), 3), (4, 3));
    });
}

#[test]
fn a_wait_of_nothing_is_not_waited_for() {
    every_entry(|entry| assert_eq!(asked(entry, |policy| policy.base_delay(Duration::ZERO), 3), (0, 0)));
}

/// One that drew from the policy's generator would change the waits of the calls that come after it.
#[test]
fn a_success_at_once_draws_no_random_number() {
    every_entry(|entry| {
        let waits = |successes| {
            let clock = VirtualClock::new();
            let policy = RetryPolicy::new().seed(7).clock(clock.clone());
            for _ in 0..successes {
                assert!(entry.call(&policy, || Ok::<_, Fault>(7)).is_ok());
            }
            assert!(entry.call(&policy, || Err::<(), _>(TRANSIENT)).is_err());
            clock.waits()
        };
        assert_eq!(waits(0), waits(5));
    });
}

#[test]
fn a_budget_that_time_refills_asks_for_the_time_once_for_each_retry_that_it_pays() {
    every_entry(|entry| {
        let paying = |budget: Budget, failures| {
            asked(entry, |policy| policy.seed(7).budget(Arc::new(budget)), failures)
        };
        assert_eq!(paying(Budget::new(500), 0), (0, 0), "a success at once reads no clock");
        assert_eq!(paying(Budget::new(500), 3), (3, 3));
        assert_eq!(paying(Budget::new(500).refill_per_second(0), 3), (0, 3));
        assert_eq!(paying(priced(0, 0), 3), (0, 3));
    });
}
