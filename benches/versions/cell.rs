//! What it costs to read and to replace one value.

use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwap;
use latchwork::Versioned;
use parking_lot::RwLock;
use tokio::runtime::Runtime;

use crate::harness::crowd::{self, OnThread, Stop};
use crate::harness::{Measure, Report, Round, Watch, per_op};

/// A value of the size of a small struct.
type Value = [u64; 4];

pub(crate) fn run(report: &mut Report, runtime: &Runtime) {
    let (ours, arc_swap) = (Versioned::new([7; 4]), ArcSwap::from_pointee([7; 4]));
    let rwlock = RwLock::new(Arc::new([7; 4]));
    let measure = Measure::new("one value, snapshot + drop")
        .run("latchwork", |ops| repeat(ops, || ours.snapshot()))
        .run("arc-swap load_full", |ops| repeat(ops, || arc_swap.load_full()))
        .goal(1.0)
        .run("arc-swap load", |ops| repeat(ops, || arc_swap.load()))
        .run("RwLock of Arc", |ops| repeat(ops, || rwlock.read().clone()));
    report.add(measure);

    let measure = Measure::new("one value, snapshot + drop, 2 threads")
        .fixed(crowd::ROUND)
        .also("greediest × mean")
        .run("latchwork", |ms| pair(runtime, Versioned::new([7; 4]), Versioned::snapshot, ms))
        .run("arc-swap load_full", |ms| pair(runtime, ArcSwap::from_pointee([7; 4]), ArcSwap::load_full, ms))
        .goal(1.0)
        .run("arc-swap load", |ms| {
            pair(
                runtime,
                ArcSwap::from_pointee([7; 4]),
                |value: &ArcSwap<Value>| drop(black_box(value.load())),
                ms,
            )
        })
        .run("RwLock of Arc", |ms| {
            pair(runtime, RwLock::new(Arc::new([7; 4])), |lock: &RwLock<Arc<Value>>| lock.read().clone(), ms)
        });
    report.add(measure);

    let (stamp, atomic) = (ours.stamp(), AtomicU64::new(1));
    let measure = Measure::new("one value, is the stamp current?")
        .run("latchwork", |ops| repeat(ops, || ours.is_current(black_box(stamp))))
        .run("an atomic load", |ops| repeat(ops, || atomic.load(Ordering::Acquire) == black_box(1)));
    report.add(measure);

    let measure = Measure::new("one value, replace by closure")
        .run("latchwork modify", |ops| repeat(ops, || ours.modify(|value| value.map(|part| part + 1))))
        .run("arc-swap rcu", |ops| repeat(ops, || arc_swap.rcu(|value| value.map(|part| part + 1))))
        .run("RwLock of Arc", |ops| {
            repeat(ops, || {
                let mut value = rwlock.write();
                *value = Arc::new(value.map(|part| part + 1));
            })
        });
    report.add(measure);

    let measure = Measure::new("one value, replace by closure, 2 threads")
        .fixed(crowd::ROUND)
        .also("greediest × mean")
        .run("latchwork modify", |ms| {
            pair(runtime, Versioned::new(0), |value: &Versioned<u64>| value.modify(|n| n + 1), ms)
        })
        .run("arc-swap rcu", |ms| {
            pair(runtime, ArcSwap::from_pointee(0), |value: &ArcSwap<u64>| value.rcu(|n| **n + 1), ms)
        });
    report.add(measure);
}

fn repeat<R>(ops: u64, mut op: impl FnMut() -> R) -> f64 {
    let watch = Watch::start();
    for _ in 0..ops {
        black_box(&op());
    }
    per_op(watch.elapsed(), ops)
}

/// The wall time for an operation, and the share, of either of two threads that do the same to one value.
fn pair<T: Send + Sync + 'static, R>(
    runtime: &Runtime,
    shared: T,
    op: impl Fn(&T) -> R + Copy + Send + 'static,
    ms: u64,
) -> Round {
    let (shared, stop) = (Arc::new(shared), Stop::default());
    let members = (0..2).map(|_| -> OnThread {
        let (shared, stop) = (shared.clone(), stop.clone());
        Box::new(move || {
            let mut made = 0;
            while !stop.is_set() {
                black_box(&op(&shared));
                made += 1;
            }
            made
        })
    });
    let members = members.collect();
    crowd::run(runtime, (stop, ms), members, Vec::new()).greediest()
}
