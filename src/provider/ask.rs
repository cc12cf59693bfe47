//! [`Ask`]: how to request a key.

use std::time::Duration;

/// How to request a key: whether to wait, for how long, behind how many, and whether to share it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ask {
    waits: bool,
    is_shared: bool,
    max_waiters: usize,
    timeout: Option<Duration>,
}

impl Ask {
    /// Requests the key without waiting.
    #[must_use]
    pub const fn now() -> Self {
        Self { waits: false, is_shared: false, max_waiters: usize::MAX, timeout: None }
    }

    /// Waits for the key, without a limit.
    #[must_use]
    pub const fn wait() -> Self {
        Self { waits: true, ..Self::now() }
    }

    /// Waits for at most this time, then fails with [`LockError::TimedOut`](super::LockError::TimedOut).
    #[must_use]
    #[cfg(all(feature = "tokio", not(latchwork_loom)))]
    pub const fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Refuses to wait behind this number of requests or more, with [`LockError::QueueFull`](super::LockError::QueueFull).
    #[must_use]
    pub const fn max_waiters(mut self, max_waiters: usize) -> Self {
        self.max_waiters = max_waiters;
        self
    }

    /// Shares the key with other requests that share it, if the provider [can](super::LockProvider::can_share).
    #[must_use]
    pub const fn shared(mut self) -> Self {
        self.is_shared = true;
        self
    }

    /// Returns `true` if the request waits.
    #[must_use]
    pub const fn waits(&self) -> bool {
        self.waits
    }

    /// Returns `true` if the request shares the key.
    #[must_use]
    pub const fn is_shared(&self) -> bool {
        self.is_shared
    }

    /// Returns the bound on the queue; `usize::MAX` by default.
    #[must_use]
    pub const fn queue_bound(&self) -> usize {
        self.max_waiters
    }

    /// Returns the longest wait, if there is a limit.
    #[must_use]
    pub const fn time_limit(&self) -> Option<Duration> {
        self.timeout
    }
}
