//! What it costs to read one value of many.

use std::hash::{Hash, RandomState};
use std::hint::black_box;
use std::sync::Arc;

use dashmap::DashMap;
use latchwork::VersionedMap;
use tokio::runtime::Runtime;

use crate::harness::crowd::{self, OnThread, Stop};
use crate::harness::{Measure, Report, Round, Watch, per_op};

const KEYS: usize = 100_000;

type Value = [u64; 4];

pub(crate) fn run(report: &mut Report, runtime: &Runtime) {
    let numbers = Contenders::new(|| fastrand::u64(..));
    let names = Contenders::new(|| format!("user-{:019}", fastrand::u64(..) >> 1));
    numbers.alone(report, "get + drop among 100 000, u64 keys");
    names.alone(report, "get + drop among 100 000, 24-byte String keys");
    numbers.together(report, runtime, "get + drop among 100 000, u64 keys, 2 threads");
    names.together(report, runtime, "get + drop among 100 000, 24-byte String keys, 2 threads");
    numbers.writing(report, "replace by closure among 100 000, u64 keys");
}

/// The same keys in both maps, with the same hasher, and an order in which to ask for them.
struct Contenders<K> {
    keys: Arc<[K]>,
    ours: Arc<VersionedMap<K, Value>>,
    dash_map: Arc<DashMap<K, Arc<Value>, RandomState>>,
}

impl<K: Eq + Hash + Clone + Send + Sync + 'static> Contenders<K> {
    fn new(mut key: impl FnMut() -> K) -> Self {
        let hasher = RandomState::new();
        let (ours, dash_map) = (
            VersionedMap::builder().hasher(hasher.clone()).build(),
            DashMap::with_hasher_and_shard_amount(hasher, 64),
        );
        let mut keys: Vec<K> = (0..KEYS).map(|_| key()).collect();
        for key in &keys {
            ours.insert_new(key.clone(), [7; 4]).expect("the keys are different");
            dash_map.insert(key.clone(), Arc::new([7; 4]));
        }
        // Another order than that in which they were stored.
        fastrand::shuffle(&mut keys);
        Self { keys: keys.into(), ours: Arc::new(ours), dash_map: Arc::new(dash_map) }
    }

    fn each<R>(&self, ops: u64, mut op: impl FnMut(&K) -> R) -> f64 {
        let keys = self.keys.iter().cycle().take(ops as usize);
        let watch = Watch::start();
        for key in keys {
            black_box(&op(black_box(key)));
        }
        per_op(watch.elapsed(), ops)
    }

    fn alone(&self, report: &mut Report, title: &str) {
        let measure = Measure::new(title)
            .run("latchwork", |ops| self.each(ops, |key| self.ours.get(key)))
            .run("DashMap get + Arc clone", |ops| {
                self.each(ops, |key| self.dash_map.get(key).map(|value| value.value().clone()))
            })
            .goal(1.1);
        report.add(measure);
    }

    fn together(&self, report: &mut Report, runtime: &Runtime, title: &str) {
        let measure = Measure::new(title)
            .fixed(crowd::ROUND)
            .also("greediest × mean")
            .run("latchwork", |ms| self.pair(runtime, self.ours.clone(), |map, key| map.get(key), ms))
            .run("DashMap get + Arc clone", |ms| {
                let get = |map: &DashMap<K, Arc<Value>, RandomState>, key: &K| {
                    map.get(key).map(|value| value.value().clone())
                };
                self.pair(runtime, self.dash_map.clone(), get, ms)
            })
            .goal(1.1);
        report.add(measure);
    }

    fn writing(&self, report: &mut Report, title: &str) {
        let measure = Measure::new(title)
            .run("latchwork modify", |ops| {
                self.each(ops, |key| self.ours.modify(key, |value| value.map(|part| part + 1)))
            })
            .run("DashMap get_mut", |ops| {
                self.each(ops, |key| {
                    let mut value = self.dash_map.get_mut(key).expect("it was stored");
                    *value = Arc::new((**value).map(|part| part + 1));
                })
            })
            .goal(1.1);
        report.add(measure);
    }

    fn pair<M: Send + Sync + 'static, R>(
        &self,
        runtime: &Runtime,
        map: Arc<M>,
        op: impl Fn(&M, &K) -> R + Copy + Send + 'static,
        ms: u64,
    ) -> Round {
        let stop = Stop::default();
        let members = (0..2).map(|member| -> OnThread {
            let (map, keys, stop) = (map.clone(), self.keys.clone(), stop.clone());
            Box::new(move || {
                let mut made = 0;
                let start = member * keys.len() / 2;
                for key in keys.iter().cycle().skip(start).take_while(|_| !stop.is_set()) {
                    black_box(&op(&map, key));
                    made += 1;
                }
                made
            })
        });
        let members = members.collect();
        crowd::run(runtime, (stop, ms), members, Vec::new()).greediest()
    }
}
