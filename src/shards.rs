//! Into how many parts a table is divided, so that those who use different keys seldom meet.

use std::thread::available_parallelism;

use hashbrown::HashTable;

/// Capacity that a table keeps, come what may.
const SMALL: usize = 28;

/// The number of shards that a table has by default: 16 for each processor, and at least 64. In
/// models one, so that they see the shards' locks at work.
pub(crate) fn default_count() -> usize {
    match available_parallelism() {
        _ if cfg!(latchwork_loom) => 1,
        Ok(threads) => (threads.get() * 16).next_power_of_two().max(64),
        Err(_) => 64,
    }
}

/// Rounds a number of shards that a user asked for up to a power of two.
///
/// # Panics
///
/// With zero, or more than 65 536.
pub(crate) fn count(wanted: usize) -> usize {
    assert!((1..=1 << 16).contains(&wanted), "shards must be between 1 and 65536");
    wanted.next_power_of_two()
}

/// The hash that a shard's table sees. It takes the lowest bits and the highest seven, while the low bits of
/// all keys in one shard are the same: so all bits are brought into both places.
#[inline]
pub(crate) fn spread(hash: u64) -> u64 {
    hash.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(32)
}

/// Gives a table's memory back after a burst.
#[inline]
pub(crate) fn shrink<T>(table: &mut HashTable<T>, hash: impl Fn(&T) -> u64) {
    if table.capacity() > SMALL && table.len() < table.capacity() / 8 {
        table.shrink_to(SMALL.max(table.len() * 2), hash);
    }
}
