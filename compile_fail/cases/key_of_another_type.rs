//! The compiler says which key is expected, and what may be passed for it.

fn main() {
    let locks = latchwork::KeyedLock::<String>::new();
    let _guard = locks.try_lock(7_u32);
}
