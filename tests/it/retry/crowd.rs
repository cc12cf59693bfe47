//! Many tasks on one row.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use latchwork::{
    KeyedLock, RetryPolicy,
    retry::{Clock, RetryError, RetryStats, Sleep, StopReason},
};
use tokio::runtime::{Builder, Runtime};
use tokio::task::yield_now;

use crate::retry::calls::{CONFLICT, Fault};
use crate::support::no_hang;

const TASKS: u64 = 100;

/// A row as a database keeps it: a write says which version it was made of.
#[derive(Default)]
struct Row(Mutex<(u64, u64)>);

impl Row {
    fn load(&self) -> (u64, u64) {
        *self.0.lock().expect("no panic")
    }

    fn value(&self) -> u64 {
        self.load().1
    }

    fn store(&self, version: u64, value: u64) -> Result<u64, Fault> {
        let mut row = self.0.lock().expect("no panic");
        if row.0 != version {
            return Err(CONFLICT);
        }
        *row = (version + 1, value);
        Ok(value)
    }

    /// A write by one who looks at no version.
    fn overwrite(&self) {
        let mut row = self.0.lock().expect("no panic");
        *row = (row.0 + 1, row.1 + 1);
    }
}

/// Tokio's timer, also when the crate is built without it.
struct Timer;

impl Clock for Timer {
    fn sleep(&self, wait: Duration) -> Sleep {
        Box::pin(tokio::time::sleep(wait))
    }
}

struct Crowd {
    policy: RetryPolicy,
    stats: Arc<RetryStats>,
    locks: Arc<KeyedLock<String>>,
    row: Row,
}

impl Crowd {
    fn new(base_delay: Duration) -> Arc<Self> {
        let stats = Arc::new(RetryStats::new());
        let policy = RetryPolicy::new().base_delay(base_delay).seed(7).clock(Timer).stats(&stats);
        Arc::new(Self { policy, stats, locks: Arc::new(KeyedLock::new()), row: Row::default() })
    }

    async fn increment(&self, escalation: Option<u32>) -> Result<u64, RetryError<Fault>> {
        let change = self.policy.retry_on_conflict(
            async |_| {
                let loaded = self.row.load();
                yield_now().await;
                Ok(loaded)
            },
            |(version, value)| Ok((version, value + 1)),
            async |(version, value)| {
                yield_now().await;
                self.row.store(version, value)
            },
        );
        match escalation {
            Some(conflicts) => change.escalate_after(conflicts, &self.locks, "row".to_owned()).run().await,
            None => change.run().await,
        }
    }

    /// Each task increments the row once. Returns how many did.
    async fn all(self: &Arc<Self>) -> u64 {
        let tasks: Vec<_> = (0..TASKS)
            .map(|_| {
                let crowd = self.clone();
                tokio::spawn(async move { crowd.increment(Some(2)).await })
            })
            .collect();
        let mut done = 0;
        for task in tasks {
            match task.await.expect("it does not panic") {
                Ok(_) => done += 1,
                Err(error) => assert_eq!((error.reason, error.attempts), (StopReason::AttemptsExhausted, 4)),
            }
        }
        done
    }
}

fn many_workers() -> Runtime {
    Builder::new_multi_thread().worker_threads(4).enable_all().build().expect("a runtime starts")
}

fn paused() -> Runtime {
    Builder::new_current_thread().enable_all().start_paused(true).build().expect("a runtime starts")
}

/// Runs a claim about a crowd on workers, and in paused time where the schedule is always the same.
fn on_both(claim: impl AsyncFn(Arc<Crowd>) + Send + Copy + 'static) {
    no_hang(move || many_workers().block_on(claim(Crowd::new(Duration::from_millis(1)))));
    no_hang(move || paused().block_on(claim(Crowd::new(Duration::from_millis(100)))));
}

#[test]
fn everybody_who_goes_through_the_lock_gets_through() {
    on_both(async |crowd| {
        assert_eq!(crowd.all().await, TASKS);
        assert_eq!(crowd.row.load(), (TASKS, TASKS));
        assert!(crowd.locks.is_empty());
        let counts = crowd.stats.counts();
        assert_eq!((counts.calls(), counts.failed(), counts.abandoned), (TASKS, 0, 0));
        assert_eq!(counts.attempts, TASKS + counts.conflicts);
    });
}

/// In paused time they all load before anybody stores, so that there are conflicts, and escalations.
#[test]
fn the_crowd_is_one_that_needs_the_lock() {
    let crowd = Crowd::new(Duration::from_millis(100));
    paused().block_on(crowd.all());
    let stats = crowd.stats.counts();
    assert!(stats.conflicts > TASKS / 2, "blind: {stats:?}");
    let without = Crowd::new(Duration::ZERO);
    let done = paused().block_on(async {
        let tasks: Vec<_> = (0..TASKS)
            .map(|_| {
                let crowd = without.clone();
                tokio::spawn(async move { crowd.increment(None).await })
            })
            .collect();
        let mut done = 0;
        for task in tasks {
            done += u64::from(task.await.expect("it does not panic").is_ok());
        }
        done
    });
    assert!(done < TASKS, "blind: nobody fails without escalation");
    assert_eq!(without.row.value(), done);
}

#[test]
fn beside_a_writer_that_ignores_the_lock_each_call_stores_once_or_gives_up() {
    on_both(async |crowd| {
        let (is_over, written) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let writer = tokio::spawn({
            let (crowd, is_over, written) = (crowd.clone(), is_over.clone(), written.clone());
            async move {
                while !is_over.load(Ordering::Relaxed) {
                    crowd.row.overwrite();
                    written.fetch_add(1, Ordering::Relaxed);
                    // Now and then it rests, for paused time goes on only when nobody runs.
                    match written.load(Ordering::Relaxed) % 8 {
                        0 => tokio::time::sleep(Duration::from_millis(3)).await,
                        _ => yield_now().await,
                    }
                }
            }
        });
        let done = crowd.all().await;
        is_over.store(true, Ordering::Relaxed);
        writer.await.expect("it does not panic");
        assert_eq!(crowd.row.value(), done + written.load(Ordering::Relaxed));
        let counts = crowd.stats.counts();
        assert_eq!((counts.calls(), counts.attempts_exhausted), (TASKS, TASKS - done));
        assert!(written.load(Ordering::Relaxed) > 0 && counts.conflicts > 0);
        assert!(crowd.locks.is_empty());
    });
}

#[test]
fn calls_that_are_dropped_at_random_leave_the_others_unharmed() {
    no_hang(|| {
        let (runtime, crowd) = (many_workers(), Crowd::new(Duration::from_millis(1)));
        let tasks: Vec<_> = (0..TASKS)
            .map(|_| {
                let crowd = crowd.clone();
                runtime.spawn(async move { crowd.increment(Some(1)).await })
            })
            .collect();
        let mut done = 0;
        for (at, task) in tasks.into_iter().enumerate() {
            if at % 3 == 0 {
                task.abort();
            }
            match runtime.block_on(task) {
                Ok(out) => done += u64::from(out.is_ok()),
                Err(error) => assert!(error.is_cancelled()),
            }
        }
        assert!(crowd.locks.is_empty());
        let counts = crowd.stats.counts();
        assert_eq!((counts.failed(), crowd.row.value()), (0, counts.first_try_ok + counts.retried_ok));
        // An aborted one may have stored before it was told.
        assert!(crowd.row.value() >= done);
        assert_eq!(crowd.row.value() + counts.abandoned, counts.calls());
    });
}
