#![deny(unused_must_use)]

use latchwork::{KeyedLock, Mutex};

fn main() {
    let mutex = Mutex::new(1);
    mutex.lock();
    let keys = KeyedLock::<String>::new();
    keys.lock("ada");
}
