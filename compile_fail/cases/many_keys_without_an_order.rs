use latchwork::KeyedLock;

#[derive(PartialEq, Eq, Hash)]
struct Unordered(u32);

fn main() {
    let keys = KeyedLock::<Unordered>::new();
    drop(keys.lock_many([Unordered(1), Unordered(2)]).wait());
}
