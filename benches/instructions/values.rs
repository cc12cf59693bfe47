//! Values and their versions, calls that succeed at once, and flights that nobody joins.

use std::future::ready;
use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use backon::{BlockingRetryable, Retryable};
use dashmap::DashMap;
use latchwork::{SingleFlight, Versioned, VersionedMap};

use crate::work::{self, Failed, Work};
use crate::{Operation, in_task, on_thread};

const BASE: Duration = Duration::from_millis(100);
const KEYS: u64 = 64;

pub(crate) const OPERATIONS: &[Operation] = &[
    ("retry-first-thread", |count| {
        let (policy, mut work) = (work::ours(BASE), Work::new(0));
        on_thread(count, |_| black_box(&policy).run_blocking(|_| work.attempt()));
    }),
    ("retry-first-thread/backon-constant", |count| {
        let (policy, mut work) = (work::backon_constant(BASE), Work::new(0));
        on_thread(count, |_| (|| work.attempt()).retry(black_box(policy)).when(Failed::passes).call());
    }),
    ("retry-first-task", |count| {
        let (policy, mut work) = (work::ours(BASE), Work::new(0));
        in_task(count, async |_| black_box(&policy).run(|_| ready(work.attempt())).await);
    }),
    ("retry-first-task/backon-constant", |count| {
        let (policy, mut work) = (work::backon_constant(BASE), Work::new(0));
        in_task(count, async |_| {
            (|| ready(work.attempt())).retry(black_box(policy)).when(Failed::passes).await
        });
    }),
    ("flight-alone-task", |count| {
        let flights = SingleFlight::<u64, u64>::new();
        in_task(count, async |turn| flights.run(turn % KEYS, async || 7).await.value);
    }),
    ("flight-alone-task/singleflight-async", |count| {
        let flights = singleflight_async::SingleFlight::<u64, u64>::new();
        in_task(count, async |turn| flights.work(turn % KEYS, async || 7).await);
    }),
    ("snapshot", |count| {
        let value = Versioned::new([7_u64; 4]);
        on_thread(count, |_| value.snapshot());
    }),
    ("snapshot/arc-swap-load_full", |count| {
        let value = ArcSwap::from_pointee([7_u64; 4]);
        on_thread(count, |_| value.load_full());
    }),
    ("snapshot/arc-swap-load", |count| {
        let value = ArcSwap::from_pointee([7_u64; 4]);
        on_thread(count, |_| value.load());
    }),
    ("map-get", |count| {
        let map = VersionedMap::<u64, [u64; 4]>::new();
        (0..KEYS).for_each(|key| drop(map.insert_new(key, [7; 4])));
        on_thread(count, |turn| map.get(&(turn % KEYS)));
    }),
    ("map-get/dashmap-of-arc", |count| {
        let map = DashMap::<u64, Arc<[u64; 4]>>::new();
        (0..KEYS).for_each(|key| drop(map.insert(key, Arc::new([7; 4]))));
        on_thread(count, |turn| map.get(&(turn % KEYS)).map(|value| value.value().clone()));
    }),
];
