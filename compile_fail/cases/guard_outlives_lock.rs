use latchwork::Mutex;

fn main() {
    let guard = {
        let mutex = Mutex::new(1);
        mutex.lock().wait()
    };
    drop(guard);
}
