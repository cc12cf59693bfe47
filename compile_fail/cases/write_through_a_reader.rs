use latchwork::RwLock;

fn main() {
    let lock = RwLock::new(1);
    *lock.read().wait() += 1;
}
