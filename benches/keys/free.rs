//! What it costs to lock and unlock a key that nobody else wants, and to be refused one.
//!
//! From threads, each with its default hasher, and all with the same.

use tokio::runtime::{Builder, Runtime};

use crate::asked::Keys;
use crate::harness::{Measure, Report, Watch, per_op};
use crate::peers::{Foldhash, HandMade, Hashes, LockMapDefault, OurDefault, StdHasher};
use crate::tables::Tables;

pub(crate) fn run(report: &mut Report, runtime: &Runtime) {
    let (numbers, names) = (Keys::numbers(), Keys::names());
    from_threads::<OurDefault, LockMapDefault>(report, &numbers, &names, "each one's default hasher");
    from_threads::<StdHasher, StdHasher>(report, &numbers, &names, "std's hasher");
    from_threads::<Foldhash, Foldhash>(report, &numbers, &names, "foldhash where it can be");
    numbers_from_tasks(report, runtime, &numbers);
    names_from_tasks(report, runtime, &names);
    refused(report);
}

fn from_threads<S: Hashes, M: Hashes>(
    report: &mut Report,
    numbers: &Keys<u64>,
    names: &Keys<String>,
    hasher: &str,
) {
    let Tables { ours, floor, lock_map, dash_map, batch_lock, lockable } = &Tables::<_, S, M>::new();
    let measure = Measure::new(format!("u64 key, lock + unlock, free, from a thread, {hasher}"))
        .run("latchwork", |ops| numbers.free(ops, |key| ours.lock(*key).wait()))
        .run("floor", |ops| numbers.free(ops, |key| floor.try_lock(key)))
        .goal(1.1)
        .run("lockmap", |ops| numbers.free(ops, |key| lock_map.entry(*key)))
        .goal(1.0)
        .run("batch-lock", |ops| numbers.free(ops, |key| batch_lock.lock(key)))
        .run("dashmap insert + remove", |ops| {
            numbers.free(ops, |key| (dash_map.insert(*key, ()), dash_map.remove(key)))
        })
        .run("lockable", |ops| numbers.free(ops, |key| lockable.blocking_lock(*key)));
    report.add(measure);

    let Tables { ours, floor, lock_map, dash_map, batch_lock, lockable } = &Tables::<_, S, M>::new();
    let measure = Measure::new(format!("24-byte key as &str, lock + unlock, free, from a thread, {hasher}"))
        .run("latchwork", |ops| names.free(ops, |key| ours.lock(key.as_str()).wait()))
        .run("floor", |ops| names.free(ops, |key| floor.try_lock(key)))
        .goal(1.1)
        .run("lockmap", |ops| names.free(ops, |key| lock_map.entry_by_ref(key.as_str())))
        .goal(1.0)
        .run("batch-lock", |ops| names.free(ops, |key| batch_lock.lock(key)))
        .run("dashmap insert + remove", |ops| {
            names.free(ops, |key| (dash_map.insert(key.clone(), ()), dash_map.remove(key)))
        })
        .run("lockable", |ops| names.free(ops, |key| lockable.blocking_lock(key.clone())));
    report.add(measure);

    let measure =
        Measure::new(format!("24-byte key as String, lock + unlock, free, from a thread, {hasher}"))
            .run("latchwork", |ops| names.free(ops, |key| ours.lock(key.clone()).wait()))
            .run("floor", |ops| names.free(ops, |key| floor.try_lock(key)))
            .run("lockmap", |ops| names.free(ops, |key| lock_map.entry(key.clone())));
    report.add(measure);
}

fn numbers_from_tasks(report: &mut Report, runtime: &Runtime, numbers: &Keys<u64>) {
    let Tables { ours, floor, lockable, .. } = &Tables::<_, StdHasher>::new();
    let hand_made = HandMade::default();
    // On one thread, where its releases do not race with the next lock.
    let alone = Builder::new_current_thread().build().expect("the machine has threads to spare");
    let measure = Measure::new("u64 key, lock + unlock, free, from a task, std's hasher")
        .run("latchwork", |ops| runtime.block_on(numbers.free_async(ops, async |key| ours.lock(*key).await)))
        .run("floor", |ops| runtime.block_on(numbers.free_async(ops, async |key| floor.try_lock(key))))
        .goal(1.1)
        .run("lockable", |ops| {
            runtime.block_on(numbers.free_async(ops, async |key| lockable.async_lock(*key).await))
        })
        .goal(0.4)
        .run("by hand, release in a task", |ops| {
            alone.block_on(async {
                let watch = Watch::start();
                numbers.free_async(ops, async |key| hand_made.try_lock(*key).await).await;
                hand_made.settled().await;
                per_op(watch.elapsed(), ops)
            })
        });
    report.add(measure);
}

fn names_from_tasks(report: &mut Report, runtime: &Runtime, names: &Keys<String>) {
    let Tables { ours, floor, lockable, .. } = &Tables::<_, StdHasher>::new();
    let measure = Measure::new("24-byte key as &str, lock + unlock, free, from a task, std's hasher")
        .run("latchwork", |ops| {
            runtime.block_on(names.free_async(ops, async |key| ours.lock(key.as_str()).await))
        })
        .run("floor", |ops| runtime.block_on(names.free_async(ops, async |key| floor.try_lock(key))))
        .goal(1.1)
        .run("lockable", |ops| {
            runtime.block_on(names.free_async(ops, async |key| lockable.async_lock(key.clone()).await))
        })
        .goal(0.4);
    report.add(measure);

    let measure = Measure::new("24-byte key as String, lock + unlock, free, from a task, std's hasher")
        .run("latchwork", |ops| {
            runtime.block_on(names.free_async(ops, async |key| ours.lock(key.clone()).await))
        })
        .run("floor", |ops| runtime.block_on(names.free_async(ops, async |key| floor.try_lock(key))))
        .run("lockable", |ops| {
            runtime.block_on(names.free_async(ops, async |key| lockable.async_lock(key.clone()).await))
        });
    report.add(measure);
}

/// `try_lock` of a key that is held.
fn refused(report: &mut Report) {
    let held = Keys::only(7);
    let Tables { ours, floor, lock_map, lockable, .. } = &Tables::<u64, StdHasher>::new();
    let guards =
        (ours.lock(7).wait(), floor.try_lock(held.get(0)), lock_map.entry(7), lockable.blocking_lock(7));
    let measure = Measure::new("u64 key, try_lock, busy")
        .run("latchwork", |ops| held.free(ops, |key| ours.try_lock(*key)))
        .run("floor", |ops| held.free(ops, |key| floor.try_lock(key)))
        .run("lockmap", |ops| held.free(ops, |key| lock_map.try_entry(*key)))
        .run("lockable", |ops| held.free(ops, |key| lockable.try_lock(*key)));
    report.add(measure);
    drop(guards);
}
