//! [`Fence`]: the number of a lock grant, and the gate that refuses stale holders.

use std::fmt;
use std::hash::{BuildHasher, Hash, RandomState};
use std::num::NonZeroU64;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::str::FromStr;

use crate::digits::{self, BadNumber};
use crate::key::{Form, IntoKey};
use crate::shards::{Entries, Shards, Slot, default_count};
use crate::sync::Mutex;
use crate::verdict::{Classify, Verdict};

/// The token of one lock grant: of two grants of the same key, the later one has the greater fence.
///
/// Send it with every write that the lock protects. The place that stores the write refuses a fence smaller than the
/// greatest it has seen. So a holder that was paused for too long cannot overwrite its successor's work. [`FenceGate`] does
/// this in memory; in SQL it is `UPDATE … WHERE fence <= $1`. The idea is described in M. Kleppmann, "How to do distributed
/// locking" (2016). A fence says nothing about a value's version: that is what a [`Stamp`](crate::Stamp) is for.
///
/// # Examples
///
/// ```
/// let locks = latchwork::KeyedLock::<String>::new();
/// let first = locks.lock("ada").wait().fence();
/// let second = locks.lock("ada").wait().fence();
/// assert!(first < second);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Fence(NonZeroU64);

impl Fence {
    /// Creates the fence with this number; `None` for zero.
    ///
    /// # Examples
    ///
    /// ```
    /// use latchwork::Fence;
    ///
    /// assert_eq!(Fence::new(7).map(Fence::get), Some(7));
    /// assert_eq!(Fence::new(0), None);
    /// ```
    #[must_use]
    pub const fn new(number: u64) -> Option<Self> {
        match NonZeroU64::new(number) {
            Some(number) => Some(Self(number)),
            None => None,
        }
    }

    /// Returns the number, to store or send it.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0.get()
    }
}

impl fmt::Display for Fence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A text is not a [`Fence`].
///
/// # Examples
///
/// ```
/// use latchwork::{Fence, error::BadNumber};
///
/// let error = "007".parse::<Fence>().unwrap_err();
/// assert_eq!(error.why, BadNumber::LeadingZero);
/// assert_eq!(error.to_string(), "not a fence: it has a leading zero");
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("not a fence: {why}")]
#[non_exhaustive]
pub struct ParseFenceError {
    /// What is wrong with it.
    pub why: BadNumber,
}

/// Accepts exactly what [`Display`](fmt::Display) writes.
impl FromStr for Fence {
    type Err = ParseFenceError;

    fn from_str(text: &str) -> Result<Self, ParseFenceError> {
        let number = digits::parse(text, u64::MAX).map_err(|why| ParseFenceError { why })?;
        Ok(Self::new(number).expect("the parser refuses zero"))
    }
}

/// A number is out of the range of a [`Fence`], or a fence is out of the range of `i64`.
///
/// # Examples
///
/// ```
/// let error = latchwork::Fence::try_from(0_i64).unwrap_err();
/// assert_eq!(error.to_string(), "fences in a signed column go from 1 to 9223372036854775807");
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("fences in a signed column go from 1 to {}", i64::MAX)]
#[non_exhaustive]
pub struct FenceOutOfRange;

/// For the value of a `BIGINT` column.
///
/// ```
/// let fence = latchwork::Fence::try_from(7_i64)?;
/// assert_eq!(i64::try_from(fence)?, 7);
/// # Ok::<(), latchwork::fence::FenceOutOfRange>(())
/// ```
impl TryFrom<i64> for Fence {
    type Error = FenceOutOfRange;

    fn try_from(number: i64) -> Result<Self, FenceOutOfRange> {
        u64::try_from(number).ok().and_then(Self::new).ok_or(FenceOutOfRange)
    }
}

/// For a `BIGINT` column. A lock that began at 1 never gets beyond the range.
impl TryFrom<Fence> for i64 {
    type Error = FenceOutOfRange;

    fn try_from(fence: Fence) -> Result<Self, FenceOutOfRange> {
        Self::try_from(fence.get()).map_err(|_| FenceOutOfRange)
    }
}

impl From<Fence> for u64 {
    fn from(fence: Fence) -> Self {
        fence.get()
    }
}

/// A write has a smaller fence than one that was admitted before.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("fence {offered} is stale, {latest} was admitted already")]
#[non_exhaustive]
pub struct StaleFence {
    /// The fence that was refused.
    pub offered: Fence,
    /// The greatest fence that was admitted for the key.
    pub latest: Fence,
}

