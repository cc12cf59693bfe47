//! Waiting for a value to change, and the end of a version.

use std::borrow::Borrow;
use std::hash::{BuildHasher, Hash, RandomState};
use std::sync::Arc;

use super::cell::Versioned;
use super::map::VersionedMap;
use super::snapshot::Snapshot;
use crate::stamp::Stamp;
use crate::wait::{Acquire, Look, Wakes, Watch, Watched, Watching};

/// A wait for another version of a [`Versioned`]: [`changed`](Versioned::changed) returns it.
pub type Changed<'a, T> = Acquire<Watching<CellVersion<'a, T>>>;

/// A wait for another version of one key: [`VersionedMap::changed`] returns it. `Q` is the borrowed form of the key.
pub type ChangedKey<'a, K, V, Q = K, S = RandomState> = Acquire<Watching<KeyVersion<'a, K, V, S, Q>>>;

/// Ends the version of what was replaced or removed, and drops it. Called outside the lock: wakers, and the drop of
/// values and keys, are user code.
pub(super) fn finish<T>(old: T, watch: Option<Arc<Watch>>) {
    let mut wakes = Wakes::default();
    if let Some(watch) = watch {
        watch.end(&mut wakes);
    }
    drop(old);
    wakes.finish();
}

impl<T> Versioned<T> {
    /// Waits until the value has another stamp than `stamp`; returns at once if it has. So a client that sends the stamp
    /// it knows gets its answer when there is news, instead of asking again and again.
    ///
    /// Resolves to the value at the time when the waiter looks, which may be several writes later. A write wakes all
    /// waiters.
    ///
    /// # Cancel safety
    ///
    /// That of [`Acquire`]; nothing stays behind.
    ///
    /// # Examples
    ///
    /// ```
    /// use latchwork::Versioned;
    ///
    /// let price = Versioned::new(10);
    /// let known = price.stamp();
    /// std::thread::scope(|s| {
    ///     let news = s.spawn(|| price.changed(known).wait());
    ///     price.modify(|price| price + 1).expect("stamps are left");
    ///     assert_eq!(*news.join().expect("it does not panic"), 11);
    /// });
    /// ```
    pub fn changed(&self, stamp: Stamp) -> Changed<'_, T> {
        Watching::acquire(CellVersion { cell: self, stamp })
    }
}

impl<K: Eq + Hash, V, S: BuildHasher> VersionedMap<K, V, S> {
    /// Waits until the value of a key has another stamp than `stamp`, or is removed; returns at once if so. A client that
    /// sends the stamp it knows gets its answer when there is news, instead of asking again and again.
    ///
    /// Resolves to the value at the time when the waiter looks, which may be several writes later; `None` if the key is
    /// absent. A write wakes all waiters of its key.
    ///
    /// # Cancel safety
    ///
    /// That of [`Acquire`]; nothing stays behind.
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
    pub fn changed<'a, Q>(&'a self, key: &'a Q, stamp: Stamp) -> ChangedKey<'a, K, V, Q, S>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        Watching::acquire(KeyVersion { map: self, hash: self.hash(key), key, stamp })
    }
}

/// One version of a cell.
#[derive(Debug)]
pub struct CellVersion<'a, T> {
    cell: &'a Versioned<T>,
    stamp: Stamp,
}

impl<T> Watched for CellVersion<'_, T> {
    type Next = Snapshot<T>;
    type Guard = Snapshot<T>;

    fn next(&mut self) -> Option<Snapshot<T>> {
        self.may_be_over().then(|| self.cell.snapshot())
    }

    fn look(&mut self, spare: &mut Option<Arc<Watch>>) -> Look<Snapshot<T>> {
        let mut state = self.cell.state.lock();
        if state.current.stamp() != self.stamp {
            return Look::Over(state.current.clone());
        }
        if state.watch.is_none() {
            state.watch = spare.take();
        }
        match &state.watch {
            Some(watch) => Look::Wait(watch.clone()),
            None => Look::NeedsWatch,
        }
    }

    fn guard(self, next: Snapshot<T>) -> Snapshot<T> {
        next
    }

    fn forget(&mut self, watch: &Arc<Watch>) {
        let mut state = self.cell.state.lock();
        if state.watch.as_ref().is_some_and(|own| Arc::ptr_eq(own, watch)) && watch.close_if_idle() {
            state.watch = None;
        }
    }

    fn may_be_over(&self) -> bool {
        !self.cell.is_current(self.stamp)
    }
}

/// One version of one key.
#[derive(Debug)]
pub struct KeyVersion<'a, K, V, S, Q: ?Sized> {
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
    fn the_last_waiter_that_gives_up_leaves_nothing_behind() {
        let cell = Versioned::new(1);
        let [mut one, mut two] = [(); 2].map(|()| Box::pin(cell.changed(Stamp::MIN)));
        for waiter in [&mut one, &mut two] {
            assert!(waiter.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        }
        drop(one);
        assert!(cell.state.lock().watch.is_some());
        drop(two);
        assert!(cell.state.lock().watch.is_none());
    }

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
