//! [`micros`]: durations in events.

use std::time::Duration;

/// Returns the microseconds of a duration; 584 thousand years at most.
pub(crate) fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
