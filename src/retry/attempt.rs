//! [`Attempt`]: which attempt of a call it is.

/// Which attempt of a call it is.
///
/// # Examples
///
/// ```
/// let policy = latchwork::RetryPolicy::new().max_attempts(1);
/// let attempt = policy.session().attempt();
/// assert_eq!((attempt.number(), attempt.is_first(), attempt.is_last()), (1, true, true));
/// assert_eq!(attempt.conflicts(), 0);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Attempt {
    pub(super) number: u32,
    pub(super) conflicts: u32,
    pub(super) is_last: bool,
}

impl Attempt {
    /// Returns its number; the first call is attempt 1.
    #[must_use]
    pub const fn number(self) -> u32 {
        self.number
    }

    /// Returns `true` if it is the first call.
    #[must_use]
    pub const fn is_first(self) -> bool {
        self.number == 1
    }

    /// Returns `true` if the policy allows no further attempt: it is the last one of
    /// [`max_attempts`](crate::RetryPolicy::max_attempts).
    ///
    /// Other attempts can be the last, too. The waits of an own [`schedule`](crate::RetryPolicy::schedule) may end, the time
    /// or the budget may be used up. That is not known before the attempt has failed.
    #[must_use]
    pub const fn is_last(self) -> bool {
        self.is_last
    }

    /// Returns how many earlier attempts of the call ended in a
    /// [conflict](crate::verdict::RetryKind::is_conflict).
    #[must_use]
    pub const fn conflicts(self) -> u32 {
        self.conflicts
    }
}
