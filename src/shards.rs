//! Into how many parts a table is divided, so that those who use different keys seldom meet.

use std::thread::available_parallelism;

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
