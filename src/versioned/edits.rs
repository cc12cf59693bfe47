//! Writes to a map by closure.

use std::borrow::Borrow;
use std::hash::{BuildHasher, Hash};
use std::mem::replace;
use std::num::NonZeroUsize;
use std::sync::Arc;

use super::attempt::{self, Change, Missed, UNTIL_DONE, always, at_most};
use super::conflict::WriteError;
use super::expect::Expect;
use super::map::VersionedMap;
use super::news::finish;
use super::snapshot::Snapshot;

impl<K: Eq + Hash, V, S: BuildHasher> VersionedMap<K, V, S> {
    /// Replaces the value of a key by what `f` returns for it, if the current version is as expected.
    ///
    /// `f` runs on a snapshot, outside every lock: it may take long, use this map, or panic, which changes nothing. If
    /// another caller writes the key meanwhile, `f` is called again with the new value, provided that it is as expected,
    /// too. So for one exact stamp `f` is called at most once, unless that stamp is [seeded](Self::seed) again. It is not
    /// called for a stamp that is stale at the start, nor for an absent key.
    ///
    /// # Errors
    ///
    /// [`WriteError::Conflict`] with the current version and what `f` returned. An absent key is a conflict, whatever was
    /// expected. [`WriteError::Exhausted`].
    ///
    /// # Examples
    ///
    /// ```
    /// let stock = latchwork::VersionedMap::<&str, u32>::new();
    /// let three = stock.insert_new("gum", 3)?;
    /// let two = stock.update("gum", three.stamp(), |left| left - 1)?;
    /// assert_eq!((*two, two.stamp() > three.stamp()), (2, true));
    /// # Ok::<(), latchwork::versioned::WriteError<u32>>(())
    /// ```
    pub fn update<Q>(
        &self,
        key: &Q,
        expect: impl Into<Expect>,
        f: impl FnMut(&V) -> V,
    ) -> Result<Snapshot<V>, WriteError<V>>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        self.try_update(key, expect, always(f))
    }

    /// Replaces a value as [`update`](Self::update) does, with a closure that may refuse, or keep the value as it is.
    ///
    /// # Errors
    ///
    /// Those of [`update`](Self::update), and [`WriteError::Refused`] with the closure's error.
    ///
    /// # Examples
    ///
    /// ```
    /// use latchwork::{VersionedMap, versioned::{Change, Expect, WriteError}};
    ///
    /// let stock = VersionedMap::<&str, u32>::new();
    /// stock.insert_new("gum", 0).expect("it is new");
    /// let sell = |left: &u32| left.checked_sub(1).map(Change::Set).ok_or("sold out");
    /// assert!(matches!(stock.try_update("gum", Expect::Any, sell), Err(WriteError::Refused("sold out"))));
    /// ```
    pub fn try_update<Q, E>(
        &self,
        key: &Q,
        expect: impl Into<Expect>,
        f: impl FnMut(&V) -> Result<Change<V>, E>,
    ) -> Result<Snapshot<V>, WriteError<V, E>>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        self.write(key, expect.into(), UNTIL_DONE, f)
    }

    /// Replaces the value of a key by what `f` returns for it, whatever its version. `f` is called again if another caller
    /// writes the key meanwhile.
    ///
    /// # Fairness
    ///
    /// Not fair: the first call that stores wins. If others always write the key while `f` runs, this never returns. If `f`
    /// is slow and other writers are quick, bound it with [`modify_up_to`](Self::modify_up_to), or let all writers take a
    /// [`KeyedLock`](crate::KeyedLock) first.
    ///
    /// # Errors
    ///
    /// [`WriteError::Conflict`] if the key is absent; [`WriteError::Exhausted`].
    ///
    /// # Examples
    ///
    /// ```
    /// let visits = latchwork::VersionedMap::<&str, u32>::new();
    /// assert!(visits.modify("home", |n| n + 1).is_err());
    /// visits.insert_new("home", 0)?;
    /// assert_eq!(*visits.modify("home", |n| n + 1)?, 1);
    /// # Ok::<(), latchwork::versioned::WriteError<u32>>(())
    /// ```
    pub fn modify<Q>(&self, key: &Q, f: impl FnMut(&V) -> V) -> Result<Snapshot<V>, WriteError<V>>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        self.update(key, Expect::Present, f)
    }

    /// Replaces a value as [`modify`](Self::modify) does, but calls `f` at most `max` times.
    ///
    /// # Errors
    ///
    /// [`WriteError::Crowded`] if another caller wrote the key during each of the calls. It has the current version, what
    /// `f` returned last, and the stamp that this was computed from. [`WriteError::Conflict`] if the key is absent;
    /// [`WriteError::Exhausted`].
    ///
    /// # Panics
    ///
    /// If the number is zero.
    ///
    /// # Examples
    ///
    /// ```
    /// let visits = latchwork::VersionedMap::<&str, u32>::new();
    /// visits.insert_new("home", 0)?;
    /// let crowded = visits.modify_up_to("home", 3, |n| {
    ///     visits.modify("home", |n| n + 10).expect("it is there");   // a rival that is faster
    ///     n + 1
    /// });
    /// assert!(crowded.is_err_and(|error| error.conflict().is_some_and(|conflict| conflict.rejected == Some(21))));
    /// # Ok::<(), latchwork::versioned::WriteError<u32>>(())
    /// ```
    pub fn modify_up_to<Q>(
        &self,
        key: &Q,
        max: usize,
        f: impl FnMut(&V) -> V,
    ) -> Result<Snapshot<V>, WriteError<V>>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        self.write(key, Expect::Present, at_most(max), always(f))
    }

    /// Runs the loop of every write by closure.
    fn write<Q, E>(
        &self,
        key: &Q,
        expect: Expect,
        max: NonZeroUsize,
        f: impl FnMut(&V) -> Result<Change<V>, E>,
    ) -> Result<Snapshot<V>, WriteError<V, E>>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        let hash = self.hash(key);
        let seen = self.look_up(hash, key);
        attempt::write(expect, max, seen, f, |seen, value| self.swap(hash, key, seen, value))
    }

    /// Stores `value` if the current value is still the one that was seen.
    fn swap<Q>(&self, hash: u64, key: &Q, seen: &Snapshot<V>, value: Arc<V>) -> Result<Snapshot<V>, Missed<V>>
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        let mut table = self.shards().of(hash).write();
        let entry = match table.find_mut(hash, |own| own.borrow() == key) {
            Some(entry) if entry.current.is(seen) => entry,
            found => {
                let current = found.map(|entry| entry.current.clone());
                return Err(Missed::Moved { current, value });
            }
        };
        let Ok(stamp) = self.source().next() else { return Err(Missed::Exhausted(value)) };
        let stored = Snapshot::new(value, stamp);
        let old = replace(&mut entry.current, stored.clone());
        let watch = table.take_watch(hash);
        drop(table);
        finish(old, watch);
        Ok(stored)
    }
}
