//! Many threads or tasks on one table: on disjoint keys, on keys some of which are hot, on one key.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

use futures::FutureExt;
use tokio::runtime::Runtime;
use tokio::task::yield_now;

use crate::harness::crowd::{self, AsTask, OnThread, Stop, count};
use crate::harness::{Measure, Report, Round};
use crate::peers::{Awaits, BatchLock, Floor, Foldhash, Hashes, Lockable, StdHasher, Waits, lock_map, ours};

const KEYS: u64 = 10_000;
const TASKS: u64 = 64;
const HOT: u64 = 7;

pub(crate) fn run(report: &mut Report, runtime: &Runtime) {
    let measure = Measure::new("u64 keys, 2 threads on disjoint ones, × one thread's time per operation")
        .fixed(crowd::ROUND)
        .unit("×")
        .also("2 threads, ns")
        .run("latchwork", |ms| disjoint(runtime, ours::<u64, StdHasher>(), ms))
        .run("floor", |ms| disjoint(runtime, <Floor>::new(), ms))
        .run("lockmap", |ms| disjoint(runtime, lock_map::<u64, StdHasher>(), ms))
        .run("batch-lock", |ms| disjoint(runtime, BatchLock::new(), ms))
        .run("lockable", |ms| disjoint(runtime, Lockable::new(), ms));
    report.add(measure);

    let keys = Zipf::new();
    let measure = Measure::new("64 tasks, Zipf(1) over 10 000 keys, holding across a yield")
        .fixed(crowd::ROUND)
        .also("greediest × mean")
        .run("latchwork", |ms| zipf(runtime, ours::<u64, StdHasher>(), &keys, ms))
        .run("lockable", |ms| zipf(runtime, Lockable::new(), &keys, ms));
    report.add(measure);

    hot::<StdHasher>(report, runtime, "std's hasher");
    hot::<Foldhash>(report, runtime, "foldhash where it can be");

    let measure = Measure::new("One hot key, 64 tasks holding it across a yield, 2 workers")
        .fixed(crowd::ROUND)
        .also("greediest × mean")
        .run("latchwork", |ms| hot_tasks(runtime, ours::<u64, StdHasher>(), true, ms))
        .run("lockable", |ms| hot_tasks(runtime, Lockable::new(), true, ms))
        .goal(1.0);
    report.add(measure);
}

fn hot<S: Hashes>(report: &mut Report, runtime: &Runtime, hasher: &str) {
    let measure = Measure::new(format!("One hot key, 64 tasks, 2 workers, {hasher}"))
        .fixed(crowd::ROUND)
        .also("greediest × mean")
        .run("latchwork", |ms| hot_tasks(runtime, ours::<u64, S>(), false, ms))
        .run("lockable", |ms| hot_tasks(runtime, Lockable::new(), false, ms))
        .goal(0.45);
    report.add(measure);

    let measure = Measure::new(format!("One hot key, 8 threads, {hasher}"))
        .fixed(crowd::ROUND)
        .also("greediest × mean")
        .run("latchwork", |ms| hot_threads(runtime, ours::<u64, S>(), ms))
        .run("lockmap", |ms| hot_threads(runtime, lock_map::<u64, S>(), ms))
        .goal(0.9)
        .run("batch-lock", |ms| hot_threads(runtime, BatchLock::new(), ms))
        .run("lockable", |ms| hot_threads(runtime, Lockable::new(), ms));
    report.add(measure);
}

