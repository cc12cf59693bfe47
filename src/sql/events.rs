//! Tracing events of transactions. Without the feature `tracing` nothing is emitted.
//!
//! All are at the level `debug`: clients that hang up, and handlers that return an error, end transactions all the time.

use std::time::Duration;

use super::stats::Ending;
#[cfg(feature = "tracing")]
use crate::micros::micros;

/// The name for filters, which does not change when this module moves.
#[cfg(feature = "tracing")]
const TARGET: &str = "latchwork::sql";

pub(super) fn opened(scope: &'static str) {
    #[cfg(feature = "tracing")]
    tracing::debug!(target: TARGET, scope, "opened");
    #[cfg(not(feature = "tracing"))]
    let _ = scope;
}

pub(super) fn not_opened(scope: &'static str, error: &sqlx::Error) {
    #[cfg(feature = "tracing")]
    tracing::debug!(target: TARGET, scope, %error, "not opened");
    #[cfg(not(feature = "tracing"))]
    let _ = (scope, error);
}

/// Says how a transaction would have ended that was only observed.
pub(super) fn would_end(scope: &'static str, ending: Ending, open_for: Duration) {
    #[cfg(feature = "tracing")]
    tracing::debug!(target: TARGET, scope, ending = ending.name(), open_us = micros(open_for), "would have ended");
    #[cfg(not(feature = "tracing"))]
    let _ = (scope, ending, open_for);
}

pub(super) fn ended(scope: &'static str, ending: Ending, open_for: Duration) {
    #[cfg(feature = "tracing")]
    tracing::debug!(target: TARGET, scope, ending = ending.name(), open_us = micros(open_for), "ended");
    #[cfg(not(feature = "tracing"))]
    let _ = (scope, ending, open_for);
}
