//! Closures and generic code over locks.

use std::future::Future;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use latchwork::{
    Acquire, KeyedLock, KeyedSemaphore, Mutex, RwLock, Semaphore,
    acquire::Acquisition,
    error::NotAcquired,
    key::IntoKey,
    keyed::{self, KeyedGuard},
    mutex::{self, MutexGuard},
    provider::LockError,
    rwlock, semaphore,
};

/// Any acquisition, however it is waited for.
fn patient<A: Acquisition>(acquire: Acquire<A>) -> A::Guard {
    acquire.wait()
}

fn impatient<A: Acquisition>(acquire: Acquire<A>) -> A::Timed {
    acquire.wait_timeout(Duration::from_secs(1))
}

/// Whatever means a key.
fn with_key<K: Eq + std::hash::Hash, T>(
    keys: &KeyedLock<K>,
    key: impl IntoKey<K>,
    f: impl FnOnce(&K) -> T,
) -> T {
    f(keys.lock(key).wait().key())
}

/// A guard that is returned borrows the lock and not the key.
fn by_name<'a>(keys: &'a KeyedLock<String>, first: &str, last: &str) -> KeyedGuard<'a, String> {
    let name = format!("{first} {last}");
    keys.lock(name.as_str()).wait()
}

fn longest<'a>(names: &'a Mutex<Vec<String>>) -> MutexGuard<'a, Vec<String>, str> {
    MutexGuard::map(names.lock().wait(), |names| {
        names.iter_mut().max_by_key(|name| name.len()).map_or(Default::default(), |name| name.as_mut_str())
    })
}

async fn twice<Fut: Future<Output = u32>>(mut f: impl FnMut() -> Fut) -> u32 {
    f().await + f().await
}

/// Acquisitions that are kept before anybody waits for them.
struct Kept<'a> {
    lock: mutex::Lock<'a, u32>,
    lock_owned: mutex::LockOwned<u32>,
    read: rwlock::Read<'a, u32>,
    read_owned: rwlock::ReadOwned<u32>,
    write: rwlock::Write<'a, u32>,
    write_owned: rwlock::WriteOwned<u32>,
    permits: semaphore::AcquirePermits<'a>,
    permits_owned: semaphore::AcquirePermitsOwned,
    key: keyed::Lock<'a, String, &'a str>,
    key_owned: keyed::LockOwned<String>,
    keys: keyed::LockMany<'a, String>,
    keys_owned: keyed::LockManyOwned<String>,
    seats: keyed::AcquirePermits<'a, u32>,
    seats_owned: keyed::AcquirePermitsOwned<u32>,
    drained: keyed::Drained<'a, KeyedSemaphore<u32>>,
}

#[test]
fn acquisitions_have_types_that_can_be_written_down() {
    let (mutex, rwlock) = (Arc::new(Mutex::new(1)), Arc::new(RwLock::new(2)));
    let (semaphore, locks) = (Arc::new(Semaphore::new(3)), Arc::new(KeyedLock::<String>::new()));
    let seats = Arc::new(KeyedSemaphore::<u32>::new(4));
    let kept = Kept {
        lock: mutex.lock(),
        lock_owned: mutex.lock_owned(),
        read: rwlock.read(),
        read_owned: rwlock.read_owned(),
        write: rwlock.write(),
        write_owned: rwlock.write_owned(),
        permits: semaphore.acquire(),
        permits_owned: semaphore.acquire_many_owned(2),
        key: locks.lock("ada"),
        key_owned: locks.lock_shared_owned("grace".to_owned()),
        keys: locks.lock_many(["kay", "joan"]),
        keys_owned: locks.lock_many_owned(["jean"]),
        seats: seats.acquire(7),
        seats_owned: seats.acquire_many_owned(7, 3),
        drained: seats.drained(),
    };
    assert_eq!(*kept.lock.wait() + *kept.read.wait(), 3);
    assert_eq!(*kept.lock_owned.wait() + *kept.read_owned.wait(), 3);
    assert_eq!(*kept.write.wait(), 2);
    assert_eq!(*kept.write_owned.wait(), 2);
    assert_eq!((kept.permits.wait().count(), kept.permits_owned.wait().count()), (1, 2));
    assert_eq!((kept.key.wait().key().as_str(), kept.key_owned.wait().key().as_str()), ("ada", "grace"));
    assert_eq!((kept.keys.wait().len(), kept.keys_owned.wait().len()), (2, 1));
    assert_eq!((kept.seats.wait().count(), kept.seats_owned.wait().count()), (1, 3));
    kept.drained.wait();
}

/// One error, however an acquisition was limited.
fn limited(keys: &KeyedLock<u32>, seats: &Semaphore) -> Result<u32, NotAcquired> {
    let limit = Duration::from_secs(1);
    let first = keys.lock(1).max_waiters(2).wait_timeout(limit)?;
    let second = keys.lock(2).max_waiters(2).wait()?;
    let third = keys.lock(3).wait_timeout(limit)?;
    let _permit = seats.try_acquire()?;
    Ok(first.key() + second.key() + third.key())
}

/// The errors of an acquisition are errors of a provider, too.
fn by_hand(keys: &KeyedLock<u32>) -> Result<u32, LockError> {
    let limit = Duration::from_micros(50);
    let first = keys.try_lock(1)?;
    let second = keys.lock(2).wait_timeout(limit)?;
    let third = keys.lock(3).max_waiters(1).wait_timeout(limit)?;
    Ok(first.key() + second.key() + third.key())
}

#[test]
fn errors_of_acquisitions_become_one() {
    let (keys, seats) = (KeyedLock::new(), Semaphore::new(1));
    assert_eq!(limited(&keys, &seats), Ok(6));
    assert!(matches!(by_hand(&keys), Ok(6)));
    let permit = seats.acquire().wait();
    assert!(matches!(limited(&keys, &seats), Err(NotAcquired::Busy(_))));
    drop(permit);
    let held = keys.lock(3).wait();
    assert!(matches!(by_hand(&keys), Err(LockError::TimedOut(_))));
    drop(held);
    let held = keys.lock(1).wait();
    assert!(matches!(by_hand(&keys), Err(LockError::Busy(busy)) if busy.holder == Some(held.fence())));
}

#[test]
fn closures_and_generic_code_take_any_lock() {
    let mutex = Mutex::new(1);
    assert_eq!(*patient(mutex.lock()), 1);
    assert_eq!(impatient(mutex.lock()).map(|guard| *guard), Ok(1));
    let keys = KeyedLock::<String>::new();
    assert_eq!(with_key(&keys, "ada", String::len), 3);
    assert_eq!(by_name(&keys, "ada", "l").key(), "ada l");
    let names = Mutex::new(vec!["ada".to_owned(), "grace".to_owned()]);
    longest(&names).make_ascii_uppercase();
    assert_eq!(names.lock().wait()[1], "GRACE");
    // A guard of a local lock, within a closure that borrows it, on several threads.
    let add = || *mutex.lock().wait() += 1;
    thread::scope(|s| {
        s.spawn(add);
        s.spawn(add);
    });
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("it starts");
    assert_eq!(runtime.block_on(twice(|| async { *mutex.lock().await })), 6);
}
