//! What it costs to lock and unlock a key that nobody else wants, and to be refused one.

use std::hash::{Hash, RandomState};
use std::hint::black_box;
use std::time::Instant;

use dashmap::DashMap;
use tokio::runtime::{Builder, Runtime};

use crate::harness::{Measure, Report, per_op};
use crate::peers::{BatchLock, Floor, HandMade, Lockable, Ours, lock_map, ours};

const KEYS: usize = 10_000;

pub(crate) fn run(report: &mut Report, runtime: &Runtime) {
    let numbers = Keys::new(|| fastrand::u64(..));
    let names = Keys::new(|| format!("user-{:019}", fastrand::u64(..) >> 1));
    assert!(names.keys.iter().all(|name| name.len() == 24));
    from_threads(report, &numbers, &names);
    from_tasks(report, runtime, &numbers, &names);
    refused(report);
}

/// Keys, and an order in which to ask for them.
struct Keys<K> {
    keys: Vec<K>,
    order: Vec<u16>,
}

impl<K> Keys<K> {
    fn new(mut key: impl FnMut() -> K) -> Self {
        let keys = (0..KEYS).map(|_| key()).collect();
        Self { keys, order: (0..1 << 14).map(|_| fastrand::u16(..KEYS as u16)).collect() }
    }

    #[inline]
    fn get(&self, turn: u64) -> &K {
        black_box(&self.keys[usize::from(self.order[turn as usize % self.order.len()])])
    }

    fn free<'k, G>(&'k self, ops: u64, mut acquire: impl FnMut(&'k K) -> G) -> f64 {
        let start = Instant::now();
        for turn in 0..ops {
            black_box(&acquire(self.get(turn)));
        }
        per_op(start, ops)
    }

    async fn free_async<'k, G>(&'k self, ops: u64, mut acquire: impl AsyncFnMut(&'k K) -> G) -> f64 {
        let start = Instant::now();
        for turn in 0..ops {
            black_box(&acquire(self.get(turn)).await);
        }
        per_op(start, ops)
    }
}

/// Everything that there is for one type of key.
struct Tables<K: Hash + Eq + Clone> {
    ours: Ours<K>,
    floor: Floor<K>,
    batch_lock: BatchLock<K>,
    lockable: Lockable<K>,
    dash_map: DashMap<K, (), RandomState>,
}

impl<K: Hash + Eq + Clone> Tables<K> {
    fn new() -> Self {
        Self {
            ours: ours(),
            floor: Floor::new(),
            batch_lock: BatchLock::new(),
            lockable: Lockable::new(),
            dash_map: DashMap::default(),
        }
    }
}

fn from_threads(report: &mut Report, numbers: &Keys<u64>, names: &Keys<String>) {
    let (tables, lock_map_of_numbers) = (Tables::new(), lock_map());
    let Tables { ours, floor, batch_lock, lockable, dash_map } = &tables;
    let measure = Measure::new("u64 key, lock + unlock, free, from a thread")
        .run("latchwork", |ops| numbers.free(ops, |key| ours.lock(*key).wait()))
        .run("floor", |ops| numbers.free(ops, |key| floor.try_lock(key)))
        .goal(1.0)
        .run("batch-lock", |ops| numbers.free(ops, |key| batch_lock.lock(key)))
        .goal(1.0)
        .run("lockmap", |ops| numbers.free(ops, |key| lock_map_of_numbers.entry(*key)))
        .goal(1.0)
        .run("dashmap insert + remove", |ops| {
            numbers.free(ops, |key| (dash_map.insert(*key, ()), dash_map.remove(key)))
        })
        .run("lockable", |ops| numbers.free(ops, |key| lockable.blocking_lock(*key)));
    report.add(measure);

    let (tables, lock_map) = (Tables::new(), lock_map());
    let Tables { ours, floor, batch_lock, lockable, dash_map } = &tables;
    let measure = Measure::new("24-byte key as &str, lock + unlock, free, from a thread")
        .run("latchwork", |ops| names.free(ops, |key| ours.lock(key.as_str()).wait()))
        .run("floor", |ops| names.free(ops, |key| floor.try_lock(key)))
        .goal(1.0)
        .run("batch-lock", |ops| names.free(ops, |key| batch_lock.lock(key)))
        .goal(1.0)
        .run("lockmap", |ops| names.free(ops, |key| lock_map.entry_by_ref(key.as_str())))
        .goal(1.0)
        .run("dashmap insert + remove", |ops| {
            names.free(ops, |key| (dash_map.insert(key.clone(), ()), dash_map.remove(key)))
        })
        .run("lockable", |ops| names.free(ops, |key| lockable.blocking_lock(key.clone())));
    report.add(measure);

    let measure = Measure::new("24-byte key as String, lock + unlock, free, from a thread")
        .run("latchwork", |ops| names.free(ops, |key| ours.lock(key.clone()).wait()))
        .run("floor", |ops| names.free(ops, |key| floor.try_lock(key)))
        .goal(1.0)
        .run("lockmap", |ops| names.free(ops, |key| lock_map.entry(key.clone())))
        .goal(1.0);
    report.add(measure);
}

