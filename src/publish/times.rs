//! The waits and holds of keyed locks, as histograms.

use metrics::histogram;

use super::names::{LOCK, LOCK_HOLD, LOCK_WAIT, describe_times};
use super::publisher::{KEYED, nameless};
use crate::keyed::{KeyedBuilder, Timing};

/// Upper bounds for waits and holds, in seconds: from a microsecond to ten seconds.
///
/// Give them to the exporter. Its defaults may be too coarse, or it may make summaries, which can't be added up.
///
/// # Examples
///
/// ```
/// use latchwork::publish::BUCKETS;
///
/// assert!(BUCKETS.is_sorted() && BUCKETS[0] == 0.000_001 && BUCKETS[BUCKETS.len() - 1] == 10.0);
/// ```
pub const BUCKETS: &[f64] = &[
    0.000_001, 0.000_01, 0.000_1, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0,
    10.0,
];

impl<K, S> KeyedBuilder<K, S> {
    /// Publishes each wait and each hold, in the histograms `latchwork_lock_wait_seconds` and
    /// `latchwork_lock_hold_seconds`. Their label is the lock's [name](Self::name). Needs the feature `metrics`.
    ///
    /// It takes the place of an [observer](Self::observe_times). Install the recorder before the lock is built: the
    /// histograms are those of the recorder that is installed then.
    ///
    /// # Panics
    ///
    /// [`build`](Self::build) panics if the lock has no name.
    ///
    /// # Examples
    ///
    /// ```
    /// use latchwork::KeyedLock;
    ///
    /// let users: KeyedLock<String> = KeyedLock::builder().name("users").publish_times().build();
    /// drop(users.lock("ada").wait());
    /// assert!(users.counts().times.is_some());
    /// ```
    #[must_use]
    pub fn publish_times(self) -> Self {
        self.observe_by(Box::new(|name| {
            Box::new(observer(name.unwrap_or_else(|| nameless("the lock", KEYED))))
        }))
    }
}

fn observer(name: &'static str) -> impl Fn(Timing) + Send + Sync + 'static {
    describe_times();
    let waits = histogram!(LOCK_WAIT, LOCK => name);
    let holds = histogram!(LOCK_HOLD, LOCK => name);
    move |timing| match timing {
        Timing::Waited(time) => waits.record(time),
        Timing::Held(time) => holds.record(time),
    }
}
