use latchwork::Mutex;

fn main() {
    let mutex = Mutex::new(1);
    let mut guard = mutex.lock().wait();
    let one = &mut *guard;
    let two = &mut *guard;
    *one += *two;
}
