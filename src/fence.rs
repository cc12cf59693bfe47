//! [`Fence`]: the number of a lock grant, and the gate that turns a stale holder away.

use std::collections::HashMap;
use std::fmt;
use std::hash::Hash;
use std::num::NonZeroU64;
use std::str::FromStr;

use parking_lot::Mutex;

use crate::digits::{self, BadNumber};

/// The token of one lock grant: of two grants of the same key, the later one has the greater fence.
///
/// Send it along with every write that the lock protects, and let the place that stores the write
/// refuse a fence smaller than the greatest it has seen: so a holder that was paused past its time
/// can't overwrite its successor's work. [`FenceGate`] does this in memory; in SQL it is
/// `UPDATE … WHERE fence <= $1`. The idea is described in M. Kleppmann, "How to do distributed
/// locking" (2016). A fence says nothing about a value's version: that is what a stamp is for.
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
    /// The fence with this number, `None` for zero.
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

    /// The number, to be stored or sent.
    ///
    /// # Examples
    ///
    /// ```
    /// let fence = latchwork::KeyedLock::<u8>::new().lock(1).wait().fence();
    /// assert!(fence.get() >= 1);
    /// ```
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
/// use latchwork::{BadNumber, Fence};
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

/// Reads what [`Display`](fmt::Display) writes, and nothing else.
impl FromStr for Fence {
    type Err = ParseFenceError;

    fn from_str(text: &str) -> Result<Self, ParseFenceError> {
        let number = digits::parse(text, u64::MAX).map_err(|why| ParseFenceError { why })?;
        Ok(Self::new(number).expect("the parser refuses zero"))
    }
}

/// A write came with a smaller fence than one that was admitted before.
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
/// It keeps one entry for each key ever admitted, until [`forget`](Self::forget).
///
/// # Examples
///
/// ```
/// use latchwork::{FenceGate, KeyedLock};
///
/// let (locks, gate) = (KeyedLock::<u32>::new(), FenceGate::new());
/// let late = locks.lock(7).wait().fence();
/// let current = locks.lock(7).wait().fence();
/// gate.admit(7, current)?;
/// gate.admit(7, current)?;
/// assert_eq!(gate.admit(7, late).unwrap_err().latest, current);
/// # Ok::<(), latchwork::StaleFence>(())
/// ```
#[derive(Debug)]
pub struct FenceGate<K> {
    latest: Mutex<HashMap<K, Fence>>,
}

impl<K: Eq + Hash> FenceGate<K> {
    /// A gate that has seen nothing.
    #[must_use]
    pub fn new() -> Self {
        Self { latest: Mutex::new(HashMap::new()) }
    }

    /// Lets a write pass whose fence is at least as great as every one admitted for `key` before.
    ///
    /// # Errors
    ///
    /// [`StaleFence`] for a smaller one; the write must not be done then.
    pub fn admit(&self, key: K, fence: Fence) -> Result<(), StaleFence> {
        let mut seen = self.latest.lock();
        // A known key's owned copy is handed out of the lock before it is dropped.
        let unused = match seen.get_mut(&key) {
            Some(latest) if fence < *latest => return Err(StaleFence { offered: fence, latest: *latest }),
            Some(latest) => {
                *latest = fence;
                Some(key)
            }
            None => {
                seen.insert(key, fence);
                None
            }
        };
        drop(seen);
        drop(unused);
        Ok(())
    }

    /// The greatest fence admitted for `key`.
    ///
    /// # Examples
    ///
    /// ```
    /// let gate = latchwork::FenceGate::new();
    /// let fence = latchwork::Fence::new(7).expect("it is not zero");
    /// gate.admit("ada", fence)?;
    /// assert_eq!(gate.latest(&"ada"), Some(fence));
    /// # Ok::<(), latchwork::StaleFence>(())
    /// ```
    pub fn latest(&self, key: &K) -> Option<Fence> {
        self.latest.lock().get(key).copied()
    }

    /// Forgets `key`: any fence is admitted again. Says what was the greatest.
    ///
    /// # Examples
    ///
    /// ```
    /// let gate = latchwork::FenceGate::new();
    /// let fence = latchwork::Fence::new(7).expect("it is not zero");
    /// gate.admit("ada", fence)?;
    /// assert_eq!((gate.forget(&"ada"), gate.latest(&"ada")), (Some(fence), None));
    /// # Ok::<(), latchwork::StaleFence>(())
    /// ```
    pub fn forget(&self, key: &K) -> Option<Fence> {
        let forgotten = self.latest.lock().remove_entry(key);
        forgotten.map(|(_key, fence)| fence)
    }
}

impl<K: Eq + Hash> Default for FenceGate<K> {
    fn default() -> Self {
        Self::new()
    }
}
