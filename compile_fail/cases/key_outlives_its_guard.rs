use latchwork::KeyedLock;

fn main() {
    let keys = KeyedLock::<String>::new();
    let guard = keys.lock("ada").wait();
    let key = guard.key();
    drop(guard);
    assert_eq!(key, "ada");
}
