//! [`StampSource`]: the counter that stamps are drawn from.

use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

use thiserror::Error;

use super::Stamp;
use crate::sync::{AtomicU64, Ordering};
use crate::verdict::{Classify, Verdict};

/// The last stamp was given out; nothing was written.
///
/// Counting from 1, that takes 292 years at a thousand million writes a second. So the counter was started near its end.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[error("no stamps are left")]
#[non_exhaustive]
pub struct StampsExhausted;

/// No stamps are left: another attempt fails, too.
impl Classify for StampsExhausted {
    fn classify(&self) -> Verdict {
        Verdict::Stop
    }
}

/// A stamp from elsewhere is so large that it must be wrong: it would leave too few stamps for later writes.
///
/// [`StampSource::MAX_OBSERVED`] is the limit.
///
/// # Examples
///
/// ```
/// use latchwork::{Stamp, VersionedMap};
///
/// let cache = VersionedMap::<&str, &str>::new();
/// let error = cache.seed("ada", "a damaged row", Stamp::MAX).unwrap_err();
/// assert_eq!((error.stamp, cache.get("ada")), (Stamp::MAX, None));
/// assert!(cache.insert_new("grace", "Grace").is_ok());
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[error("stamp {stamp} leaves too few stamps for later writes")]
#[non_exhaustive]
pub struct ImplausibleStamp {
    /// The stamp that was refused.
    pub stamp: Stamp,
}

/// The same stamp is refused again.
impl Classify for ImplausibleStamp {
    fn classify(&self) -> Verdict {
        Verdict::Stop
    }
}

/// A counter that gives out each stamp once, in rising order.
///
/// A [`VersionedMap`](crate::VersionedMap) has one for all its keys. So a key that is removed and stored again never gets a
/// stamp that it had before.
///
/// # Examples
///
/// ```
/// use latchwork::{Stamp, stamp::StampSource};
///
/// let source = StampSource::after(Stamp::new(41).expect("it is in range"));
/// assert_eq!(source.next()?.get(), 42);
/// # Ok::<(), latchwork::stamp::StampsExhausted>(())
/// ```
pub struct StampSource {
    /// The latest number, zero for none. When the end is reached it is beyond the end for a moment.
    ///
    /// Relaxed everywhere: additions to one counter have one order in any case. A caller that concludes from the number
    /// what a map holds looks at the map under a lock, which orders both.
    latest: AtomicU64,
}

impl StampSource {
    /// The greatest stamp from elsewhere that a source accepts, unless it gave out a greater one already.
    ///
    /// 2^48 stamps are left after it: those of nine years at a million writes a second. All keys of a map share them. So
    /// one damaged row can't end the writes of the other keys.
    pub const MAX_OBSERVED: Stamp = match Stamp::new(Stamp::MAX.get() - (1 << 48)) {
        Some(stamp) => stamp,
        None => unreachable!(),
    };

    /// Creates a source whose first stamp is 1.
    #[must_use]
    pub fn new() -> Self {
        Self { latest: AtomicU64::new(0) }
    }

    /// Creates a source that continues after `latest`, the greatest stamp before a restart.
    ///
    /// It accepts every stamp. If `latest` may be that of a damaged row, compare it with
    /// [`MAX_OBSERVED`](Self::MAX_OBSERVED): after [`Stamp::MAX`] there is no stamp.
    #[must_use]
    pub fn after(latest: Stamp) -> Self {
        Self { latest: AtomicU64::new(latest.get()) }
    }

    /// Creates a source that starts at the microseconds since 1970, for values that live in memory only.
    ///
    /// Clients keep the stamps of values that a restart loses. A counter that began at 1 again would give the same stamps
    /// to other values, and an old client's change would be accepted. The clock advances by a million a second, the
    /// counter by one a write. So every stamp after the restart is greater than all stamps before it.
    ///
    /// That fails if there were more than a million writes a second on average, or if the clock was set back meanwhile.
    /// If stamps are stored, start [`after`](Self::after) the greatest one instead.
    ///
    /// # Examples
    ///
    /// ```
    /// let before_2020 = 1_577_836_800_000_000;
    /// assert!(latchwork::stamp::StampSource::from_clock().next()?.get() > before_2020);
    /// # Ok::<(), latchwork::stamp::StampsExhausted>(())
    /// ```
    #[must_use]
    pub fn from_clock() -> Self {
        // A clock before 1970 counts from 1, as good as any other wrong clock. One in the far future leaves stamps, too.
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let number = u64::try_from(since.as_micros()).unwrap_or(u64::MAX);
        Self { latest: AtomicU64::new(number.min(Self::MAX_OBSERVED.get())) }
    }

    /// Draws the next stamp, greater than every one that was drawn or observed before.
    ///
    /// # Errors
    ///
    /// [`StampsExhausted`] after [`Stamp::MAX`], every time: it never wraps.
    pub fn next(&self) -> Result<Stamp, StampsExhausted> {
        // One addition without a load before it: that takes half the time under contention. What goes beyond the end is
        // taken back, so the number exceeds the end by at most the number of threads.
        let before = self.latest.fetch_add(1, Ordering::Relaxed);
        if before >= Stamp::MAX.get() {
            self.latest.fetch_min(Stamp::MAX.get(), Ordering::Relaxed);
            return Err(StampsExhausted);
        }
        Stamp::new(before + 1).ok_or(StampsExhausted)
    }

    /// Makes all later stamps greater than `seen`.
    ///
    /// # Errors
    ///
    /// [`ImplausibleStamp`] for a stamp above [`MAX_OBSERVED`](Self::MAX_OBSERVED), unless the source gave out a greater
    /// one already. Nothing changes.
    ///
    /// # Examples
    ///
    /// ```
    /// use latchwork::{Stamp, stamp::StampSource};
    ///
    /// let source = StampSource::new();
    /// source.observe(Stamp::new(7).expect("it is in range"))?;
    /// source.observe(Stamp::MIN)?;
    /// assert!(source.observe(Stamp::MAX).is_err());
    /// assert_eq!(source.next()?.get(), 8);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn observe(&self, seen: Stamp) -> Result<(), ImplausibleStamp> {
        if seen > Self::MAX_OBSERVED && self.latest() < Some(seen) {
            return Err(ImplausibleStamp { stamp: seen });
        }
        self.latest.fetch_max(seen.get(), Ordering::Relaxed);
        Ok(())
    }

    /// Returns the greatest stamp that was drawn or observed; `None` before the first.
    #[must_use]
    pub fn latest(&self) -> Option<Stamp> {
        Stamp::new(self.latest.load(Ordering::Relaxed).min(Stamp::MAX.get()))
    }
}

impl Default for StampSource {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for StampSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StampSource").field("latest", &self.latest()).finish()
    }
}
