//! Into how many parts a table is divided, so that those who use different keys seldom meet.

use std::thread::available_parallelism;

use hashbrown::HashTable;

/// Capacity that a table keeps, come what may.
const SMALL: usize = 28;

/// The parts of a table, each with a lock of its own. `T` is that lock, and what it protects.
pub(crate) struct Shards<T>(Box<[Padded<T>]>);

/// On a cache line of its own, so that those who use different shards do not meet.
#[repr(align(64))]
struct Padded<T>(T);

impl<T> Shards<T> {
    /// As many shards as `count` says, a power of two up to 65 536.
    pub(crate) fn new(count: usize, make: impl Fn() -> T) -> Self {
        debug_assert!(count.is_power_of_two() && count <= 1 << 16);
        Self((0..count).map(|_| Padded(make())).collect())
    }

    /// The shard of a hash that was [spread](spread). Its bits from the 32nd on choose: the shard's own table looks
    /// at the lowest ones and the highest seven, which so differ among the keys of one shard.
    #[inline]
    pub(crate) fn of(&self, hash: u64) -> &T {
        &self.0[(hash >> 32) as usize & (self.0.len() - 1)].0
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.0.iter().map(|shard| &shard.0)
    }
}

/// The number of shards that a table has by default: 16 for each processor, and at least 64. In
/// models one, so that they see the shards' locks at work.
pub(crate) fn default_count() -> usize {
    match available_parallelism() {
        _ if cfg!(latchwork_loom) => 1,
        Ok(threads) => (threads.get() * 16).next_power_of_two().clamp(64, 1 << 16),
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

/// Brings all 64 bits of a hash to bear on the choice of the shard and on both of the places that its table looks
/// at. A hasher need not do that itself: one that returns an id as it is leaves most bits the same, and the few that
/// differ may be anywhere.
///
/// It multiplies, and folds the upper half of the product into the lower one: in a product a bit changes only those
/// above it, and the fold brings these down. The first constant keeps runs of zeros out of the product, which the fold
/// would leave zeros.
#[inline]
pub(crate) fn spread(hash: u64) -> u64 {
    // The fractions of pi and of the golden ratio.
    let product = u128::from(hash ^ 0x243f_6a88_85a3_08d3) * 0x9e37_79b9_7f4a_7c15;
    product as u64 ^ (product >> 64) as u64
}

/// Gives a table's memory back after a burst.
#[inline]
pub(crate) fn shrink<T>(table: &mut HashTable<T>, hash: impl Fn(&T) -> u64) {
    if table.capacity() > SMALL && table.len() < table.capacity() / 8 {
        table.shrink_to(SMALL.max(table.len() * 2), hash);
    }
}

#[cfg(all(test, not(latchwork_loom)))]
mod tests {
    use std::cell::RefCell;
    use std::collections::HashSet;

    use super::*;

    /// Ids as a hasher that returns them unchanged hashes them.
    fn patterns() -> impl Iterator<Item = (String, Vec<u64>)> {
        let steps = (0..=56).map(|k| {
            let many = (u64::MAX >> k).min(1 << 14);
            (format!("multiples of 2^{k}"), (0..many).map(|id| id << k).collect())
        });
        type Pattern = (&'static str, fn(u64) -> u64);
        let others: [Pattern; 8] = [
            ("far ahead", |id| (1 << 63) + id),
            ("downwards", |id| u64::MAX - id),
            ("twice the same half", |id| id << 32 | id),
            ("odd", |id| id * 2 + 1),
            ("thousands", |id| id * 1000),
            ("floats", |id| (id as f64).to_bits()),
            ("addresses", |id| 0x7f12_3456_0000 + id * 48),
            ("two numbers", |id| id & 127 | id >> 7 << 40),
        ];
        let others = others.map(|(name, id_of)| (name.to_owned(), (0..1 << 14).map(id_of).collect()));
        steps.chain(others)
    }

    fn distinct(values: impl Iterator<Item = u64>) -> usize {
        values.collect::<HashSet<_>>().len()
    }

    #[test]
    fn ids_of_a_hasher_that_returns_them_meet_neither_in_a_shard_nor_inside_it() {
        for (name, ids) in patterns() {
            let spread: Vec<_> = ids.iter().map(|id| spread(*id)).collect();
            assert_eq!(distinct(spread.iter().copied()), ids.len(), "{name}: hashes meet");
            for count in [1, 64, 1024] {
                let shards = Shards::new(count, || RefCell::new(Vec::new()));
                for hash in &spread {
                    shards.of(*hash).borrow_mut().push(*hash);
                }
                let mean = ids.len().div_ceil(count);
                for shard in shards.iter().map(RefCell::take) {
                    assert!(shard.len() <= mean * 4, "{name}: {} of {count} in one shard", shard.len());
                    if shard.len() < 200 {
                        continue;
                    }
                    // What a table of hashbrown's sees: where an entry should lie, and a tag beside it.
                    let buckets = (shard.len() * 8 / 7).next_power_of_two() as u64;
                    let places = distinct(shard.iter().map(|hash| hash & (buckets - 1)));
                    assert!(places * 3 >= shard.len(), "{name}: {} in {places} places", shard.len());
                    let tags = distinct(shard.iter().map(|hash| hash >> 57));
                    assert!(tags >= 32, "{name}: {tags} tags for {}", shard.len());
                }
            }
        }
    }

    #[test]
    fn a_table_shrinks_after_a_burst_and_a_small_one_stays_as_it_is() {
        let mut table = HashTable::new();
        let burst = |table: &mut HashTable<u64>, many: u64| {
            for id in 0..many {
                table.insert_unique(spread(id), id, |id| spread(*id));
            }
            for id in 0..many {
                table.find_entry(spread(id), |own| *own == id).expect("it is there").remove();
                shrink(table, |id| spread(*id));
            }
            table.capacity()
        };
        assert!(burst(&mut table, 10_000) <= SMALL * 2);
        let small = burst(&mut table, 20);
        assert_eq!(burst(&mut table, 20), small);
    }
}
