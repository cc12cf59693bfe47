//! [`VersionedMapBuilder`]: the settings of a map.

use std::fmt;
use std::hash::{BuildHasher, Hash, RandomState};
use std::marker::PhantomData;

use super::map::VersionedMap;
use crate::shards;
use crate::stamp::StampSource;

/// Builds a [`VersionedMap`] with settings of your own.
///
/// # Examples
///
/// ```
/// use std::hash::{BuildHasherDefault, DefaultHasher};
/// use latchwork::{VersionedMap, stamp::StampSource};
///
/// let cards = VersionedMap::<u64, String>::builder()
///     .stamps(StampSource::from_clock())
///     .shards(128)
///     .hasher(BuildHasherDefault::<DefaultHasher>::default())
///     .build();
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
    /// Creates an empty map, whose first stamp will be 1.
    #[must_use]
    pub fn new() -> Self {
        Self::builder().build()
    }

    /// Creates a builder, to change settings that have a default.
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
    /// Sets where stamps come from. The default source begins at 1.
    #[must_use]
    pub fn stamps(mut self, source: StampSource) -> Self {
        self.source = source;
        self
    }

    /// Sets the number of shards that the keys are divided into, rounded up to a power of two. The default is 16 for each
    /// processor, and at least 64.
    ///
    /// # Panics
    ///
    /// If the number is zero, or more than 65 536.
    #[must_use]
    pub fn shards(mut self, shards: usize) -> Self {
        self.shards = shards::count(shards);
        self
    }

    /// Sets the hasher. The default one, `std`'s, withstands keys that are chosen to collide; keys from requests may be.
    #[must_use]
    pub fn hasher<S2: BuildHasher>(self, hasher: S2) -> VersionedMapBuilder<K, V, S2> {
        let Self { shards, source, .. } = self;
        VersionedMapBuilder { hasher, shards, source, of: PhantomData }
    }

    /// Creates the map.
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
