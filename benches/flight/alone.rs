//! Nobody else asks, and the work is done at once.

use std::hint::black_box;

use async_singleflight::Group;
use latchwork::SingleFlight;
use tokio::runtime::Runtime;

use crate::harness::{Measure, Report, Watch, per_op};
use crate::peers::{ByHand, ByHandBlocking, Moka, MokaBlocking, Peer};

pub(crate) fn run(report: &mut Report, runtime: &Runtime) {
    let (ours, peer, moka) = (SingleFlight::<u64, u64>::new(), Peer::new(), Moka::new());
    let (group, by_hand) = (Group::<u64, u64, ()>::new(), ByHand::default());
    let measure = Measure::new("run that nobody joins, u64 keys, from a task")
        .run("latchwork", |ops| each_async(runtime, ops, async |key| ours.run(key, async || 7).await.value))
        .run("singleflight-async", |ops| {
            each_async(runtime, ops, async |key| peer.work(key, async || 7).await)
        })
        .goal(0.9)
        .run("async_singleflight", |ops| {
            each_async(runtime, ops, async |key| group.work(&key, async { Ok(7) }).await.unwrap_or(0))
        })
        .run("moka get_with + invalidate", |ops| {
            each_async(runtime, ops, async |key| moka.run(key, async || 7).await)
        })
        .run("DashMap of OnceCell", |ops| {
            each_async(runtime, ops, async |key| by_hand.run(key, async || 7).await)
        });
    report.add(measure);

    let (moka, by_hand) = (MokaBlocking::new(), ByHandBlocking::default());
    let measure = Measure::new("run_blocking that nobody joins, u64 keys, from a thread")
        .run("latchwork", |ops| each(ops, |key| ours.run_blocking(key, || 7).value))
        .run("moka get_with + invalidate", |ops| each(ops, |key| moka.run(key, || 7)))
        .run("DashMap of OnceLock", |ops| each(ops, |key| by_hand.run(key, || 7)));
    report.add(measure);
}

fn each(ops: u64, op: impl Fn(u64) -> u64) -> f64 {
    let watch = Watch::start();
    for key in 0..ops {
        black_box(op(black_box(key % 1000)));
    }
    per_op(watch.elapsed(), ops)
}

fn each_async(runtime: &Runtime, ops: u64, op: impl AsyncFn(u64) -> u64) -> f64 {
    runtime.block_on(async {
        let watch = Watch::start();
        for key in 0..ops {
            black_box(op(black_box(key % 1000)).await);
        }
        per_op(watch.elapsed(), ops)
    })
}
