use latchwork::KeyedLock;

/// Several keys are waited for in several queues.
fn main() {
    let keys = KeyedLock::<u32>::new();
    let _ = keys.lock_many([1, 2]).max_waiters(3);
}
