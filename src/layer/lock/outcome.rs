//! [`Outcome`]: how a layer treated a request.

/// How a [`KeyedLockLayer`](super::KeyedLockLayer) treated a request.
///
/// Each request is counted once. In the mode [`Observe`](crate::mode::Mode::Observe) a request that would have waited or been
/// refused counts under the names that begin with `Would`.
///
/// # Examples
///
/// ```
/// use latchwork::layer::Outcome;
///
/// assert_eq!(Outcome::WouldBeBusy.name(), "would_be_busy");
/// assert!(Outcome::WouldBeBusy.is_observed() && !Outcome::Busy.is_observed());
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum Outcome {
    /// The request got its key at once.
    Acquired,
    /// The request got its key after a wait. With a remote provider, each grant of a layer that waits counts so: the
    /// layer can't tell the wait from the way to the provider.
    Waited,
    /// Refused: the key was busy, and the layer does not wait.
    Busy,
    /// Refused: the wait took too long.
    TimedOut,
    /// Refused: too many requests were waiting already.
    QueueFull,
    /// Refused: too many requests were running already.
    Overloaded,
    /// Refused: the lock was lost while the answer was on its way, or while the service ran and the layer
    /// [aborts](super::OnLost::Abort).
    Lost,
    /// Refused: the lock provider could not be reached.
    Unavailable,
    /// The request was dropped while it waited: the client hung up.
    Cancelled,
    /// Refused: the request has no valid key, or the lock provider can't lock it.
    BadKey,
    /// Passed without a lock: the request has no key.
    NoKey,
    /// Passed without a lock: the layer was off.
    Off,
    /// Passed, but would have been refused as [`Busy`](Self::Busy).
    WouldBeBusy,
    /// Passed, but would have been refused as [`TimedOut`](Self::TimedOut).
    WouldTimeOut,
    /// Passed, but would have been refused as [`QueueFull`](Self::QueueFull).
    WouldQueueFull,
    /// Passed, but would have been refused as [`Overloaded`](Self::Overloaded).
    WouldBeOverloaded,
    /// Passed, but would have been refused as [`Lost`](Self::Lost).
    WouldBeLost,
    /// Passed, but would have been refused as [`Unavailable`](Self::Unavailable).
    WouldBeUnavailable,
    /// Passed, but would have been refused as [`BadKey`](Self::BadKey).
    WouldBeBadKey,
    /// Passed, but would have waited for its key.
    WouldWait,
    /// Passed without a lock: a request that would not have waited was over before the lock provider answered.
    Unanswered,
}

impl Outcome {
    /// Every outcome.
    pub const ALL: &'static [Self] = &[
        Self::Acquired,
        Self::Waited,
        Self::Busy,
        Self::TimedOut,
        Self::QueueFull,
        Self::Overloaded,
        Self::Lost,
        Self::Unavailable,
        Self::Cancelled,
        Self::BadKey,
        Self::NoKey,
        Self::Off,
        Self::WouldBeBusy,
        Self::WouldTimeOut,
        Self::WouldQueueFull,
        Self::WouldBeOverloaded,
        Self::WouldBeLost,
        Self::WouldBeUnavailable,
        Self::WouldBeBadKey,
        Self::WouldWait,
        Self::Unanswered,
    ];

    /// Returns the name in metrics and spans.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Acquired => "acquired",
            Self::Waited => "waited",
            Self::Busy => "busy",
            Self::TimedOut => "timed_out",
            Self::QueueFull => "queue_full",
            Self::Overloaded => "overloaded",
            Self::Lost => "lost",
            Self::Unavailable => "unavailable",
            Self::Cancelled => "cancelled",
            Self::BadKey => "bad_key",
            Self::NoKey => "no_key",
            Self::Off => "off",
            Self::WouldBeBusy => "would_be_busy",
            Self::WouldTimeOut => "would_time_out",
            Self::WouldQueueFull => "would_queue_full",
            Self::WouldBeOverloaded => "would_be_overloaded",
            Self::WouldBeLost => "would_be_lost",
            Self::WouldBeUnavailable => "would_be_unavailable",
            Self::WouldBeBadKey => "would_be_bad_key",
            Self::WouldWait => "would_wait",
            Self::Unanswered => "unanswered",
        }
    }

    /// Returns `true` if the request passed, but would have waited or been refused.
    #[must_use]
    pub const fn is_observed(self) -> bool {
        matches!(
            self,
            Self::WouldBeBusy
                | Self::WouldTimeOut
                | Self::WouldQueueFull
                | Self::WouldBeOverloaded
                | Self::WouldBeLost
                | Self::WouldBeUnavailable
                | Self::WouldBeBadKey
                | Self::WouldWait
        )
    }

    /// Returns what a refusal counts as in a mode that refuses nothing.
    pub(super) const fn observed(self) -> Self {
        match self {
            Self::Busy => Self::WouldBeBusy,
            Self::TimedOut => Self::WouldTimeOut,
            Self::QueueFull => Self::WouldQueueFull,
            Self::Overloaded => Self::WouldBeOverloaded,
            Self::Lost => Self::WouldBeLost,
            Self::Unavailable => Self::WouldBeUnavailable,
            Self::BadKey => Self::WouldBeBadKey,
            Self::Waited => Self::WouldWait,
            other => other,
        }
    }
}
