//! What is told of a retry before it is waited for.

use std::time::Duration;

use crate::verdict::RetryKind;

/// An attempt has failed, and another one will be made after a wait.
///
/// # Examples
///
/// ```
/// use std::sync::atomic::{AtomicU32, Ordering};
/// use latchwork::{RetryPolicy, retry::VirtualClock, verdict::{RetryKind, Verdict}};
///
/// static RETRIES: AtomicU32 = AtomicU32::new(0);
/// let policy = RetryPolicy::new().clock(VirtualClock::new()).on_retry(|retry| {
///     assert_eq!(retry.kind, RetryKind::Transient);
///     RETRIES.fetch_add(1, Ordering::Relaxed);
/// });
/// let policy = policy.classify_with(|_: &()| Verdict::Retry(RetryKind::Transient));
/// assert!(policy.run_blocking(|_| Err::<(), _>(())).is_err());
/// assert_eq!(RETRIES.load(Ordering::Relaxed), 3); // four attempts, and nothing after the last
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Retrying {
    /// The policy's name.
    pub name: &'static str,
    /// The attempt that failed; the first call is 1.
    pub attempt: u32,
    /// Why another one may succeed.
    pub kind: RetryKind,
    /// How long it waits before it.
    pub wait: Duration,
}

/// What a policy calls before each wait.
pub(super) type Observer = dyn Fn(&Retrying) + Send + Sync;

pub(super) fn report(observer: Option<&Observer>, retrying: &Retrying) {
    #[cfg(feature = "tracing")]
    tracing::debug!(
        name = retrying.name,
        attempt = retrying.attempt,
        kind = ?retrying.kind,
        wait_us = retrying.wait.as_micros() as u64,
        "retrying"
    );
    if let Some(observer) = observer {
        observer(retrying);
    }
}