/// One thread's time for an operation, then that of two, each on its own half of the keys.
fn disjoint<T: Waits>(runtime: &Runtime, table: T, ms: u64) -> Round {
    let table = Arc::new(table);
    let half = KEYS / 2;
    let time = |threads: u64| {
        let stop = Stop::default();
        let members = (0..threads).map(|member| -> OnThread {
            let (table, stop) = (table.clone(), stop.clone());
            let keys: Vec<u64> = (0..half).map(|_| member * half + fastrand::u64(..half)).collect();
            Box::new(move || {
                let mut made = 0;
                for key in keys.iter().cycle().take_while(|_| !stop.is_set()) {
                    drop(table.wait(key));
                    made += 1;
                }
                made
            })
        });
        let members = members.collect();
        crowd::run(runtime, (stop, ms), members, Vec::new()).per_op()
    };
    let (one, two) = (time(1), time(2));
    [two / one, two].into()
}

/// The keys that each task asks for, drawn once: key `n` is asked for `1 / n` times as often as the first.
struct Zipf {
    draws: Vec<Arc<[u64]>>,
}

impl Zipf {
    fn new() -> Self {
        let weights = (1..=KEYS).scan(0.0, |sum, rank| {
            *sum += 1.0 / rank as f64;
            Some(*sum)
        });
        let sums: Vec<f64> = weights.collect();
        let all = sums[sums.len() - 1];
        let draw = |_| {
            let point = fastrand::f64() * all;
            sums.partition_point(|sum| *sum < point).min(sums.len() - 1) as u64
        };
        Self { draws: (0..TASKS).map(|_| (0..4096).map(draw).collect()).collect() }
    }
}

fn zipf<T: Awaits>(runtime: &Runtime, table: T, keys: &Zipf, ms: u64) -> Round {
    let (table, stop) = (Arc::new(table), Stop::default());
    let guarded: Arc<Vec<AtomicU64>> = Arc::new((0..KEYS).map(|_| AtomicU64::new(0)).collect());
    let tasks = keys.draws.iter().map(|keys| -> AsTask {
        let (table, stop, keys, guarded) = (table.clone(), stop.clone(), keys.clone(), guarded.clone());
        async move {
            let mut made = 0;
            for key in keys.iter().cycle().take_while(|_| !stop.is_set()) {
                let guard = table.lock(*key).await;
                let value = &guarded[*key as usize];
                let seen = value.load(Relaxed);
                yield_now().await;
                value.store(seen + 1, Relaxed);
                drop(guard);
                made += 1;
            }
            made
        }
        .boxed()
    });
    let tasks = tasks.collect();
    let outcome = crowd::run(runtime, (stop, ms), Vec::new(), tasks);
    outcome.checked(guarded.iter().map(|value| value.load(Relaxed)).sum()).greediest()
}

fn hot_tasks<T: Awaits>(runtime: &Runtime, table: T, yields: bool, ms: u64) -> Round {
    let (table, value, stop) = (Arc::new(table), Arc::new(AtomicU64::new(0)), Stop::default());
    let tasks = (0..TASKS).map(|_| -> AsTask {
        let (table, value, stop) = (table.clone(), value.clone(), stop.clone());
        async move {
            let mut made = 0;
            while !stop.is_set() {
                let guard = table.lock(HOT).await;
                count(&value);
                if yields {
                    yield_now().await;
                }
                drop(guard);
                made += 1;
            }
            made
        }
        .boxed()
    });
    let tasks = tasks.collect();
    crowd::run(runtime, (stop, ms), Vec::new(), tasks).checked(value.load(Relaxed)).greediest()
}

fn hot_threads<T: Waits>(runtime: &Runtime, table: T, ms: u64) -> Round {
    let (table, value, stop) = (Arc::new(table), Arc::new(AtomicU64::new(0)), Stop::default());
    let threads = (0..8).map(|_| -> OnThread {
        let (table, value, stop) = (table.clone(), value.clone(), stop.clone());
        Box::new(move || {
            let mut made = 0;
            while !stop.is_set() {
                let guard = table.wait(&HOT);
                count(&value);
                drop(guard);
                made += 1;
            }
            made
        })
    });
    let threads = threads.collect();
    crowd::run(runtime, (stop, ms), threads, Vec::new()).checked(value.load(Relaxed)).greediest()
}
