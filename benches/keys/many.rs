//! Several keys at once, beside the same keys one after the other, and beside peers who can do it.

use std::array;
use std::collections::BTreeSet;
use std::hint::black_box;

use tokio::runtime::Runtime;

use crate::counting::allocations;
use crate::harness::{Measure, Report, Round, Watch, per_op};
use crate::peers::StdHasher;
use crate::tables::Tables;

const KEYS: u64 = 10_000;
/// So many sets of keys are asked for in turn.
const SETS: usize = 1 << 12;

pub(crate) fn run(report: &mut Report, runtime: &Runtime) {
    several::<4>(report, runtime);
    several::<8>(report, runtime);
}

fn several<const N: usize>(report: &mut Report, runtime: &Runtime) {
    let Tables { ours, lock_map, batch_lock, .. } = &Tables::<u64, StdHasher>::new();
    let sets: &Vec<[u64; N]> = &(0..SETS).map(|_| different_keys()).collect();

    let measure = Measure::new(format!("lock_many of {N} u64 keys, free, from a thread"))
        .also("allocations")
        .bound_for("allocations", 0.0..=0.0)
        .run("latchwork", |ops| {
            each(sets, ops, |keys| {
                black_box(&ours.lock_many(*keys).wait());
            })
        })
        .run("single locks in turn", |ops| {
            each(sets, ops, |keys| {
                black_box(&keys.map(|key| ours.lock(key).wait()));
            })
        })
        .goal(1.0)
        .run("batch-lock", |ops| {
            each(sets, ops, |keys| {
                let keys = BTreeSet::from(*keys);
                black_box(&batch_lock.batch_lock(&keys));
            })
        })
        .run("lockmap batch_lock", |ops| {
            each(sets, ops, |keys| {
                let guards: Vec<_> = lock_map.batch_lock(BTreeSet::from(*keys));
                black_box(&guards);
            })
        });
    report.add(measure);

    let measure = Measure::new(format!("lock_many of {N} u64 keys, free, from a task"))
        .also("allocations")
        .bound_for("allocations", 0.0..=0.0)
        .run("latchwork", |ops| {
            each_async(runtime, sets, ops, async |keys| {
                black_box(&ours.lock_many(*keys).await);
            })
        })
        .run("single locks in turn", |ops| {
            each_async(runtime, sets, ops, async |keys| {
                let mut guards = keys.map(|_| None);
                for (guard, key) in guards.iter_mut().zip(keys) {
                    *guard = Some(ours.lock(*key).await);
                }
                black_box(&guards);
            })
        })
        .goal(1.0);
    report.add(measure);
}

fn different_keys<const N: usize>() -> [u64; N] {
    loop {
        let keys = array::from_fn(|_| fastrand::u64(..KEYS));
        if BTreeSet::from(keys).len() == N {
            return keys;
        }
    }
}

fn each<K>(sets: &[K], ops: u64, mut lock: impl FnMut(&K)) -> Round {
    let mut time = 0.0;
    let allocations = allocations(ops, || {
        let watch = Watch::start();
        sets.iter().cycle().take(ops as usize).for_each(|keys| lock(black_box(keys)));
        time = per_op(watch.elapsed(), ops);
    });
    [time, allocations].into()
}

fn each_async<K>(runtime: &Runtime, sets: &[K], ops: u64, mut lock: impl AsyncFnMut(&K)) -> Round {
    let mut time = 0.0;
    let allocations = allocations(ops, || {
        runtime.block_on(async {
            let watch = Watch::start();
            for keys in sets.iter().cycle().take(ops as usize) {
                lock(black_box(keys)).await;
            }
            time = per_op(watch.elapsed(), ops);
        });
    });
    [time, allocations].into()
}