fn from_tasks(report: &mut Report, runtime: &Runtime, numbers: &Keys<u64>, names: &Keys<String>) {
    let (tables, hand_made) = (Tables::new(), HandMade::default());
    // On one thread, where its releases do not race with the next lock.
    let alone = Builder::new_current_thread().build().expect("the machine has threads to spare");
    let Tables { ours, floor, lockable, .. } = &tables;
    let measure = Measure::new("u64 key, lock + unlock, free, from a task")
        .run("latchwork", |ops| runtime.block_on(numbers.free_async(ops, async |key| ours.lock(*key).await)))
        .run("lockable", |ops| {
            runtime.block_on(numbers.free_async(ops, async |key| lockable.async_lock(*key).await))
        })
        .goal(0.4)
        .run("floor", |ops| numbers.free(ops, |key| floor.try_lock(key)))
        .run("by hand, release in a task", |ops| {
            alone.block_on(async {
                let start = Instant::now();
                numbers.free_async(ops, async |key| hand_made.try_lock(*key).await).await;
                hand_made.settled().await;
                per_op(start, ops)
            })
        });
    report.add(measure);

    let tables = Tables::new();
    let Tables { ours, floor, lockable, .. } = &tables;
    let measure = Measure::new("24-byte key, lock + unlock, free, from a task")
        .run("latchwork", |ops| {
            runtime.block_on(names.free_async(ops, async |key| ours.lock(key.as_str()).await))
        })
        .run("lockable", |ops| {
            runtime.block_on(names.free_async(ops, async |key| lockable.async_lock(key.clone()).await))
        })
        .goal(0.4)
        .run("floor", |ops| names.free(ops, |key| floor.try_lock(key)));
    report.add(measure);
}

/// `try_lock` of a key that is held.
fn refused(report: &mut Report) {
    let held = Keys { keys: vec![7], order: vec![0] };
    let (tables, lock_map) = (Tables::new(), lock_map());
    let Tables { ours, floor, lockable, .. } = &tables;
    let guards =
        (ours.lock(7).wait(), floor.try_lock(&held.keys[0]), lock_map.entry(7), lockable.blocking_lock(7));
    let measure = Measure::new("u64 key, try_lock, busy")
        .run("latchwork", |ops| held.free(ops, |key| ours.try_lock(*key)))
        .run("floor", |ops| held.free(ops, |key| floor.try_lock(key)))
        .goal(1.3)
        .run("lockmap", |ops| held.free(ops, |key| lock_map.try_entry(*key)))
        .run("lockable", |ops| held.free(ops, |key| lockable.try_lock(*key)));
    report.add(measure);
    drop(guards);
}
