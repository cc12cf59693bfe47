//! Tracing events of leases. Without the feature `tracing` nothing is emitted.

/// The name for filters, which does not change when this module moves.
#[cfg(feature = "tracing")]
const TARGET: &str = "latchwork::pg";

pub(super) fn connected(locks: &'static str) {
    #[cfg(feature = "tracing")]
    tracing::debug!(target: TARGET, locks, "connected");
    #[cfg(not(feature = "tracing"))]
    let _ = locks;
}

pub(super) fn disconnected(locks: &'static str, error: &sqlx::Error) {
    #[cfg(feature = "tracing")]
    tracing::warn!(target: TARGET, locks, %error, "connection lost");
    #[cfg(not(feature = "tracing"))]
    let _ = (locks, error);
}

pub(super) fn lost(locks: &'static str, fence: u64) {
    #[cfg(feature = "tracing")]
    tracing::warn!(target: TARGET, locks, fence, "lease lost");
    #[cfg(not(feature = "tracing"))]
    let _ = (locks, fence);
}
