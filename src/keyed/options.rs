//! What a table is told at the start.

use std::time::{Duration, Instant};

use super::timing::{Observer, Timing, report};
use crate::provider::ShowKey;

/// What a table is told at the start.
pub(super) struct Options<K> {
    pub(super) shards: usize,
    pub(super) fence_start: u64,
    pub(super) track_times: bool,
    pub(super) track_callers: bool,
    pub(super) long_wait: Duration,
    pub(super) show_key: Option<ShowKey<K>>,
    pub(super) observer: Option<Box<Observer>>,
}

impl<K> Options<K> {
    /// The time, if it matters.
    #[inline]
    pub(super) fn now(&self) -> Option<Instant> {
        self.track_times.then(Instant::now)
    }

    /// Tells the observer, if there is one.
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
