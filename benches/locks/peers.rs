//! The locks that are compared, behind two traits: how a thread waits, and how a task does.
//!
//! All of them guard an `AtomicU64`, which is read and written as a plain number would be: so a lock
//! without a value inside can take part without unsafe code.

use std::future::Future;
use std::ops::Deref;
use std::sync::atomic::AtomicU64;

/// A lock that starts out free.
pub(crate) trait Lock: Send + Sync + 'static {
    fn new() -> Self;
}

/// A lock for threads.
pub(crate) trait Waits: Lock {
    fn wait(&self) -> impl Deref<Target = AtomicU64>;
}

/// A lock for tasks.
pub(crate) trait Awaits: Lock {
    fn lock(&self) -> impl Future<Output = impl Deref<Target = AtomicU64> + Send> + Send;
}

pub(crate) type Ours = latchwork::Mutex<AtomicU64>;
pub(crate) type ParkingLot = parking_lot::Mutex<AtomicU64>;
pub(crate) type Std = std::sync::Mutex<AtomicU64>;
pub(crate) type Tokio = tokio::sync::Mutex<AtomicU64>;
pub(crate) type AsyncLock = async_lock::Mutex<AtomicU64>;
pub(crate) type Xutex = xutex::Mutex<AtomicU64>;

impl Lock for Ours {
    fn new() -> Self {
        Self::new(AtomicU64::new(0))
    }
}

impl Waits for Ours {
    #[inline]
    fn wait(&self) -> impl Deref<Target = AtomicU64> {
        self.lock().wait()
    }
}

impl Awaits for Ours {
    #[inline]
    fn lock(&self) -> impl Future<Output = impl Deref<Target = AtomicU64> + Send> + Send {
        Self::lock(self)
    }
}

impl Lock for ParkingLot {
    fn new() -> Self {
        Self::new(AtomicU64::new(0))
    }
}

impl Waits for ParkingLot {
    #[inline]
    fn wait(&self) -> impl Deref<Target = AtomicU64> {
        self.lock()
    }
}

impl Lock for Std {
    fn new() -> Self {
        Self::new(AtomicU64::new(0))
    }
}

impl Waits for Std {
    #[inline]
    fn wait(&self) -> impl Deref<Target = AtomicU64> {
        self.lock().expect("no holder panics")
    }
}

impl Lock for Tokio {
    fn new() -> Self {
        Self::new(AtomicU64::new(0))
    }
}

impl Waits for Tokio {
    #[inline]
    fn wait(&self) -> impl Deref<Target = AtomicU64> {
        self.blocking_lock()
    }
}

impl Awaits for Tokio {
    #[inline]
    fn lock(&self) -> impl Future<Output = impl Deref<Target = AtomicU64> + Send> + Send {
        Self::lock(self)
    }
}

impl Lock for AsyncLock {
    fn new() -> Self {
        Self::new(AtomicU64::new(0))
    }
}

impl Waits for AsyncLock {
    #[inline]
    fn wait(&self) -> impl Deref<Target = AtomicU64> {
        self.lock_blocking()
    }
}

impl Awaits for AsyncLock {
    #[inline]
    fn lock(&self) -> impl Future<Output = impl Deref<Target = AtomicU64> + Send> + Send {
        Self::lock(self)
    }
}

impl Lock for Xutex {
    fn new() -> Self {
        Self::new(AtomicU64::new(0))
    }
}

impl Waits for Xutex {
    #[inline]
    fn wait(&self) -> impl Deref<Target = AtomicU64> {
        self.lock()
    }
}

impl Awaits for Xutex {
    #[inline]
    fn lock(&self) -> impl Future<Output = impl Deref<Target = AtomicU64> + Send> + Send {
        self.lock_async()
    }
}

/// saa's lock has no value and no guard: these add them.
#[derive(Default)]
pub(crate) struct Saa {
    lock: saa::Lock,
    value: AtomicU64,
}

struct SaaGuard<'a>(&'a Saa);

impl Deref for SaaGuard<'_> {
    type Target = AtomicU64;

    #[inline]
    fn deref(&self) -> &AtomicU64 {
        &self.0.value
    }
}

impl Drop for SaaGuard<'_> {
    #[inline]
    fn drop(&mut self) {
        self.0.lock.release_lock();
    }
}

impl Lock for Saa {
    fn new() -> Self {
        Self::default()
    }
}

impl Waits for Saa {
    #[inline]
    fn wait(&self) -> impl Deref<Target = AtomicU64> {
        self.lock.lock_sync();
        SaaGuard(self)
    }
}

impl Awaits for Saa {
    #[inline]
    async fn lock(&self) -> impl Deref<Target = AtomicU64> + Send {
        self.lock.lock_async().await;
        SaaGuard(self)
    }
}
