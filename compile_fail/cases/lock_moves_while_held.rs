use latchwork::RwLock;

fn main() {
    let lock = RwLock::new(1);
    let reader = lock.read().wait();
    let value = lock.into_inner();
    assert_eq!(*reader, value);
}
