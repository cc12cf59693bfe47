//! The table behind everything that is found by a key: shards, each with a small lock, and the entries of one shard.
//!
//! A hash is made once, outside the locks, with [`hash_of`]. [`Shards::of`] chooses the shard, and [`Entries`] finds
//! the entry there. The lock stands between the two, so each user has the lock that suits it, and what it counts
//! beside the entries. Locks by key find entries that know their own hash, so they use the shards and [`shrink`] alone.

use std::hash::{BuildHasher, Hash};
use std::sync::Arc;
use std::thread::available_parallelism;

use hashbrown::HashTable;
use hashbrown::hash_table::{Entry, OccupiedEntry, VacantEntry};

/// The capacity that a shard keeps, however few entries it has.
const SMALL: usize = 28;

/// The parts of a table, each with a lock of its own. `T` is that lock, and what it protects.
///
/// A clone is another handle to the same shards.
pub(crate) struct Shards<T>(Arc<[Padded<T>]>);

/// On a cache line of its own, so that users of different shards do not slow each other down.
#[repr(align(64))]
struct Padded<T>(T);

impl<T> Shards<T> {
    /// Creates `count` shards, a power of two up to 65 536.
    pub(crate) fn new(count: usize, make: impl Fn() -> T) -> Self {
        debug_assert!(count.is_power_of_two() && count <= 1 << 16);
        Self((0..count).map(|_| Padded(make())).collect())
    }

    /// Returns the shard of a hash that was [spread](spread). The bits from the 32nd on choose. [`Entries`] looks at
    /// the lowest bits and the highest seven, which therefore still differ among the keys of one shard.
    #[inline]
    pub(crate) fn of(&self, hash: u64) -> &T {
        &self.0[(hash >> 32) as usize & (self.0.len() - 1)].0
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.0.iter().map(|shard| &shard.0)
    }

    /// Returns the shard with this number, counted from zero.
    pub(crate) fn get(&self, at: usize) -> Option<&T> {
        self.0.get(at).map(|shard| &shard.0)
    }
}

impl<T> Clone for Shards<T> {
    #[inline]
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

/// The entries of one shard.
///
/// Each is kept with its hash: entries are compared only if their hashes are equal, and nothing is hashed under the
/// lock when the table grows. The comparison is the only user code that runs here, and nothing has changed if it panics.
/// What is removed is returned, to be dropped when the lock is released.
pub(crate) struct Entries<E>(HashTable<Hashed<E>>);

struct Hashed<E> {
    hash: u64,
    entry: E,
}

/// What stands in the place of an entry.
pub(crate) enum Slot<'a, E> {
    Found(Found<'a, E>),
    Free(Free<'a, E>),
}

/// The place of an entry that is there.
pub(crate) struct Found<'a, E>(OccupiedEntry<'a, Hashed<E>>);

/// The place of an entry that is not there.
pub(crate) struct Free<'a, E> {
    hash: u64,
    place: VacantEntry<'a, Hashed<E>>,
}

impl<E> Entries<E> {
    pub(crate) const fn new() -> Self {
        Self(HashTable::new())
    }

    #[inline]
    pub(crate) fn find(&self, hash: u64, is_it: impl Fn(&E) -> bool) -> Option<&E> {
        self.0.find(hash, same(hash, is_it)).map(|found| &found.entry)
    }

    #[inline]
    pub(crate) fn find_mut(&mut self, hash: u64, is_it: impl Fn(&E) -> bool) -> Option<&mut E> {
        self.0.find_mut(hash, same(hash, is_it)).map(|found| &mut found.entry)
    }

    /// Finds an entry, or the place to put it, in one pass.
    #[inline]
    pub(crate) fn slot(&mut self, hash: u64, is_it: impl Fn(&E) -> bool) -> Slot<'_, E> {
        match self.0.entry(hash, same(hash, is_it), |other| other.hash) {
            Entry::Occupied(found) => Slot::Found(Found(found)),
            Entry::Vacant(place) => Slot::Free(Free { hash, place }),
        }
    }

    /// Finds an entry that may be removed. Unlike [`slot`](Self::slot) it makes no room for a new one.
    #[inline]
    pub(crate) fn found(&mut self, hash: u64, is_it: impl Fn(&E) -> bool) -> Option<Found<'_, E>> {
        self.0.find_entry(hash, same(hash, is_it)).ok().map(Found)
    }

    /// Adds an entry that is not there.
    pub(crate) fn insert(&mut self, hash: u64, entry: E) {
        self.0.insert_unique(hash, Hashed { hash, entry }, |other| other.hash);
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &E> {
        self.0.iter().map(|hashed| &hashed.entry)
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<'a, E> Found<'a, E> {
    #[inline]
    pub(crate) fn get(&self) -> &E {
        &self.0.get().entry
    }

    #[inline]
    pub(crate) fn into_mut(self) -> &'a mut E {
        &mut self.0.into_mut().entry
    }

    /// Takes the entry out, and gives memory back after a burst.
    #[inline]
    pub(crate) fn remove(self) -> E {
        let (Hashed { entry, .. }, place) = self.0.remove();
        shrink(place.into_table(), |other| other.hash);
        entry
    }
}

impl<E> Free<'_, E> {
    #[inline]
    pub(crate) fn insert(self, entry: E) {
        self.place.insert(Hashed { hash: self.hash, entry });
    }
}

#[inline]
fn same<E>(hash: u64, is_it: impl Fn(&E) -> bool) -> impl Fn(&Hashed<E>) -> bool {
    move |other| other.hash == hash && is_it(&other.entry)
}

/// Gives memory back after a burst, when an entry was removed.
#[inline]
pub(crate) fn shrink<E>(table: &mut HashTable<E>, hash_of: impl Fn(&E) -> u64) {
    if table.capacity() > SMALL && table.len() < table.capacity() / 8 {
        table.shrink_to(SMALL.max(table.len() * 2), hash_of);
    }
}

/// Returns the number of shards that a table has by default: 16 for each processor, and at least 64. In models it is
/// one, so that they see the shard's lock at work.
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
/// If the number is zero, or more than 65 536.
pub(crate) fn count(wanted: usize) -> usize {
    assert!((1..=1 << 16).contains(&wanted), "shards must be between 1 and 65536");
    wanted.next_power_of_two()
}

/// Returns the hash by which a key is found.
#[inline]
pub(crate) fn hash_of<Q: Hash + ?Sized>(hasher: &impl BuildHasher, key: &Q) -> u64 {
    spread(hasher.hash_one(key))
}

/// Makes all 64 bits of a hash count in the choice of the shard and in both places that its table looks at. Some
/// hashers do not do that: one that returns an id as it is leaves most bits the same, and the few that differ may be
/// anywhere.
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
        let mut table = Entries::new();
        let burst = |table: &mut Entries<u64>, many: u64| {
            for id in 0..many {
                table.insert(spread(id), id);
            }
            for id in 0..many {
                table.found(spread(id), |own| *own == id).expect("it is there").remove();
            }
            table.0.capacity()
        };
        assert!(burst(&mut table, 10_000) <= SMALL * 2);
        let small = burst(&mut table, 20);
        assert_eq!(burst(&mut table, 20), small);
    }
}
