//! Flights beside their peers: `cargo bench --bench flight -- [--filter SUBSTR] [--rounds N] [--markdown]`.

#[allow(dead_code, reason = "others use all of it")]
#[path = "../harness/mod.rs"]
mod harness;

use std::future::Future;
use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;

use async_singleflight::Group;
use dashmap::DashMap;
use futures::future::join_all;
use latchwork::SingleFlight;
use tokio::runtime::Runtime;
use tokio::sync::OnceCell;
use tokio::task::yield_now;

use crate::harness::crowd::{self, AsTask, Stop};
use crate::harness::{Measure, Report, Round, per_op};

const TASKS: u64 = 64;
const HOT: u64 = 7;

type Peer = singleflight_async::SingleFlight<u64, u64>;

fn main() {
    let mut report = Report::new();
    let runtime = crowd::runtime();
    alone(&mut report, &runtime);
    at_once(&mut report, &runtime);
    together(&mut report, &runtime);
    report.finish();
}

/// What a service writes that has a map and a cell at hand. A call that is dropped leaves its entry behind.
#[derive(Default)]
struct ByHand(DashMap<u64, Arc<OnceCell<u64>>>);

impl ByHand {
    async fn run<F: Future<Output = u64>>(&self, key: u64, work: impl FnOnce() -> F) -> u64 {
        let cell = self.0.entry(key).or_default().clone();
        let value = *cell.get_or_init(work).await;
        self.0.remove_if(&key, |_, own| Arc::ptr_eq(own, &cell));
        value
    }
}

/// Nobody else asks, and the work is done at once.
fn alone(report: &mut Report, runtime: &Runtime) {
    let (ours, peer) = (SingleFlight::<u64, u64>::new(), Peer::new());
    let (group, by_hand) = (Group::<u64, u64, ()>::new(), ByHand::default());
    let measure = Measure::new("run that nobody joins, u64 keys, from a task")
        .run("latchwork", |ops| each(runtime, ops, async |key| ours.run(key, async || 7).await.value))
        .run("singleflight-async", |ops| each(runtime, ops, async |key| peer.work(key, async || 7).await))
        .goal(1.0)
        .run("async_singleflight", |ops| {
            each(runtime, ops, async |key| group.work(&key, async { Ok(7) }).await.unwrap_or(0))
        })
        .goal(1.0)
        .run("DashMap<_, Arc<OnceCell>>", |ops| {
            each(runtime, ops, async |key| by_hand.run(key, async || 7).await)
        });
    report.add(measure);
}

fn each(runtime: &Runtime, ops: u64, op: impl AsyncFn(u64) -> u64) -> f64 {
    runtime.block_on(async {
        let start = Instant::now();
        for key in 0..ops {
            black_box(op(black_box(key % 1000)).await);
        }
        per_op(start, ops)
    })
}

/// All ask for the same at the same time: what it costs to join, and to be told.
fn at_once(report: &mut Report, runtime: &Runtime) {
    let (ours, peer) = (SingleFlight::<u64, u64>::new(), Peer::new());
    let (group, by_hand) = (Group::<u64, u64, ()>::new(), ByHand::default());
    let yields = async || {
        yield_now().await;
        7
    };
    let measure = Measure::new("64 calls for one key at once, of which 63 join, in one task")
        .run("latchwork", |ops| burst(runtime, ops, async || ours.run(HOT, yields).await.value))
        .run("singleflight-async", |ops| burst(runtime, ops, async || peer.work(HOT, yields).await))
        .run("async_singleflight", |ops| {
            burst(runtime, ops, async || group.work(&HOT, async { Ok(yields().await) }).await.unwrap_or(0))
        })
        .run("DashMap<_, Arc<OnceCell>>", |ops| burst(runtime, ops, async || by_hand.run(HOT, yields).await));
    report.add(measure);
}

fn burst(runtime: &Runtime, ops: u64, call: impl AsyncFn() -> u64) -> f64 {
    let bursts = ops.div_ceil(TASKS);
    runtime.block_on(async {
        let start = Instant::now();
        for _ in 0..bursts {
            black_box(join_all((0..TASKS).map(|_| call())).await);
        }
        per_op(start, bursts * TASKS)
    })
}

/// All ask for the same, over and over, and the work takes a while. Time for a call says little where so
/// many are served by one run: mind the second figure.
fn together(report: &mut Report, runtime: &Runtime) {
    let measure = Measure::new("One key, 64 tasks, 2 workers, work that yields 64 times")
        .fixed(crowd::ROUND)
        .extra("calls per run", None)
        .run("latchwork", |ms| {
            let flights = Arc::new(SingleFlight::<u64, u64>::new());
            crowd_of(runtime, ms, move |runs| {
                let flights = flights.clone();
                async move { flights.run(HOT, || work(runs)).await.value }
            })
        })
        .run("singleflight-async", |ms| {
            let peer = Arc::new(Peer::new());
            crowd_of(runtime, ms, move |runs| peer.work(HOT, || work(runs)))
        })
        .run("async_singleflight", |ms| {
            let group = Arc::new(Group::<u64, u64, ()>::new());
            crowd_of(runtime, ms, move |runs| {
                let group = group.clone();
                async move { group.work(&HOT, async { Ok(work(runs).await) }).await.unwrap_or(0) }
            })
        })
        .run("DashMap<_, Arc<OnceCell>>", |ms| {
            let by_hand = Arc::new(ByHand::default());
            crowd_of(runtime, ms, move |runs| {
                let by_hand = by_hand.clone();
                async move { by_hand.run(HOT, || work(runs)).await }
            })
        });
    report.add(measure);
}

/// Time for a call, and how many calls one run of the work has served.
fn crowd_of<F: Future<Output = u64> + Send>(
    runtime: &Runtime,
    ms: u64,
    call: impl Fn(Arc<AtomicU64>) -> F + Clone + Send + 'static,
) -> Round {
    let (stop, runs) = (Stop::default(), Arc::new(AtomicU64::new(0)));
    let member = |_| -> AsTask {
        let (call, stop, runs) = (call.clone(), stop.clone(), runs.clone());
        Box::pin(async move {
            let mut made = 0;
            while !stop.is_set() {
                black_box(call(runs.clone()).await);
                made += 1;
            }
            made
        })
    };
    let members = (0..TASKS).map(member).collect();
    let outcome = crowd::run(runtime, (stop, ms), Vec::new(), members);
    let served = outcome.total() as f64 / runs.load(Relaxed).max(1) as f64;
    Round { value: outcome.per_op(), extra: Some(served) }
}

async fn work(runs: Arc<AtomicU64>) -> u64 {
    for _ in 0..TASKS {
        yield_now().await;
    }
    runs.fetch_add(1, Relaxed)
}
