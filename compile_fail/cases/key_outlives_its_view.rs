use latchwork::KeyedLock;

fn main() {
    let keys = KeyedLock::<String>::new();
    let guard = keys.lock("ada").wait();
    let views = keys.snapshot();
    let key = views[0].key();
    drop(views);
    drop(guard);
    assert_eq!(key, "ada");
}
