//! [`IntoKey`]: what a caller may pass for a key. A `Form` is a key on its way into a table.

use std::borrow::Cow;
use std::hash::{BuildHasher, Hash, Hasher};
use std::sync::Arc;

use crate::shards::spread;

/// A value that can be looked up as a key `K`, and turned into one if it must be stored.
///
/// It is implemented for every key itself, for references to keys that are `Clone`, and for the borrowed forms of the
/// usual owned keys. So a table of `String` keys takes `"ada"`, and allocates only if the key is not in the table.
///
/// Implement it for borrowed forms of your own keys. `hash_key` must feed the hasher as `K`'s own `Hash` does, and
/// `is_key` must agree with its `Eq`. Otherwise one key is treated as two.
///
/// # Examples
///
/// ```
/// use std::hash::{Hash, Hasher};
/// use latchwork::{KeyedLock, key::IntoKey};
///
/// #[derive(PartialEq, Eq, Hash)]
/// struct Seat { row: String, number: u32 }
///
/// impl IntoKey<Seat> for (&str, u32) {
///     fn hash_key<H: Hasher>(&self, state: &mut H) { self.hash(state) }
///     fn is_key(&self, key: &Seat) -> bool { self.0 == key.row && self.1 == key.number }
///     fn into_key(self) -> Seat { Seat { row: self.0.to_owned(), number: self.1 } }
/// }
///
/// let seats = KeyedLock::<Seat>::new();
/// let guard = seats.try_lock(("B", 7))?;
/// assert!(seats.is_locked(Seat { row: "B".to_owned(), number: 7 }));
/// # drop(guard);
/// # Ok::<(), latchwork::Busy>(())
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` can't be used as a key `{K}`",
    label = "not a key `{K}`",
    note = "pass the key, a reference to a key that is `Clone`, or a borrowed form of it, as `&str` is one of `String`"
)]
pub trait IntoKey<K>: Sized {
    /// Feeds `state` exactly as the key's own `Hash` does. Called once, when the request is created.
    fn hash_key<H: Hasher>(&self, state: &mut H);

    /// Returns `true` if it means this key. Called under a shard's internal lock: it must not use the table.
    fn is_key(&self, key: &K) -> bool;

    /// Returns the key to store. Called outside every internal lock.
    fn into_key(self) -> K;

    /// Returns the key, if it is one already and no code must run to make it.
    #[doc(hidden)]
    fn ready(self) -> Result<K, Self> {
        Err(self)
    }

    /// Returns the key, if only the allocator runs to make it. Then it may be made under the lock.
    #[doc(hidden)]
    fn make(&self) -> Option<K> {
        None
    }
}

impl<K: Eq + Hash> IntoKey<K> for K {
    #[inline]
    fn hash_key<H: Hasher>(&self, state: &mut H) {
        self.hash(state);
    }

    #[inline]
    fn is_key(&self, key: &K) -> bool {
        self == key
    }

    #[inline]
    fn into_key(self) -> K {
        self
    }

    #[inline]
    fn ready(self) -> Result<K, Self> {
        Ok(self)
    }
}

impl<K: Eq + Hash + Clone> IntoKey<K> for &K {
    #[inline]
    fn hash_key<H: Hasher>(&self, state: &mut H) {
        (**self).hash(state);
    }

    #[inline]
    fn is_key(&self, key: &K) -> bool {
        *self == key
    }

    fn into_key(self) -> K {
        self.clone()
    }
}

/// A key as a caller passed it, until it is stored.
pub(crate) enum Form<K, Q> {
    Borrowed(Q),
    Owned(K),
    /// Gone into the table.
    Stored,
}

impl<K, Q: IntoKey<K>> Form<K, Q> {
    #[inline]
    pub(crate) fn new(key: Q) -> Self {
        match key.ready() {
            Ok(key) => Self::Owned(key),
            Err(key) => Self::Borrowed(key),
        }
    }

    /// Returns the key to store, or `None` if it must be made first, outside the lock.
    #[inline(always)]
    pub(crate) fn take_owned(&mut self) -> Option<K> {
        match self {
            Self::Borrowed(key) => key.make(),
            Self::Owned(_) => match std::mem::replace(self, Self::Stored) {
                Self::Owned(key) => Some(key),
                Self::Borrowed(_) | Self::Stored => None,
            },
            Self::Stored => None,
        }
    }

    /// Makes the key to store, outside the lock.
    ///
    /// # Panics
    ///
    /// If the key is gone, because its conversion panicked before.
    pub(crate) fn make_owned(&mut self) {
        match std::mem::replace(self, Self::Stored) {
            Self::Borrowed(key) => *self = Self::Owned(key.into_key()),
            Self::Owned(_) | Self::Stored => panic!("an Acquire is not polled again after it panicked"),
        }
    }
}

impl<K: Eq + Hash, Q: IntoKey<K>> Form<K, Q> {
    /// Returns the hash by which the key is found, as [`hash_of`](crate::shards::hash_of) does for an owned one.
    #[inline(always)]
    pub(crate) fn hash(&self, hasher: &impl BuildHasher) -> u64 {
        let mut state = hasher.build_hasher();
        match self {
            Self::Borrowed(key) => key.hash_key(&mut state),
            Self::Owned(key) => key.hash(&mut state),
            Self::Stored => {}
        }
        spread(state.finish())
    }

    #[inline]
    pub(crate) fn is_key(&self, key: &K) -> bool {
        match self {
            Self::Borrowed(own) => own.is_key(key),
            Self::Owned(own) => own == key,
            Self::Stored => false,
        }
    }
}

/// The borrowed forms, whose hash and equality are those of the slice behind both.
macro_rules! borrowed {
    ($($borrowed:ty => $key:ty, $into:expr;)*) => {$(
        impl IntoKey<$key> for $borrowed {
            #[inline]
            fn hash_key<H: Hasher>(&self, state: &mut H) {
                self[..].hash(state);
            }

            #[inline]
            fn is_key(&self, key: &$key) -> bool {
                self[..] == key[..]
            }

            fn into_key(self) -> $key {
                $into(self)
            }

            fn make(&self) -> Option<$key> {
                Some(<$key>::from(&self[..]))
            }
        }
    )*};
}

borrowed! {
    &str => String, str::to_owned;
    Cow<'_, str> => String, Cow::into_owned;
    &str => Box<str>, Box::from;
    &str => Arc<str>, Arc::from;
    &[u8] => Vec<u8>, <[u8]>::to_vec;
    Cow<'_, [u8]> => Vec<u8>, Cow::into_owned;
}
