//! Views of a map as a whole.
//!
//! Keys are cloned under their shard's lock. Beside `Eq` that is the only user code that runs there.

use std::fmt;

use super::map::VersionedMap;
use super::shards::Entry;
use super::snapshot::Snapshot;
use crate::stamp::Stamp;

/// The keys that were written since a stamp, as [`VersionedMap::changed_since`] found them.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Changes<K> {
    /// The keys and their stamps, in any order.
    pub keys: Vec<(K, Stamp)>,
    /// The stamp for the next call; `None` if nothing was ever written.
    pub upto: Option<Stamp>,
}

impl<K, V, S> VersionedMap<K, V, S> {
    /// Returns the number of keys, counted shard by shard.
    ///
    /// # Examples
    ///
    /// ```
    /// let cards = latchwork::VersionedMap::<&str, u32>::new();
    /// cards.insert_new("ada", 36)?;
    /// assert_eq!((cards.len(), cards.is_empty()), (1, false));
    /// # Ok::<(), latchwork::versioned::WriteError<u32>>(())
    /// ```
    #[must_use]
    pub fn len(&self) -> usize {
        self.shards().iter().map(|shard| shard.read().len()).sum()
    }

    /// Returns `true` if there is no key, looked up shard by shard.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.shards().iter().all(|shard| shard.read().len() == 0)
    }

    /// Returns all keys and their values, in any order.
    ///
    /// It copies one shard after the other, so it does not show the map at one moment. Of two writes to different keys
    /// that happen meanwhile, it may show only the later one. Each key appears at most once, with a value that it had
    /// during the call. Writers wait while their shard is copied.
    ///
    /// `Clone` of the keys runs under the shard's internal lock: it must not use the map.
    ///
    /// # Examples
    ///
    /// ```
    /// let cards = latchwork::VersionedMap::<&str, &str>::new();
    /// cards.insert_new("a", "Ada")?;
    /// let all = cards.snapshot();
    /// cards.insert_new("g", "Grace")?;
    /// assert_eq!((all.len(), *all[0].1), (1, "Ada"));
    /// # Ok::<(), latchwork::versioned::WriteError<&str>>(())
    /// ```
    #[must_use]
    pub fn snapshot(&self) -> Vec<(K, Snapshot<V>)>
    where
        K: Clone,
    {
        self.collect(|entry| Some((entry.key.clone(), entry.current.clone())))
    }

    /// Returns all keys, in any order, as [`snapshot`](Self::snapshot) does.
    #[must_use]
    pub fn keys(&self) -> Vec<K>
    where
        K: Clone,
    {
        self.collect(|entry| Some(entry.key.clone()))
    }

    /// Returns the keys whose stamp is greater than `since` (all keys for `None`), and the stamp for the next call.
    ///
    /// A caller that passes [`upto`](Changes::upto) to the next call misses no write, but may see one twice. `upto` is
    /// read from the counter before the first shard is looked at; a write with a greater stamp shows now or the next time.
    /// Removed keys are not reported: compare with [`keys`](Self::keys), or store a value that means "deleted". Values
    /// [seeded](Self::seed) with a stamp not greater than `since` are not reported either.
    ///
    /// `Clone` of the keys runs under the shard's internal lock: it must not use the map.
    ///
    /// # Examples
    ///
    /// ```
    /// let cards = latchwork::VersionedMap::<&str, &str>::new();
    /// cards.insert_new("a", "Ada")?;
    /// let first = cards.changed_since(None);
    /// let g = cards.insert_new("g", "Grace")?;
    /// assert_eq!(cards.changed_since(first.upto).keys, [("g", g.stamp())]);
    /// # Ok::<(), latchwork::versioned::WriteError<&str>>(())
    /// ```
    #[must_use]
    pub fn changed_since(&self, since: impl Into<Option<Stamp>>) -> Changes<K>
    where
        K: Clone,
    {
        let since = since.into();
        let upto = self.source().latest();
        let keys = self.collect(|entry| {
            let stamp = entry.current.stamp();
            (Some(stamp) > since).then(|| (entry.key.clone(), stamp))
        });
        Changes { keys, upto }
    }

    fn collect<T>(&self, mut pick: impl FnMut(&Entry<K, V>) -> Option<T>) -> Vec<T> {
        let mut all = Vec::new();
        for shard in self.shards().iter() {
            all.extend(shard.read().iter().filter_map(&mut pick));
        }
        all
    }
}

impl<K, V, S> fmt::Debug for VersionedMap<K, V, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VersionedMap")
            .field("keys", &self.len())
            .field("stamps", self.source())
            .finish_non_exhaustive()
    }
}
