//! Tracing events, emitted outside every internal lock. Without the feature `tracing` nothing is emitted.
//!
//! The guide on [logging](crate::docs::logging) has a table of them. What a client can cause at will is `debug`: a
//! warning for each refused request would let anybody flood a log.

#[cfg(feature = "tracing")]
use std::time::Duration;
use std::time::Instant;

use super::long_wait::Waited;
use super::options::Options;
use super::sought::{Sought, Terms};
use crate::error::Busy;
use crate::fence::Fence;
use crate::key::IntoKey;
#[cfg(feature = "tracing")]
use crate::micros::micros;
#[cfg(feature = "tracing")]
use crate::wait::End;

/// The name for filters, which does not change when this module moves.
#[cfg(feature = "tracing")]
const TARGET: &str = "latchwork::keyed";

/// Emits an event at the level `info` if `$loud`, and `debug` otherwise.
#[cfg(feature = "tracing")]
macro_rules! info_or_debug {
    ($loud:expr, $($fields:tt)*) => {
        if $loud {
            tracing::info!(target: TARGET, $($fields)*);
        } else {
            tracing::debug!(target: TARGET, $($fields)*);
        }
    };
}

#[cfg(feature = "tracing")]
fn shown<'a, K>(
    options: &Options<K>,
    key: &'a K,
) -> Option<tracing::field::DisplayValue<crate::provider::Shown<'a, K>>> {
    crate::provider::Shown::new(options.show_key, key).map(tracing::field::display)
}

#[inline]
pub(super) fn acquired<K>(options: &Options<K>, key: &K, fence: Fence, terms: &Terms, waited: &Waited) {
    #[cfg(feature = "tracing")]
    info_or_debug!(
        waited.was_reported,
        lock = options.name,
        key = shown(options, key),
        fence = fence.get(),
        waited_us = terms.waited().or_else(|| waited.elapsed()).map(micros),
        "acquired"
    );
    #[cfg(not(feature = "tracing"))]
    let _ = (options, key, fence, terms, waited);
}

#[inline]
pub(super) fn released<K>(options: &Options<K>, key: &K, fence: Fence, since: Option<Instant>) {
    #[cfg(feature = "tracing")]
    tracing::debug!(
        target: TARGET,
        lock = options.name,
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
    if tracing::enabled!(target: TARGET, tracing::Level::DEBUG) {
        let key = options.show_key.and_then(|_| sought.take_key());
        tracing::debug!(
            target: TARGET,
            lock = options.name,
            key = key.as_ref().and_then(|key| shown(options, key)),
            holder = busy.holder.map(Fence::get),
            waiters = busy.waiters,
            "rejected"
        );
    }
    #[cfg(not(feature = "tracing"))]
    let _ = (options, sought, busy);
}

/// What is seen of a wait.
#[cfg(feature = "tracing")]
pub(super) struct Seen {
    pub(super) key: Option<String>,
    pub(super) waiters: usize,
    pub(super) holder: Option<Fence>,
}

/// Returns `true` if a subscriber wants to know of long waits. In a model no time passes.
#[cfg(feature = "tracing")]
#[inline]
pub(super) fn are_wanted() -> bool {
    !cfg!(latchwork_loom) && tracing::enabled!(target: TARGET, tracing::Level::WARN)
}

/// Returns `true` if a subscriber wants to know of the end of a wait about which there was no warning.
#[cfg(feature = "tracing")]
pub(super) fn are_ends_wanted() -> bool {
    tracing::enabled!(target: TARGET, tracing::Level::DEBUG)
}

/// A wait lasts. It is a warning if there was none for a while, during which `others` were held back.
#[cfg(feature = "tracing")]
pub(super) fn still_waiting(lock: Option<&'static str>, seen: &Seen, waited: Duration, others: Option<u64>) {
    let (key, waiters) = (seen.key.as_ref().map(tracing::field::display), seen.waiters);
    let (holder, waited_us) = (seen.holder.map(Fence::get), micros(waited));
    match others {
        Some(others) => {
            tracing::warn!(target: TARGET, lock, key, holder, waiters, waited_us, others, "still waiting");
        }
        None => tracing::debug!(target: TARGET, lock, key, holder, waiters, waited_us, "still waiting"),
    }
}

/// A wait has ended without a grant.
#[cfg(feature = "tracing")]
pub(super) fn given_up(
    lock: Option<&'static str>,
    seen: &Seen,
    waited: Duration,
    end: End,
    was_reported: bool,
) {
    let (key, waiters) = (seen.key.as_ref().map(tracing::field::display), seen.waiters);
    let (holder, waited_us) = (seen.holder.map(Fence::get), micros(waited));
    match end {
        End::TimedOut => {
            info_or_debug!(was_reported, lock, key, holder, waiters, waited_us, "timed out");
        }
        End::Cancelled => {
            info_or_debug!(was_reported, lock, key, holder, waiters, waited_us, "cancelled");
        }
    }
}
