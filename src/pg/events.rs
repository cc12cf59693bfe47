//! Tracing events of leases. Without the feature `tracing` nothing is emitted. A subscriber that panics must not end the task
//! that emits them.

#[cfg(feature = "tracing")]
use crate::user_code::ignore_panic;

/// The name for filters, which does not change when this module moves.
#[cfg(feature = "tracing")]
const TARGET: &str = "latchwork::pg";

pub(super) fn connected(lock: &'static str) {
    #[cfg(feature = "tracing")]
    ignore_panic(|| tracing::debug!(target: TARGET, lock, "connected"));
    #[cfg(not(feature = "tracing"))]
    let _ = lock;
}

pub(super) fn disconnected(lock: &'static str, error: &sqlx::Error) {
    #[cfg(feature = "tracing")]
    ignore_panic(|| tracing::warn!(target: TARGET, lock, %error, "connection lost"));
    #[cfg(not(feature = "tracing"))]
    let _ = (lock, error);
}

pub(super) fn shared(lock: &'static str) {
    #[cfg(feature = "tracing")]
    ignore_panic(|| tracing::warn!(target: TARGET, lock, "sessions shared by a pooler"));
    #[cfg(not(feature = "tracing"))]
    let _ = lock;
}

pub(super) fn lost(lock: &'static str, fence: u64) {
    #[cfg(feature = "tracing")]
    ignore_panic(|| tracing::warn!(target: TARGET, lock, fence, "lease lost"));
    #[cfg(not(feature = "tracing"))]
    let _ = (lock, fence);
}
