//! Tracing events, emitted outside every internal lock. Without the feature `tracing` nothing is emitted.

use std::time::{Duration, Instant};

use super::options::Options;
use super::sought::Sought;
use crate::error::Busy;
use crate::fence::Fence;
use crate::key::IntoKey;

/// The name for filters, which does not change when this module moves.
#[cfg(feature = "tracing")]
const TARGET: &str = "latchwork::keyed";

#[cfg(feature = "tracing")]
fn shown<'a, K>(
    options: &Options<K>,
    key: &'a K,
) -> Option<tracing::field::DisplayValue<crate::provider::Shown<'a, K>>> {
    crate::provider::Shown::new(options.show_key, key).map(tracing::field::display)
}

#[cfg(feature = "tracing")]
fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

#[inline]
pub(super) fn acquired<K>(options: &Options<K>, key: &K, fence: Fence, waited: Option<Duration>) {
    #[cfg(feature = "tracing")]
    {
        let fence = fence.get();
        tracing::debug!(target: TARGET, key = shown(options, key), fence, waited_us = waited.map(micros), "acquired");
        if let Some(waited) = waited.filter(|waited| *waited >= options.long_wait) {
            tracing::warn!(target: TARGET, key = shown(options, key), fence, waited_us = micros(waited), "long wait");
        }
    }
    #[cfg(not(feature = "tracing"))]
    let _ = (options, key, fence, waited);
}

#[inline]
pub(super) fn released<K>(options: &Options<K>, key: &K, fence: Fence, since: Option<Instant>) {
    #[cfg(feature = "tracing")]
    tracing::debug!(
        target: TARGET,
        key = shown(options, key),
        fence = fence.get(),
        held_us = since.map(|since| micros(since.elapsed())),
        "released"
    );
    #[cfg(not(feature = "tracing"))]
    let _ = (options, key, fence, since);
}

#[inline]
pub(super) fn rejected<K: Eq, Q: IntoKey<K>>(options: &Options<K>, sought: &mut Sought<K, Q>, busy: Busy) {
    #[cfg(feature = "tracing")]
    if tracing::enabled!(target: TARGET, tracing::Level::WARN) {
        let key = options.show_key.and_then(|_| sought.take_key());
        tracing::warn!(
            target: TARGET,
            key = key.as_ref().and_then(|key| shown(options, key)),
            holder = busy.holder.map(Fence::get),
            waiters = busy.waiters,
            "rejected"
        );
    }
    #[cfg(not(feature = "tracing"))]
    let _ = (options, sought, busy);
}
