//! Keys, and an order in which to ask for them.

use std::hint::black_box;

use crate::harness::{Watch, per_op};

const KEYS: usize = 10_000;

pub(crate) struct Keys<K> {
    keys: Vec<K>,
    order: Vec<u16>,
}

impl Keys<u64> {
    pub(crate) fn numbers() -> Self {
        Self::new(|| fastrand::u64(..))
    }
}

impl Keys<String> {
    pub(crate) fn names() -> Self {
        let names = Self::new(|| format!("user-{:019}", fastrand::u64(..) >> 1));
        assert!(names.keys.iter().all(|name| name.len() == 24));
        names
    }
}

impl<K> Keys<K> {
    fn new(mut key: impl FnMut() -> K) -> Self {
        let keys = (0..KEYS).map(|_| key()).collect();
        Self { keys, order: (0..1 << 14).map(|_| fastrand::u16(..KEYS as u16)).collect() }
    }

    /// The same key each time.
    pub(crate) fn only(key: K) -> Self {
        Self { keys: vec![key], order: vec![0] }
    }

    #[inline]
    pub(crate) fn get(&self, turn: u64) -> &K {
        black_box(&self.keys[usize::from(self.order[turn as usize % self.order.len()])])
    }

    /// The time for a key to be acquired and released, on this thread.
    pub(crate) fn free<'k, G>(&'k self, ops: u64, mut acquire: impl FnMut(&'k K) -> G) -> f64 {
        let watch = Watch::start();
        for turn in 0..ops {
            black_box(&acquire(self.get(turn)));
        }
        per_op(watch.elapsed(), ops)
    }

    /// The same in the task that this thread polls.
    pub(crate) async fn free_async<'k, G>(
        &'k self,
        ops: u64,
        mut acquire: impl AsyncFnMut(&'k K) -> G,
    ) -> f64 {
        let watch = Watch::start();
        for turn in 0..ops {
            black_box(&acquire(self.get(turn)).await);
        }
        per_op(watch.elapsed(), ops)
    }
}
