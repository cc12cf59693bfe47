//! Many ask for the same key at the same time.

use std::future::Future;
use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

use async_singleflight::Group;
use futures::future::join_all;
use latchwork::SingleFlight;
use tokio::runtime::Runtime;
use tokio::task::yield_now;

use crate::harness::crowd::{self, AsTask, Stop};
use crate::harness::{Measure, Report, Round, Watch, per_op};
use crate::peers::{ByHand, Moka, Peer};

const TASKS: u64 = 64;
const HOT: u64 = 7;

pub(crate) fn run(report: &mut Report, runtime: &Runtime) {
    at_once(report, runtime);
    again_and_again(report, runtime);
}

/// All ask for the same at the same time: what it costs to join, and to be notified.
fn at_once(report: &mut Report, runtime: &Runtime) {
    let (ours, peer, moka) = (SingleFlight::<u64, u64>::new(), Peer::new(), Moka::new());
    let (group, by_hand) = (Group::<u64, u64, ()>::new(), ByHand::default());
    let yields = async || {
        yield_now().await;
        7
    };
    let measure = Measure::new("64 calls for one key at once, of which 63 join, in one task")
        .run("latchwork", |ops| burst(runtime, ops, async || ours.run(HOT, yields).await.value))
        .run("singleflight-async", |ops| burst(runtime, ops, async || peer.work(HOT, yields).await))
        .goal(1.0)
        .run("async_singleflight", |ops| {
            burst(runtime, ops, async || group.work(&HOT, async { Ok(yields().await) }).await.unwrap_or(0))
        })
        .run("moka get_with + invalidate", |ops| burst(runtime, ops, async || moka.run(HOT, yields).await))
        .run("DashMap of OnceCell", |ops| burst(runtime, ops, async || by_hand.run(HOT, yields).await));
    report.add(measure);
}

fn burst(runtime: &Runtime, ops: u64, call: impl AsyncFn() -> u64) -> f64 {
    let bursts = ops.div_ceil(TASKS);
    runtime.block_on(async {
        let watch = Watch::start();
        for _ in 0..bursts {
            black_box(join_all((0..TASKS).map(|_| call())).await);
        }
        per_op(watch.elapsed(), bursts * TASKS)
    })
}

/// All ask for the same, over and over, and the work takes a while. Time for a call says little where so
/// many are served by one run: mind the second figure.
fn again_and_again(report: &mut Report, runtime: &Runtime) {
    let measure = Measure::new("One key, 64 tasks, 2 workers, work that yields 64 times")
        .fixed(crowd::ROUND)
        .also("greediest × mean")
        .also("calls per run")
        .run("latchwork", |ms| {
            let flights = SingleFlight::<u64, u64>::new();
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
        .run("moka get_with + invalidate", |ms| {
            let moka = Arc::new(Moka::new());
            crowd_of(runtime, ms, move |runs| {
                let moka = moka.clone();
                async move { moka.run(HOT, || work(runs)).await }
            })
        })
        .run("DashMap of OnceCell", |ms| {
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
    [outcome.per_op(), outcome.share(), served].into()
}

async fn work(runs: Arc<AtomicU64>) -> u64 {
    for _ in 0..TASKS {
        yield_now().await;
    }
    runs.fetch_add(1, Relaxed)
}
