#![deny(unused_must_use)]

use latchwork::{KeyedLock, Mutex, Semaphore};

fn main() {
    let mutex = Mutex::new(1);
    mutex.lock().wait();
    let keys = KeyedLock::<String>::new();
    keys.lock("ada").wait();
    let semaphore = Semaphore::new(1);
    semaphore.acquire().wait();
}
