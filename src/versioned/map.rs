//! [`VersionedMap`]: a value and its version for each key.

use std::borrow::Borrow;
use std::hash::{BuildHasher, Hash, RandomState};
use std::mem::replace;
use std::num::NonZeroUsize;
use std::sync::Arc;

use super::attempt::{self, Change, Missed, UNTIL_DONE, always, at_most};
use super::conflict::{Conflict, WriteError};
use super::expect::Expect;
use super::finish;
use super::shards::{Shards, Table};
use super::snapshot::Snapshot;
use crate::shards::spread;
use crate::stamp::{Stamp, StampSource};

/// A map whose values have stamps: a write says which version it was made from, and is refused if that is
/// no longer the one that there is.
///
/// Stamps come from one counter for all keys. So a key that is removed and comes back has another stamp
/// than ever before, and what was read before the removal can't be written after it. Keys are looked up by
/// their borrowed forms, as in `std`'s maps.
///
/// # Examples
///
/// ```
/// use latchwork::{VersionedMap, versioned::Expect};
///
/// let cards: VersionedMap<String, String> = VersionedMap::new();
/// let first = cards.insert_new("ada".to_owned(), "Ada".to_owned())?;
/// cards.update("ada", first.stamp(), |name| format!("{name} Lovelace"))?;
/// let stale = cards.update("ada", first.stamp(), |name| format!("Countess {name}")).unwrap_err();
/// assert_eq!(stale.to_string(), "conflict: expected stamp 1, found stamp 2");
/// assert!(cards.remove("ada", Expect::Present).is_ok());
/// # Ok::<(), latchwork::versioned::WriteError<String>>(())
/// ```
pub struct VersionedMap<K, V, S = RandomState> {
    shards: Shards<K, V>,
    hasher: S,
    source: StampSource,
}

/// What [`VersionedMap::upsert`] did.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub struct Upserted {
    /// The stamp of the value that was stored.
    pub stamp: Stamp,
    /// Whether the key is new; otherwise its value was replaced.
    pub created: bool,
}

impl<K, V, S> VersionedMap<K, V, S> {
    pub(super) fn from_parts(shards: usize, hasher: S, source: StampSource) -> Self {
        Self { shards: Shards::new(shards, Table::new), hasher, source }
    }

    pub(super) fn shards(&self) -> &Shards<K, V> {
        &self.shards
    }

    /// The counter that the stamps come from.
    pub(super) fn source(&self) -> &StampSource {
        &self.source
    }
}

