//! [`StampSource`]: the counter that stamps are drawn from.

use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

use thiserror::Error;

use super::Stamp;
use crate::sync::{AtomicU64, Ordering};
use crate::verdict::{Classify, Verdict};

/// The last stamp was given out; nothing was written.
///
/// Counting from 1 that takes 292 years at a thousand million writes a second, so it means that
/// somebody started the counter near its end.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[error("no stamps are left")]
#[non_exhaustive]
pub struct StampsExhausted;

/// There are no more stamps: another attempt fails, too.
impl Classify for StampsExhausted {
    fn classify(&self) -> Verdict {
        Verdict::Stop
    }
}

/// A counter that gives out each stamp once, in rising order.
///
/// A [`VersionedMap`](crate::VersionedMap) has one for all its keys, so that a key which is removed and
/// comes back never has a stamp again that it had before.
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
    /// The latest number, zero for none; for a moment beyond the end, when the end is reached.
    ///
    /// Relaxed everywhere: additions to one counter have one order in any case, and those who conclude
    /// from the number what a map holds look at the map under a lock that orders them.
    latest: AtomicU64,
}

impl StampSource {
    /// A source whose first stamp is 1.
    ///
    /// # Examples
    ///
    /// ```
    /// assert_eq!(latchwork::stamp::StampSource::new().next().map(|stamp| stamp.get()), Ok(1));
    /// ```
    #[must_use]
    pub fn new() -> Self {
        Self { latest: AtomicU64::new(0) }
    }

    /// A source that goes on after `latest`, the greatest stamp of an earlier life.
    ///
    /// # Examples
    ///
    /// ```
    /// use latchwork::{Stamp, stamp::StampSource};
    ///
    /// assert!(StampSource::after(Stamp::MAX).next().is_err());
    /// ```
    #[must_use]
    pub fn after(latest: Stamp) -> Self {
        Self { latest: AtomicU64::new(latest.get()) }
    }

    /// A source that starts at the microseconds since 1970, for values that live in memory only.
    ///
    /// Clients keep the stamps of values that a restart loses. A counter that began at 1 again would
    /// give the same stamps to other values, and an old client's change would pass. The clock has gone on by
    /// a million a second meanwhile, the counter by one a write: so every stamp of the new life is
    /// greater than all those of the old one.
    ///
    /// That does not hold if the old life wrote more than a million times a second on average, nor if the
    /// clock was set back in between. Where stamps are stored, start [`after`](Self::after) the greatest
    /// instead.
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
        // A clock before 1970 counts from 1, as good as any other wrong clock.
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let number = u64::try_from(since.as_micros()).unwrap_or(u64::MAX);
        Self { latest: AtomicU64::new(number.min(Stamp::MAX.get())) }
    }

    /// Draws the next stamp, greater than every one that was drawn or observed before.
    ///
    /// # Errors
    ///
    /// [`StampsExhausted`] after [`Stamp::MAX`], every time: it never wraps.
    ///
    /// # Examples
    ///
    /// ```
    /// let source = latchwork::stamp::StampSource::new();
    /// assert_eq!((source.next()?.get(), source.next()?.get()), (1, 2));
    /// # Ok::<(), latchwork::stamp::StampsExhausted>(())
    /// ```
    pub fn next(&self) -> Result<Stamp, StampsExhausted> {
        // One addition, and not a load before it: half the time where threads meet. What goes beyond the
        // end is taken back, so the number exceeds it by no more than there are threads.
        let before = self.latest.fetch_add(1, Ordering::Relaxed);
        if before >= Stamp::MAX.get() {
            self.latest.fetch_min(Stamp::MAX.get(), Ordering::Relaxed);
            return Err(StampsExhausted);
        }
        Stamp::new(before + 1).ok_or(StampsExhausted)
    }

    /// Sees to it that all stamps to come are greater than `seen`.
    ///
    /// # Examples
    ///
    /// ```
    /// use latchwork::{Stamp, stamp::StampSource};
    ///
    /// let source = StampSource::new();
    /// source.observe(Stamp::new(7).expect("it is in range"));
    /// source.observe(Stamp::MIN);
    /// assert_eq!(source.next()?.get(), 8);
    /// # Ok::<(), latchwork::stamp::StampsExhausted>(())
    /// ```
    pub fn observe(&self, seen: Stamp) {
        self.latest.fetch_max(seen.get(), Ordering::Relaxed);
    }

    /// The greatest stamp that was drawn or observed; `None` before the first.
    ///
    /// # Examples
    ///
    /// ```
    /// let source = latchwork::stamp::StampSource::new();
    /// assert_eq!(source.latest(), None);
    /// assert_eq!(Some(source.next()?), source.latest());
    /// # Ok::<(), latchwork::stamp::StampsExhausted>(())
    /// ```
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
