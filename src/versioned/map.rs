//! [`VersionedMap`]: a value and its version for each key.

use std::borrow::Borrow;
use std::hash::{BuildHasher, Hash, RandomState};
use std::mem::replace;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::sync::Arc;

use super::attempt::unshared;
use super::conflict::{Conflict, Exhausted, WriteError};
use super::expect::Expect;
use super::news::finish;
use super::shards::{Shards, Table};
use super::snapshot::Snapshot;
use crate::shards::hash_of;
use crate::stamp::{ImplausibleStamp, Stamp, StampSource};

/// A map whose values have stamps: a write says which version it started from, and is refused if that is no longer the
/// current one.
///
/// Stamps come from one counter for all keys. So a key that is removed and stored again gets a stamp that it never had. A
/// write that started before the removal is refused afterwards. Keys are looked up by their borrowed forms, as in
/// `std`'s maps.
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

/// A panic leaves whole values and their stamps: values are replaced as a whole. Of the user's code only `Eq` and `Clone` of
/// keys run under a shard's lock, and before anything changes.
impl<K: RefUnwindSafe, V: RefUnwindSafe, S: UnwindSafe> UnwindSafe for VersionedMap<K, V, S> {}
impl<K: RefUnwindSafe, V: RefUnwindSafe, S: RefUnwindSafe> RefUnwindSafe for VersionedMap<K, V, S> {}

/// What an upsert did: [`VersionedMap::upsert`], and with the feature `sqlx` that of a row.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub struct Upserted {
    /// The stamp of the value that was stored.
    pub stamp: Stamp,
    /// `true` if the key is new, `false` if its value was replaced.
    pub created: bool,
}

impl<K, V, S> VersionedMap<K, V, S> {
    pub(super) fn from_parts(shards: usize, hasher: S, source: StampSource) -> Self {
        Self { shards: Shards::new(shards, Table::new), hasher, source }
    }

    pub(super) fn shards(&self) -> &Shards<K, V> {
        &self.shards
    }

    /// Returns the counter that the stamps come from.
    pub(super) fn source(&self) -> &StampSource {
        &self.source
    }
}

impl<K: Eq + Hash, V, S: BuildHasher> VersionedMap<K, V, S> {
    /// Returns the value of a key, with its stamp.
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

    /// Returns the stamp of a key's value.
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

    /// Returns `true` if the key has a value.
    #[must_use]
    pub fn contains_key<Q>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        self.stamp(key).is_some()
    }

    /// Stores the value of a key that has no value.
    ///
    /// # Errors
    ///
    /// [`WriteError::Conflict`] if the key has a value, with both values; [`WriteError::Exhausted`].
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

    /// Stores the value of a key, new or not, if the current version is as expected.
    ///
    /// # Errors
    ///
    /// [`WriteError::Conflict`] with the current version and `value`; [`WriteError::Exhausted`].
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

    /// Removes a key, if the current version is as expected. Returns the removed value, or `None` if the key was absent
    /// and `expect` allows that.
    ///
    /// # Errors
    ///
    /// [`Conflict`] with the current version.
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

    /// Stores a value with a stamp from elsewhere, such as the version column of a database row, if that is greater than
    /// the current stamp. Returns `true` if it did.
    ///
    /// Stamps that the map gives out are greater than every one that was seeded. The caller makes sure that one stamp of
    /// one key always means the same value. If the key was removed, the value is stored, whatever its stamp.
    ///
    /// # Errors
    ///
    /// [`ImplausibleStamp`] for a stamp above [`StampSource::MAX_OBSERVED`], unless the map gave out a greater one already.
    /// The row is damaged, and the key stays as it is. All keys share one counter, so the stamp would leave none of them
    /// enough stamps for later writes.
    ///
    /// # Examples
    ///
    /// ```
    /// use latchwork::{Stamp, VersionedMap};
    ///
    /// let cache = VersionedMap::<&str, &str>::new();
    /// let [six, seven] = [6, 7].map(|version| Stamp::new(version).expect("it is in range"));
    /// assert!(cache.seed("ada", "Ada Lovelace", seven)?);
    /// assert!(!cache.seed("ada", "Ada", six)?);
    /// assert!(cache.seed("ada", "a damaged row", Stamp::MAX).is_err());
    /// assert_eq!(cache.insert_new("grace", "Grace")?.stamp().get(), 8);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn seed(&self, key: K, value: V, stamp: Stamp) -> Result<bool, ImplausibleStamp> {
        let hash = self.hash(&key);
        // Values and keys that are not stored are dropped after the lock is released: they are declared before it.
        let seeded = Snapshot::new(Arc::new(value), stamp);
        let mut table = self.shards.of(hash).write();
        match table.find_mut(hash, |own| *own == key) {
            None => {
                self.source.observe(stamp)?;
                table.insert(hash, key, seeded);
            }
            Some(entry) if entry.current.stamp() >= stamp => return Ok(false),
            Some(entry) => {
                self.source.observe(stamp)?;
                let old = replace(&mut entry.current, seeded);
                let watch = table.take_watch(hash);
                drop(table);
                finish(old, watch);
            }
        }
        Ok(true)
    }

    #[inline]
    pub(super) fn hash<Q: Hash + ?Sized>(&self, key: &Q) -> u64 {
        hash_of(&self.hasher, key)
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

    /// Stores a value. Also returns `true` if the key is new.
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
        // Drawn under the lock: see the module.
        let stored = match self.source.next() {
            Ok(stamp) => Snapshot::new(value, stamp),
            Err(_) => {
                drop(table);
                return Err(Exhausted::new(unshared(value)).into());
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
}
