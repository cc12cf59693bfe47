//! Tracing events of leases. Without the feature `tracing` nothing is emitted. A subscriber that panics must not end the task
//! that emits them.

#[cfg(feature = "tracing")]
use crate::user_code::ignore_panic;

/// The name for filters, which does not change when this module moves.
#[cfg(feature = "tracing")]
const TARGET: &str = "latchwork::pg";

pub(super) fn connected(locks: &'static str) {
    #[cfg(feature = "tracing")]
    ignore_panic(|| tracing::debug!(target: TARGET, locks, "connected"));
    #[cfg(not(feature = "tracing"))]
    let _ = locks;
}

pub(super) fn disconnected(locks: &'static str, error: &sqlx::Error) {
    #[cfg(feature = "tracing")]
    ignore_panic(|| tracing::warn!(target: TARGET, locks, %error, "connection lost"));
    #[cfg(not(feature = "tracing"))]
    let _ = (locks, error);
}

pub(super) fn lost(locks: &'static str, fence: u64) {
    #[cfg(feature = "tracing")]
    ignore_panic(|| tracing::warn!(target: TARGET, locks, fence, "lease lost"));
    #[cfg(not(feature = "tracing"))]
    let _ = (locks, fence);
}