/// Remembers the greatest fence seen of each key, and refuses smaller ones.
///
/// It takes keys as a [`KeyedLock`](crate::KeyedLock) does, and makes an owned key only for a new entry. It keeps one entry
/// for each key that was ever admitted, until [`forget`](Self::forget). Keys are divided among small
/// locks, so writes of different keys seldom wait for each other.
///
/// # Deadlock
///
/// `Hash` and `Drop` of keys may use the gate. `Eq` must not: it runs under the lock of the key's shard, and waits for
/// ever if it needs the same shard.
///
/// # Examples
///
/// ```
/// use latchwork::{KeyedLock, fence::FenceGate};
///
/// let (locks, gate) = (KeyedLock::<u32>::new(), FenceGate::<u32>::new());
/// let late = locks.lock(7).wait().fence();
/// let current = locks.lock(7).wait().fence();
/// gate.admit(7, current)?;
/// gate.admit(7, current)?;
/// assert_eq!(gate.admit(7, late).unwrap_err().latest, current);
/// # Ok::<(), latchwork::fence::StaleFence>(())
/// ```
pub struct FenceGate<K, S = RandomState> {
    shards: Shards<Mutex<Entries<Seen<K>>>>,
    hasher: S,
}

/// `Eq` of keys is the only user code under a shard's lock, and it runs before anything changes.
impl<K: RefUnwindSafe, S: UnwindSafe> UnwindSafe for FenceGate<K, S> {}
impl<K: RefUnwindSafe, S: RefUnwindSafe> RefUnwindSafe for FenceGate<K, S> {}

/// A key and the greatest fence that was admitted for it.
struct Seen<K> {
    key: K,
    latest: Fence,
}

impl<K: Eq + Hash> FenceGate<K> {
    /// Creates a gate that has seen nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::with_hasher(RandomState::new())
    }
}

impl<K: Eq + Hash> Default for FenceGate<K> {
    fn default() -> Self {
        Self::new()
    }
}

impl<K: Eq + Hash, S: BuildHasher> FenceGate<K, S> {
    /// Creates a gate with a hasher of your own. The default one, `std`'s, withstands keys that are chosen to collide.
    #[must_use]
    pub fn with_hasher(hasher: S) -> Self {
        Self { shards: Shards::new(default_count(), || Mutex::new(Entries::new())), hasher }
    }

    /// Admits a write whose fence is not smaller than the greatest one admitted for `key` before.
    ///
    /// # Errors
    ///
    /// [`StaleFence`] for a smaller fence: the write must not be done.
    pub fn admit(&self, key: impl IntoKey<K>, fence: Fence) -> Result<(), StaleFence> {
        // Declared before the lock is taken: a key that is not stored is dropped after the lock is released.
        let mut key = Form::new(key);
        let hash = key.hash(&self.hasher);
        loop {
            let mut shard = self.shards.of(hash).lock();
            match shard.slot(hash, |seen| key.is_key(&seen.key)) {
                Slot::Found(found) => {
                    let latest = &mut found.into_mut().latest;
                    if fence < *latest {
                        return Err(StaleFence { offered: fence, latest: *latest });
                    }
                    *latest = fence;
                    return Ok(());
                }
                Slot::Free(free) => {
                    if let Some(key) = key.take_owned() {
                        free.insert(Seen { key, latest: fence });
                        return Ok(());
                    }
                }
            }
            drop(shard);
            // The conversion may be the user's code. Another call may store the key meanwhile: so look again.
            key.make_owned();
        }
    }

    /// Returns the greatest fence admitted for `key`.
    ///
    /// # Examples
    ///
    /// ```
    /// let gate = latchwork::fence::FenceGate::<String>::new();
    /// let fence = latchwork::Fence::new(7).expect("it is not zero");
    /// gate.admit("ada", fence)?;
    /// assert_eq!(gate.latest("ada"), Some(fence));
    /// # Ok::<(), latchwork::fence::StaleFence>(())
    /// ```
    pub fn latest(&self, key: impl IntoKey<K>) -> Option<Fence> {
        let key = Form::new(key);
        let hash = key.hash(&self.hasher);
        let shard = self.shards.of(hash).lock();
        shard.find(hash, |seen| key.is_key(&seen.key)).map(|seen| seen.latest)
    }

    /// Forgets `key` and returns its greatest fence. After that, any fence is admitted.
    ///
    /// # Examples
    ///
    /// ```
    /// let gate = latchwork::fence::FenceGate::<String>::new();
    /// let fence = latchwork::Fence::new(7).expect("it is not zero");
    /// gate.admit("ada", fence)?;
    /// assert_eq!((gate.forget("ada"), gate.latest("ada")), (Some(fence), None));
    /// # Ok::<(), latchwork::fence::StaleFence>(())
    /// ```
    pub fn forget(&self, key: impl IntoKey<K>) -> Option<Fence> {
        let key = Form::new(key);
        let hash = key.hash(&self.hasher);
        let mut shard = self.shards.of(hash).lock();
        let seen = shard.found(hash, |seen| key.is_key(&seen.key))?.remove();
        // A key's drop is user code.
        drop(shard);
        Some(seen.latest)
    }
}

impl<K, S> fmt::Debug for FenceGate<K, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let keys: usize = self.shards.iter().map(|shard| shard.lock().len()).sum();
        f.debug_struct("FenceGate").field("keys", &keys).finish_non_exhaustive()
    }
}

/// A later holder has written: the fence is there to prevent this write.
impl Classify for StaleFence {
    fn classify(&self) -> Verdict {
        Verdict::Stop
    }
}
