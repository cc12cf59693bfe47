//! One row, and the handlers that all want to change it.
//!
//! A load and a store are a trip each to the row and back; the row is read, or compared and set, half way.
//! What two handlers do between a read and a write of the row is what they conflict by.
//!
//! Tokio's timer counts in ms, too coarse for trips of 5 ms: handlers would meet in the same tick. So
//! everything takes [`SCALE`] times as long, and a tick is a simulated µs.

use std::cell::RefCell;
use std::io;
use std::ops::RangeInclusive;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use futures::future::join_all;
use hdrhistogram::Histogram;
use latchwork::{
    KeyedLock, RetryPolicy, Versioned,
    keyed::OwnedKeyedGuard,
    provider::{Ask, Begun, LockError, LockProvider},
    retry::{Clock, Jitter, RetryError, RetryStats, Sleep},
    versioned::{Snapshot, WriteError},
};
use serde::Serialize;
use tokio::runtime::Builder;
use tokio::sync::Mutex;
use tokio::time::Instant;

const SCALE: u32 = 1000;

/// Half a trip takes 2.5 ms, give or take 1.
const HALF_TRIP_US: RangeInclusive<u64> = 1500..=3500;

const ROW: &str = "row";

/// What handlers do about a conflict.
#[derive(Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Strategy {
    NoJitter,
    Equal,
    Decorrelated,
    Full,
    Escalation,
}

impl Strategy {
    pub(crate) const ALL: [Self; 5] =
        [Self::NoJitter, Self::Equal, Self::Decorrelated, Self::Full, Self::Escalation];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::NoJitter => "no jitter",
            Self::Equal => "equal jitter",
            Self::Decorrelated => "decorrelated jitter",
            Self::Full => "full jitter",
            Self::Escalation => "full jitter, alone after 2 conflicts",
        }
    }

    const fn jitter(self) -> Jitter {
        match self {
            Self::NoJitter => Jitter::None,
            Self::Equal => Jitter::Equal,
            Self::Decorrelated => Jitter::Decorrelated,
            Self::Full | Self::Escalation => Jitter::Full,
        }
    }
}

/// What came of all storms of one kind. Its names are those of the JSON output.
#[derive(Serialize)]
pub(crate) struct Outcome {
    pub(crate) handlers: usize,
    pub(crate) strategy: Strategy,
    pub(crate) succeeded: u64,
    pub(crate) failed: u64,
    /// How often the row was changed.
    pub(crate) stored: u64,
    pub(crate) failed_percent: f64,
    pub(crate) attempts_per_call: f64,
    /// Time to success, of the calls that succeeded.
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
}

/// A clock on which everything takes [`SCALE`] times as long.
struct Scaled;

impl Clock for Scaled {
    fn sleep(&self, wait: Duration) -> Sleep {
        Box::pin(tokio::time::sleep(wait * SCALE))
    }
}

/// The lock of the attempts, with a queue in front of it.
///
/// The lock lets newcomers pass for up to half a millisecond of real time, whatever tokio's clock says. Next to no real
/// time passes here, so the order would be chance. Attempts that take 10 ms get the lock nearly in
/// order, and here they do so exactly.
#[derive(Clone, Default)]
struct InLine {
    locks: Arc<KeyedLock<&'static str>>,
    line: Arc<Mutex<()>>,
}

impl LockProvider<&'static str> for InLine {
    type Guard = OwnedKeyedGuard<&'static str>;
    type Wait = Pin<Box<dyn Future<Output = Result<Self::Guard, LockError>> + Send>>;

    fn begin(&self, key: &'static str, ask: Ask) -> Begun<Self::Guard, Self::Wait> {
        let Self { locks, line } = self.clone();
        Begun::Waiting(Box::pin(async move {
            let _turn = line.lock().await;
            locks.begin(key, ask).await
        }))
    }

    fn can_share(&self) -> bool {
        true
    }
}

/// Lets a number of handlers loose on a row, once for each seed.
pub(crate) fn run(strategy: Strategy, handlers: usize, seeds: u64) -> io::Result<Outcome> {
    let stats = Arc::new(RetryStats::new());
    let mut times = Histogram::<u64>::new(3).expect("three digits are few enough");
    let mut stored = 0;
    for seed in 0..seeds {
        let runtime = Builder::new_current_thread().enable_time().start_paused(true).build()?;
        let policy = RetryPolicy::new()
            .jitter(strategy.jitter())
            .max_attempts(4)
            .base_delay(Duration::from_millis(100))
            .multiplier(2.0)
            .clock(Scaled)
            .stats(&stats)
            .seed(seed);
        let lock = InLine::default();
        let storm = Storm { row: Versioned::new(0), lock, policy, strategy };
        // Each handler's trips are drawn apart from the waits, and are the same for each strategy.
        let mut rng = Rng::with_seed(!seed);
        let calls: Vec<_> = (0..handlers).map(|_| storm.call(rng.fork())).collect();
        for time in runtime.block_on(join_all(calls)).into_iter().flatten() {
            times.record(time.as_micros() as u64).expect("the histogram grows as needed");
        }
        stored += *storm.row.snapshot();
    }
    let counts = stats.counts();
    let ms = |quantile| times.value_at_quantile(quantile) as f64 / 1000.0;
    Ok(Outcome {
        handlers,
        strategy,
        succeeded: counts.calls() - counts.failed(),
        failed: counts.failed(),
        stored,
        failed_percent: 100.0 * counts.failed() as f64 / counts.calls() as f64,
        attempts_per_call: counts.mean_attempts(),
        p50_ms: ms(0.5),
        p99_ms: ms(0.99),
    })
}

struct Storm {
    row: Versioned<u64>,
    lock: InLine,
    policy: RetryPolicy,
    strategy: Strategy,
}

impl Storm {
    /// One handler's call: how long it took, if it succeeded.
    async fn call(&self, rng: Rng) -> Option<Duration> {
        let start = Instant::now();
        let rng = RefCell::new(rng);
        let half_trip = || {
            let half = rng.borrow_mut().u64(HALF_TRIP_US);
            tokio::time::sleep(Duration::from_micros(half) * SCALE)
        };
        let change = self.policy.retry_on_conflict(
            async |_| {
                half_trip().await;
                let loaded = self.row.snapshot();
                half_trip().await;
                Ok(loaded)
            },
            |loaded: Snapshot<u64>| Ok((loaded.stamp(), *loaded + 1)),
            async |(stamp, number)| {
                half_trip().await;
                let stored = self.row.compare_and_set(stamp, number);
                half_trip().await;
                stored
            },
        );
        let done: Result<Snapshot<u64>, RetryError<WriteError<u64>>> = match self.strategy {
            Strategy::Escalation => change.escalate_after(2, &self.lock, ROW).run().await,
            _ => change.run().await,
        };
        done.is_ok().then(|| start.elapsed() / SCALE)
    }
}
