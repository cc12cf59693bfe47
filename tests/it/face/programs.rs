//! Closures and generic code over locks.

use std::future::Future;
use std::thread;

use latchwork::{
    Acquire, KeyedLock, Mutex, TimedOut, acquire::Request, key::IntoKey, keyed::KeyedGuard, mutex::MutexGuard,
};

/// Any acquisition, however it is waited for.
fn patient<R: Request>(acquire: Acquire<R>) -> R::Guard {
    acquire.wait()
}

fn impatient<R: Request>(acquire: Acquire<R>) -> Result<R::Guard, TimedOut> {
    acquire.wait_timeout(std::time::Duration::from_secs(1))
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
