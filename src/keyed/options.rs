//! The settings of a table.

#[cfg(feature = "tracing")]
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::timing::{Observer, Timing, report};
use crate::provider::ShowKey;
#[cfg(feature = "tracing")]
use crate::throttle::Throttle;

/// The settings of a table.
pub(super) struct Options<K> {
    pub(super) name: Option<&'static str>,
    pub(super) shards: usize,
    pub(super) fence_start: u64,
    pub(super) track_times: bool,
    pub(super) track_callers: bool,
    /// After this time a wait is reported.
    pub(super) long_wait: Duration,
    /// Limits the warnings about long waits.
    #[cfg(feature = "tracing")]
    pub(super) warnings: Arc<Throttle>,
    pub(super) show_key: Option<ShowKey<K>>,
    pub(super) observer: Option<Box<Observer>>,
}

impl<K> Options<K> {
    /// Returns the time, if the table tracks times.
    #[inline]
    pub(super) fn now(&self) -> Option<Instant> {
        self.track_times.then(Instant::now)
    }

    /// Reports `timing` to the observer, if there is one.
    #[inline]
    pub(super) fn observe(&self, timing: Timing) {
        if let Some(observer) = &self.observer {
            report(observer, timing);
        }
    }

    #[inline]
    pub(super) fn tracks(&self) -> bool {
        self.track_times || self.track_callers
    }
}
