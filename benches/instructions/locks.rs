//! Locks that are free, and values that nobody changes meanwhile.

use latchwork::{Mutex, RwLock, Semaphore};

use crate::lock_peers::{Awaits, Lock, Saa, Xutex};
use crate::{Operation, in_task, on_thread};

pub(crate) const OPERATIONS: &[Operation] = &[
    ("mutex-thread", |count| {
        let lock = Mutex::new(0);
        on_thread(count, |_| lock.lock().wait());
    }),
    ("mutex-thread/parking_lot", |count| {
        let lock = parking_lot::Mutex::new(0);
        on_thread(count, |_| lock.lock());
    }),
    ("mutex-thread/std", |count| {
        let lock = std::sync::Mutex::new(0);
        on_thread(count, |_| lock.lock().expect("no holder panics"));
    }),
    ("mutex-task", |count| {
        let lock = Mutex::new(0);
        in_task(count, async |_| lock.lock().await);
    }),
    ("mutex-task/saa", |count| {
        let lock = Saa::new();
        in_task(count, async |_| lock.lock().await);
    }),
    ("mutex-task/xutex", |count| {
        let lock = Xutex::new(0.into());
        in_task(count, async |_| lock.lock_async().await);
    }),
    ("mutex-task/async-lock", |count| {
        let lock = async_lock::Mutex::new(0);
        in_task(count, async |_| lock.lock().await);
    }),
    ("mutex-task/tokio", |count| {
        let lock = tokio::sync::Mutex::new(0);
        in_task(count, async |_| lock.lock().await);
    }),
    ("rwlock-read-thread", |count| {
        let lock = RwLock::new(0);
        on_thread(count, |_| lock.read().wait());
    }),
    ("rwlock-read-thread/parking_lot", |count| {
        let lock = parking_lot::RwLock::new(0);
        on_thread(count, |_| lock.read());
    }),
    ("rwlock-read-thread/std", |count| {
        let lock = std::sync::RwLock::new(0);
        on_thread(count, |_| lock.read().expect("no holder panics"));
    }),
    ("semaphore-thread", |count| {
        let semaphore = Semaphore::new(4);
        on_thread(count, |_| semaphore.acquire().wait());
    }),
    ("semaphore-thread/saa", |count| {
        let semaphore = saa::Semaphore::with_permits(4);
        on_thread(count, |_| {
            semaphore.acquire_sync();
            semaphore.release()
        });
    }),
];
