//! Waiting for a key to change.

use std::borrow::Borrow;
use std::hash::{BuildHasher, Hash};
use std::sync::Arc;

use super::map::VersionedMap;
use super::snapshot::Snapshot;
use crate::error::TimedOut;
use crate::stamp::Stamp;
use crate::wait::{Acquire, Acquisition, Look, Watch, Watched, Watching};

/// The value that a waiter finds.
type Found<V> = Option<Snapshot<V>>;

impl<K: Eq + Hash, V, S: BuildHasher> VersionedMap<K, V, S> {
    /// Waits until the value of a key has another stamp than `stamp`, or is gone; at once if it has or is. So
    /// a client that sends the stamp it knows can be answered when there is news, instead of asking again and
    /// again.
    ///
    /// It comes to what is there when the waiter looks, which may be several writes later; `None` if the key
    /// was removed, or never was there. A write wakes everybody who waits for its key.
    ///
    /// # Cancel safety
    ///
    /// As that of [`Acquire`]; nothing stays behind.
    ///
    /// # Examples
    ///
    /// ```
    /// let prices = latchwork::VersionedMap::<&str, u32>::new();
    /// let known = prices.insert_new("gum", 10)?.stamp();
    /// std::thread::scope(|s| {
    ///     let news = s.spawn(|| prices.changed("gum", known).wait());
    ///     prices.modify("gum", |price| price + 1)?;
    ///     assert_eq!(news.join().expect("it does not panic").as_deref(), Some(&11));
    ///     Ok::<(), latchwork::versioned::WriteError<u32>>(())
    /// })?;
    /// # Ok::<(), latchwork::versioned::WriteError<u32>>(())
    /// ```
    pub fn changed<'a, Q>(
        &'a self,
        key: &'a Q,
        stamp: Stamp,
    ) -> Acquire<impl Acquisition<Guard = Found<V>, Timed = Result<Found<V>, TimedOut>>>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        Watching::acquire(KeyVersion { map: self, hash: self.hash(key), key, stamp })
    }
}

/// One version of one key.
struct KeyVersion<'a, K, V, S, Q: ?Sized> {
    map: &'a VersionedMap<K, V, S>,
    hash: u64,
    key: &'a Q,
    stamp: Stamp,
}

impl<K, V, S, Q> Watched for KeyVersion<'_, K, V, S, Q>
where
    K: Eq + Hash + Borrow<Q>,
    S: BuildHasher,
    Q: Eq + Hash + ?Sized,
{
    type Next = Option<Snapshot<V>>;
    type Guard = Option<Snapshot<V>>;

    fn next(&mut self) -> Option<Option<Snapshot<V>>> {
        let current = self.map.look_up(self.hash, self.key);
        (current.as_ref().map(Snapshot::stamp) != Some(self.stamp)).then_some(current)
    }

    fn look(&mut self, spare: &mut Option<Arc<Watch>>) -> Look<Option<Snapshot<V>>> {
        let mut table = self.map.shards().of(self.hash).write();
        match table.find(self.hash, |own| own.borrow() == self.key) {
            Some(entry) if entry.current.stamp() == self.stamp => {}
            found => return Look::Over(found.map(|entry| entry.current.clone())),
        }
        match table.watch(self.hash, spare) {
            Some(watch) => Look::Wait(watch),
            None => Look::NeedsWatch,
        }
    }

    fn guard(self, next: Option<Snapshot<V>>) -> Option<Snapshot<V>> {
        next
    }

    fn forget(&mut self, watch: &Arc<Watch>) {
        self.map.shards().of(self.hash).write().forget_watch(self.hash, watch);
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::task::{Context, Waker};

    use super::*;

    #[test]
    fn waiters_of_a_key_leave_nothing_behind() {
        let map = VersionedMap::<u8, u8>::builder().shards(1).build();
        let watched = || map.shards().iter().any(|shard| shard.read().is_watched());
        let first = map.insert_new(7, 1).expect("it is new").stamp();
        for gives_up in [true, false] {
            let stamp = map.stamp(&7).expect("it is there");
            let [mut one, mut two] = [(); 2].map(|()| Box::pin(map.changed(&7, stamp)));
            for waiter in [&mut one, &mut two] {
                assert!(waiter.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
            }
            drop(one);
            assert!(watched());
            if gives_up {
                drop(two);
            } else {
                map.modify(&7, |n| n + 1).expect("it is there");
            }
            assert!(!watched());
        }
        assert!(map.stamp(&7) > Some(first));
    }
}
