//! [`VersionedMapBuilder`]: everything about a map that has a default.

use std::fmt;
use std::hash::{BuildHasher, Hash, RandomState};
use std::marker::PhantomData;

use super::map::VersionedMap;
use crate::shards;
use crate::stamp::StampSource;

/// Builds a [`VersionedMap`] with other than the default settings.
///
/// # Examples
///
/// ```
/// use latchwork::{VersionedMap, stamp::StampSource};
///
/// let cards: VersionedMap<u64, String> = VersionedMap::builder().stamps(StampSource::from_clock()).build();
/// let ada = cards.insert_new(7, "Ada".to_owned())?;
/// assert!(ada.stamp().get() > 1);
/// # Ok::<(), latchwork::versioned::WriteError<String>>(())
/// ```
pub struct VersionedMapBuilder<K, V, S = RandomState> {
    hasher: S,
    shards: usize,
    source: StampSource,
    of: PhantomData<fn(K) -> V>,
}

impl<K: Eq + Hash, V> VersionedMap<K, V> {
    /// An empty map, whose first stamp will be 1.
    ///
    /// # Examples
    ///
    /// ```
    /// assert!(latchwork::VersionedMap::<u64, String>::new().is_empty());
    /// ```
    #[must_use]
    pub fn new() -> Self {
        Self::builder().build()
    }

    /// A builder, for what has a default otherwise.
    #[must_use]
    pub fn builder() -> VersionedMapBuilder<K, V> {
        VersionedMapBuilder {
            hasher: RandomState::new(),
            shards: shards::default_count(),
            source: StampSource::new(),
            of: PhantomData,
        }
    }
}

impl<K: Eq + Hash, V> Default for VersionedMap<K, V> {
    fn default() -> Self {
        Self::new()
    }
}

impl<K, V, S> VersionedMapBuilder<K, V, S> {
    /// Where stamps come from. The default source begins at 1.
    ///
    /// # Examples
    ///
    /// ```
    /// use latchwork::{Stamp, VersionedMap, stamp::StampSource};
    ///
    /// let latest = Stamp::new(41).expect("it is in range");
    /// let map = VersionedMap::<u8, u8>::builder().stamps(StampSource::after(latest)).build();
    /// assert!(map.insert_new(1, 1).is_ok_and(|value| value.stamp().get() == 42));
    /// ```
    #[must_use]
    pub fn stamps(mut self, source: StampSource) -> Self {
        self.source = source;
        self
    }

    /// Into how many shards the keys are divided, rounded up to a power of two. The default is 16
    /// for each processor, and at least 64.
    ///
    /// # Panics
    ///
    /// With zero, or more than 65 536.
    #[must_use]
    pub fn shards(mut self, shards: usize) -> Self {
        self.shards = shards::count(shards);
        self
    }

    /// The hasher. The default one, `std`'s, withstands keys that are chosen to collide, as keys
    /// that come from requests may be.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::hash::{BuildHasherDefault, DefaultHasher};
    /// use latchwork::VersionedMap;
    ///
    /// let fixed = BuildHasherDefault::<DefaultHasher>::default();
    /// let map = VersionedMap::<u32, u32>::builder().hasher(fixed).build();
    /// assert!(map.is_empty());
    /// ```
    #[must_use]
    pub fn hasher<S2: BuildHasher>(self, hasher: S2) -> VersionedMapBuilder<K, V, S2> {
        let Self { shards, source, .. } = self;
        VersionedMapBuilder { hasher, shards, source, of: PhantomData }
    }

    /// The map.
    #[must_use]
    pub fn build(self) -> VersionedMap<K, V, S> {
        VersionedMap::from_parts(self.shards, self.hasher, self.source)
    }
}

impl<K, V, S> fmt::Debug for VersionedMapBuilder<K, V, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VersionedMapBuilder")
            .field("shards", &self.shards)
            .field("stamps", &self.source)
            .finish_non_exhaustive()
    }
}