impl<K: Eq + Hash, V, S: BuildHasher> VersionedMap<K, V, S> {
    /// The value of a key, with its stamp.
    ///
    /// # Examples
    ///
    /// ```
    /// let cards = latchwork::VersionedMap::<String, u32>::new();
    /// cards.insert_new("ada".to_owned(), 36)?;
    /// assert_eq!(cards.get("ada").as_deref(), Some(&36));
    /// # Ok::<(), latchwork::versioned::WriteError<u32>>(())
    /// ```
    #[inline]
    #[must_use]
    pub fn get<Q>(&self, key: &Q) -> Option<Snapshot<V>>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        self.look_up(self.hash(key), key)
    }

    /// The stamp of a key's value.
    ///
    /// # Examples
    ///
    /// ```
    /// let cards = latchwork::VersionedMap::<&str, u32>::new();
    /// let ada = cards.insert_new("ada", 36)?;
    /// assert_eq!((cards.stamp("ada"), cards.stamp("grace")), (Some(ada.stamp()), None));
    /// # Ok::<(), latchwork::versioned::WriteError<u32>>(())
    /// ```
    #[inline]
    #[must_use]
    pub fn stamp<Q>(&self, key: &Q) -> Option<Stamp>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        let hash = self.hash(key);
        let table = self.shards.of(hash).read();
        table.find(hash, |own| own.borrow() == key).map(|entry| entry.current.stamp())
    }

    /// Whether the key has a value.
    ///
    /// # Examples
    ///
    /// ```
    /// let cards = latchwork::VersionedMap::<&str, u32>::new();
    /// cards.insert_new("ada", 36)?;
    /// assert!(cards.contains_key("ada") && !cards.contains_key("grace"));
    /// # Ok::<(), latchwork::versioned::WriteError<u32>>(())
    /// ```
    #[must_use]
    pub fn contains_key<Q>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        self.stamp(key).is_some()
    }

    /// Stores the value of a key that has none.
    ///
    /// # Errors
    ///
    /// [`WriteError::Conflict`] if it has one, with that and `value`; [`WriteError::Exhausted`].
    ///
    /// # Examples
    ///
    /// ```
    /// let cards = latchwork::VersionedMap::<&str, u32>::new();
    /// cards.insert_new("ada", 36)?;
    /// let error = cards.insert_new("ada", 37).unwrap_err();
    /// assert_eq!(error.into_conflict().and_then(|conflict| conflict.rejected), Some(37));
    /// # Ok::<(), latchwork::versioned::WriteError<u32>>(())
    /// ```
    pub fn insert_new(&self, key: K, value: V) -> Result<Snapshot<V>, WriteError<V>> {
        self.put(key, Expect::Absent, value).map(|(stored, _)| stored)
    }

    /// Replaces the value of a key by what `f` makes of it, if what is there is what was expected.
    ///
    /// `f` runs on a snapshot, outside every lock: it may take long, use this map, or panic, which changes
    /// nothing. If somebody else writes the key meanwhile, and what is there then is expected as well,
    /// `f` is called again with that; so for one exact stamp it is called once at most, unless that is
    /// [seeded](Self::seed) again. It is not called for a stamp that is stale from the beginning, nor for a key
    /// that is not there.
    ///
    /// # Errors
    ///
    /// [`WriteError::Conflict`] with what is there, and what `f` returned. For a key that is not there it is a
    /// conflict whatever was expected. [`WriteError::Exhausted`].
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

    /// As [`update`](Self::update), with a closure that may say no, or that nothing is to change.
    ///
    /// # Errors
    ///
    /// As [`update`](Self::update), and [`WriteError::Refused`] with the closure's error.
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

    /// Replaces the value of a key by what `f` makes of it, whatever it is. As for [`update`](Self::update),
    /// `f` is called again if somebody else writes the key meanwhile.
    ///
    /// # Fairness
    ///
    /// There is none: the first to store is the winner. If others always write the key while `f` runs, this never
    /// returns. Where `f` is slow and others are quick, bound it with [`modify_up_to`](Self::modify_up_to), or let
    /// all writers take a [`KeyedLock`](crate::KeyedLock) first.
    ///
    /// # Errors
    ///
    /// [`WriteError::Conflict`] if the key is not there; [`WriteError::Exhausted`].
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

    /// As [`modify`](Self::modify), but `f` is called `max` times at most.
    ///
    /// # Errors
    ///
    /// [`WriteError::Conflict`] if the key is not there, or if somebody else wrote it during each of the calls. It
    /// has what is there now, what `f` returned last, and the stamp that this was made from.
    /// [`WriteError::Exhausted`].
    ///
    /// # Panics
    ///
    /// With zero.
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

    /// Stores the value of a key, new or not, if what is there is what was expected, and says which it was.
    ///
    /// # Errors
    ///
    /// [`WriteError::Conflict`] with what is there and `value`; [`WriteError::Exhausted`].
    ///
    /// # Examples
    ///
    /// ```
    /// use latchwork::{VersionedMap, versioned::Expect};
    ///
    /// let profiles = VersionedMap::<&str, u32>::new();
    /// let first = profiles.upsert("ada", Expect::Any, 36)?;
    /// let second = profiles.upsert("ada", first.stamp, 37)?;
    /// assert!(first.created && !second.created);
    /// # Ok::<(), latchwork::versioned::WriteError<u32>>(())
    /// ```
    pub fn upsert(&self, key: K, expect: impl Into<Expect>, value: V) -> Result<Upserted, WriteError<V>> {
        let (stored, created) = self.put(key, expect.into(), value)?;
        Ok(Upserted { stamp: stored.stamp(), created })
    }

    /// Removes a key, if what is there is what was expected. Returns what was there: `None` if it was
    /// nothing, and nothing was admitted.
    ///
    /// # Errors
    ///
    /// [`Conflict`] with what is there.
    ///
    /// # Examples
    ///
    /// ```
    /// use latchwork::{VersionedMap, versioned::Expect};
    ///
    /// let cards = VersionedMap::<&str, u32>::new();
    /// let old = cards.insert_new("ada", 36)?.stamp();
    /// let gone = cards.remove("ada", old)?;
    /// cards.insert_new("ada", 37)?;
    /// assert!(gone.is_some_and(|age| *age == 36) && cards.remove("ada", old).is_err());
    /// # Ok::<(), latchwork::versioned::WriteError<u32>>(())
    /// ```
    pub fn remove<Q>(&self, key: &Q, expect: impl Into<Expect>) -> Result<Option<Snapshot<V>>, Conflict<V>>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        let (expect, hash) = (expect.into(), self.hash(key));
        let mut table = self.shards.of(hash).write();
        let removed = table.remove(hash, |own| own.borrow() == key, |found| expect.admits(Some(found)));
        let watch = if removed.is_ok() { table.take_watch(hash) } else { None };
        drop(table);
        match removed {
            Ok(entry) => {
                let removed = entry.current;
                finish(entry.key, watch);
                Ok(Some(removed))
            }
            Err(None) if expect.admits(None) => Ok(None),
            Err(current) => Err(Conflict::new(expect, current, None)),
        }
    }

    /// Stores a value with the stamp that it has elsewhere, say the version column of a database row, if that
    /// is greater than the stamp of what is there. Says whether it did.
    ///
    /// Stamps that the map gives out are greater than every one that was seeded. The database vouches
    /// for what it seeds: one stamp of one key must always mean the same value, and a removed key is
    /// stored again whatever its stamp.
    ///
    /// # Examples
    ///
    /// ```
    /// use latchwork::{Stamp, VersionedMap};
    ///
    /// let cache = VersionedMap::<&str, &str>::new();
    /// let [six, seven] = [6, 7].map(|version| Stamp::new(version).expect("it is in range"));
    /// assert!(cache.seed("ada", "Ada Lovelace", seven));
    /// assert!(!cache.seed("ada", "Ada", six));
    /// assert_eq!(cache.insert_new("grace", "Grace")?.stamp().get(), 8);
    /// # Ok::<(), latchwork::versioned::WriteError<&str>>(())
    /// ```
    pub fn seed(&self, key: K, value: V, stamp: Stamp) -> bool {
        let hash = self.hash(&key);
        let seeded = Snapshot::new(Arc::new(value), stamp);
        let mut table = self.shards.of(hash).write();
        match table.find_mut(hash, |own| *own == key) {
            None => {
                self.source.observe(stamp);
                table.insert(hash, key, seeded);
                return true;
            }
            Some(entry) if entry.current.stamp() >= stamp => {
                drop(table);
                return false;
            }
            Some(entry) => {
                self.source.observe(stamp);
                let old = replace(&mut entry.current, seeded);
                let watch = table.take_watch(hash);
                drop(table);
                finish(old, watch);
            }
        }
        true
    }

    #[inline]
    pub(super) fn hash<Q: Hash + ?Sized>(&self, key: &Q) -> u64 {
        spread(self.hasher.hash_one(key))
    }

    #[inline]
    pub(super) fn look_up<Q>(&self, hash: u64, key: &Q) -> Option<Snapshot<V>>
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        let table = self.shards.of(hash).read();
        table.find(hash, |own| own.borrow() == key).map(|entry| entry.current.clone())
    }

    /// Stores a value and says whether the key is new.
    fn put(&self, key: K, expect: Expect, value: V) -> Result<(Snapshot<V>, bool), WriteError<V>> {
        let (hash, value) = (self.hash(&key), Arc::new(value));
        let mut table = self.shards.of(hash).write();
        let found = table.find_mut(hash, |own| *own == key);
        let current = found.as_ref().map(|entry| &entry.current);
        if !expect.admits(current.map(Snapshot::stamp)) {
            let current = current.cloned();
            drop(table);
            return Err(Conflict::new(expect, current, Arc::into_inner(value)).into());
        }
        // Under the lock: see the module.
        let stored = match self.source.next() {
            Ok(stamp) => Snapshot::new(value, stamp),
            Err(exhausted) => {
                drop(table);
                return Err(exhausted.into());
            }
        };
        match found {
            None => {
                table.insert(hash, key, stored.clone());
                Ok((stored, true))
            }
            Some(entry) => {
                let old = replace(&mut entry.current, stored.clone());
                let watch = table.take_watch(hash);
                drop(table);
                finish(old, watch);
                Ok((stored, false))
            }
        }
    }

    /// The loop of every write by closure.
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

    /// Stores `value` in the place of the one that was seen.
    fn swap<Q>(&self, hash: u64, key: &Q, seen: &Snapshot<V>, value: Arc<V>) -> Result<Snapshot<V>, Missed<V>>
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        let mut table = self.shards.of(hash).write();
        let entry = match table.find_mut(hash, |own| own.borrow() == key) {
            Some(entry) if entry.current.is(seen) => entry,
            found => {
                let current = found.map(|entry| entry.current.clone());
                return Err(Missed::Moved { current, value });
            }
        };
        let stamp = self.source.next().map_err(Missed::Exhausted)?;
        let stored = Snapshot::new(value, stamp);
        let old = replace(&mut entry.current, stored.clone());
        let watch = table.take_watch(hash);
        drop(table);
        finish(old, watch);
        Ok(stored)
    }
}
