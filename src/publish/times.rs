//! [`times`]: the waits and holds of keyed locks, as histograms.

use metrics::histogram;

use super::names::{LOCK, LOCK_HOLD, LOCK_WAIT, describe_times};
use crate::keyed::Timing;

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

/// Creates an observer for [`KeyedBuilder::observe_times`](crate::keyed::KeyedBuilder::observe_times). It records waits
/// and holds in the histograms `latchwork_lock_wait_seconds` and `latchwork_lock_hold_seconds`, with the label
/// `lock="name"`.
///
/// Install the recorder before: the histograms are those of the recorder that is installed now.
///
/// # Examples
///
/// ```
/// use latchwork::{KeyedLock, publish::times};
///
/// let users: KeyedLock<String> = KeyedLock::builder().observe_times(times("users")).build();
/// drop(users.lock("ada").wait());
/// assert!(users.counts().times.is_some());
/// ```
#[must_use = "an observer must be given to a builder"]
pub fn times(name: &'static str) -> impl Fn(Timing) + Send + Sync + 'static {
    describe_times();
    let waits = histogram!(LOCK_WAIT, LOCK => name);
    let holds = histogram!(LOCK_HOLD, LOCK => name);
    move |timing| match timing {
        Timing::Waited(time) => waits.record(time),
        Timing::Held(time) => holds.record(time),
    }
}
