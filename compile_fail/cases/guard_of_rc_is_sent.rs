use std::rc::Rc;
use std::sync::Arc;
use std::thread;

use latchwork::Mutex;

fn main() {
    let guard = Arc::new(Mutex::new(Rc::new(1))).lock_owned().wait();
    thread::spawn(move || drop(guard));
}
