//! What a layer counts.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// How a [`KeyedLockLayer`](super::KeyedLockLayer) treated a request. Each request is counted once; in the mode
/// [`Observe`](super::Mode::Observe) those that would have been held up are counted as what would have come of
/// them.
///
/// # Examples
///
/// ```
/// assert_eq!(latchwork::layer::Outcome::WouldBeBusy.name(), "would_be_busy");
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum Outcome {
    /// It had the key at once.
    Acquired,
    /// It had the key after a wait.
    Waited,
    /// It was refused: somebody held the key, and the layer does not wait.
    Busy,
    /// It was refused: the wait took too long.
    TimedOut,
    /// It was refused: too many waited already.
    QueueFull,
    /// It was dropped while it waited: the client hung up.
    Cancelled,
    /// It was refused: its key could not be told.
    BadKey,
    /// It went through without a lock, being about no key.
    NoKey,
    /// It went through without a lock, the layer being off.
    Off,
    /// It went through, but would have been refused as [`Busy`](Self::Busy).
    WouldBeBusy,
    /// It went through, but would have been refused as [`TimedOut`](Self::TimedOut).
    WouldTimeOut,
    /// It went through, but would have been refused as [`QueueFull`](Self::QueueFull).
    WouldQueueFull,
    /// It went through, but would have been refused as [`BadKey`](Self::BadKey).
    WouldBeBadKey,
    /// It went through, but would have waited for at least as long as it took.
    WouldWait,
}

impl Outcome {
    /// Every outcome.
    pub const ALL: [Self; 14] = [
        Self::Acquired,
        Self::Waited,
        Self::Busy,
        Self::TimedOut,
        Self::QueueFull,
        Self::Cancelled,
        Self::BadKey,
        Self::NoKey,
        Self::Off,
        Self::WouldBeBusy,
        Self::WouldTimeOut,
        Self::WouldQueueFull,
        Self::WouldBeBadKey,
        Self::WouldWait,
    ];

    /// Its name in metrics and spans.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Acquired => "acquired",
            Self::Waited => "waited",
            Self::Busy => "busy",
            Self::TimedOut => "timed_out",
            Self::QueueFull => "queue_full",
            Self::Cancelled => "cancelled",
            Self::BadKey => "bad_key",
            Self::NoKey => "no_key",
            Self::Off => "off",
            Self::WouldBeBusy => "would_be_busy",
            Self::WouldTimeOut => "would_time_out",
            Self::WouldQueueFull => "would_queue_full",
            Self::WouldBeBadKey => "would_be_bad_key",
            Self::WouldWait => "would_wait",
        }
    }

    /// Whether it is about a request that went through and would have been held up.
    ///
    /// # Examples
    ///
    /// ```
    /// use latchwork::layer::Outcome;
    ///
    /// assert!(Outcome::WouldBeBusy.is_observed() && !Outcome::Busy.is_observed());
    /// ```
    #[must_use]
    pub const fn is_observed(self) -> bool {
        matches!(
            self,
            Self::WouldBeBusy
                | Self::WouldTimeOut
                | Self::WouldQueueFull
                | Self::WouldBeBadKey
                | Self::WouldWait
        )
    }

    /// What a refusal is counted as where nobody is refused.
    pub(super) const fn observed(self) -> Self {
        match self {
            Self::Busy => Self::WouldBeBusy,
            Self::TimedOut => Self::WouldTimeOut,
            Self::QueueFull => Self::WouldQueueFull,
            Self::BadKey => Self::WouldBeBadKey,
            other => other,
        }
    }
}

/// The counters of a [`KeyedLockLayer`](super::KeyedLockLayer), shared by its clones and all services that it was
/// put around. They are read one after the other, while requests go on.
///
/// # Examples
///
/// ```
/// use axum::http::request::Parts;
/// use latchwork::layer::{KeyedLockLayer, Outcome};
/// use std::sync::Arc;
///
/// let locks = Arc::new(latchwork::KeyedLock::<String>::new());
/// let layer = KeyedLockLayer::new(locks.clone(), |parts: &Parts| Some(parts.uri.path().to_owned()));
/// let counts = layer.counts();
/// assert_eq!((counts.of(Outcome::Acquired), counts.requests()), (0, 0));
/// ```
#[derive(Clone, Default)]
pub struct LayerCounts(Arc<[AtomicU64; Outcome::ALL.len()]>);

impl LayerCounts {
    /// How many requests were treated so.
    #[must_use]
    pub fn of(&self, outcome: Outcome) -> u64 {
        self.0[outcome as usize].load(Ordering::Relaxed)
    }

    /// How many requests have been treated in some way. Those that wait now have not.
    #[must_use]
    pub fn requests(&self) -> u64 {
        Outcome::ALL.into_iter().map(|outcome| self.of(outcome)).sum()
    }

    #[inline]
    pub(super) fn add(&self, outcome: Outcome) {
        self.0[outcome as usize].fetch_add(1, Ordering::Relaxed);
    }
}

impl fmt::Debug for LayerCounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(Outcome::ALL.map(|outcome| (outcome.name(), self.of(outcome)))).finish()
    }
}
