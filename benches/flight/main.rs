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

/// All ask for the same, over and over, and the work takes a yield.
fn together(report: &mut Report, runtime: &Runtime) {
    let measure = Measure::new("One key, 64 tasks, 2 workers, work that yields once")
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
        .goal(1.0)
        .run("async_singleflight", |ms| {
            let group = Arc::new(Group::<u64, u64, ()>::new());
            crowd_of(runtime, ms, move |runs| {
                let group = group.clone();
                async move { group.work(&HOT, async { Ok(work(runs).await) }).await.unwrap_or(0) }
            })
        })
        .goal(1.0)
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
    yield_now().await;
    runs.fetch_add(1, Relaxed)
}
