//! What is reported to an observer of times, outside every internal lock.

use std::time::Duration;

use crate::user_code::in_destructor;

/// A time that a table has measured; see
/// [`KeyedBuilder::observe_times`](super::KeyedBuilder::observe_times).
///
/// # Examples
///
/// ```
/// use std::sync::atomic::{AtomicU64, Ordering};
/// use latchwork::{KeyedLock, keyed::Timing};
///
/// static HOLDS: AtomicU64 = AtomicU64::new(0);
/// let locks: KeyedLock<u32> = KeyedLock::builder()
///     .observe_times(|timing| {
///         HOLDS.fetch_add(u64::from(matches!(timing, Timing::Held(_))), Ordering::Relaxed);
///     })
///     .build();
/// drop(locks.lock(7).wait());
/// assert_eq!(HOLDS.load(Ordering::Relaxed), 1);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Timing {
    /// A grant came after this time in the queue. Grants that did not queue are not reported.
    Waited(Duration),
    /// A grant was given back after this time.
    Held(Duration),
}

/// The function that the times are reported to.
pub(crate) type Observer = dyn Fn(Timing) + Send + Sync;

/// Makes an observer for the lock of this name.
pub(crate) type MakeObserver = Box<dyn FnOnce(Option<&'static str>) -> Box<Observer> + Send + Sync>;

/// Calls the observer. Not inlined, as most tables have none.
#[inline(never)]
pub(super) fn report(observer: &Observer, timing: Timing) {
    in_destructor(|| observer(timing));
}
