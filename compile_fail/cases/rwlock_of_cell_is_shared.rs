use std::cell::Cell;
use std::thread;

use latchwork::RwLock;

fn main() {
    let lock = RwLock::new(Cell::new(1));
    thread::scope(|s| {
        s.spawn(|| lock.read().wait().set(2));
    });
}
