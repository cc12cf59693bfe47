use std::rc::Rc;
use std::thread;

use latchwork::Mutex;

fn main() {
    let mutex = Mutex::new(Rc::new(1));
    thread::scope(|s| {
        s.spawn(|| drop(mutex.lock().wait().clone()));
    });
}
