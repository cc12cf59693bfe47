//! The peers, and what is written by hand.

use std::future::Future;
use std::sync::{Arc, OnceLock};

use dashmap::DashMap;
use tokio::sync::OnceCell;

pub(crate) type Peer = singleflight_async::SingleFlight<u64, u64>;

/// What a service writes that has a map and a cell at hand. A call that is dropped leaves its entry behind.
#[derive(Default)]
pub(crate) struct ByHand(DashMap<u64, Arc<OnceCell<u64>>>);

impl ByHand {
    pub(crate) async fn run<F: Future<Output = u64>>(&self, key: u64, work: impl FnOnce() -> F) -> u64 {
        let cell = self.0.entry(key).or_default().clone();
        let value = *cell.get_or_init(work).await;
        self.0.remove_if(&key, |_, own| Arc::ptr_eq(own, &cell));
        value
    }
}

/// The same for threads.
#[derive(Default)]
pub(crate) struct ByHandBlocking(DashMap<u64, Arc<OnceLock<u64>>>);

impl ByHandBlocking {
    pub(crate) fn run(&self, key: u64, work: impl FnOnce() -> u64) -> u64 {
        let cell = self.0.entry(key).or_default().clone();
        let value = *cell.get_or_init(work);
        self.0.remove_if(&key, |_, own| Arc::ptr_eq(own, &cell));
        value
    }
}

/// A cache whose `get_with` runs the work once. It keeps the value, so the caller that ran the work takes it out.
pub(crate) struct Moka(moka::future::Cache<u64, u64>);

impl Moka {
    pub(crate) fn new() -> Self {
        Self(moka::future::Cache::new(10_000))
    }

    pub(crate) async fn run<F: Future<Output = u64>>(&self, key: u64, work: impl FnOnce() -> F) -> u64 {
        let mut led = false;
        let init = async {
            led = true;
            work().await
        };
        let value = self.0.get_with(key, init).await;
        if led {
            self.0.invalidate(&key).await;
        }
        value
    }
}

/// The same for threads.
pub(crate) struct MokaBlocking(moka::sync::Cache<u64, u64>);

impl MokaBlocking {
    pub(crate) fn new() -> Self {
        Self(moka::sync::Cache::new(10_000))
    }

    pub(crate) fn run(&self, key: u64, work: impl FnOnce() -> u64) -> u64 {
        let mut led = false;
        let value = self.0.get_with(key, || {
            led = true;
            work()
        });
        if led {
            self.0.invalidate(&key);
        }
        value
    }
}
