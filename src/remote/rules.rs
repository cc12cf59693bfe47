//! [`Rules`]: how long things last.

use std::time::Duration;

/// How long leases and pauses last, and how much one process may keep to itself.
#[derive(Clone, Debug)]
pub(crate) struct Rules {
    /// How long a grant lasts if it is not renewed.
    pub(crate) lease: Duration,
    /// The pause after the first busy answer. It doubles with each further one.
    pub(crate) interval: Duration,
    /// The longest pause between two looks at a key, if the interval is not longer.
    pub(crate) longest_pause: Duration,
    /// How often in a row a key is passed to the next local request while another process waits for it.
    pub(crate) passes: u32,
    /// How long a request that does not wait stays unanswered without a connection.
    pub(crate) patience: Duration,
    /// The most keys in a batch. The others are in the next ones.
    pub(crate) batch: usize,
}

impl Rules {
    /// The age at which a grant is renewed. Two more tries fit into the rest of the lease.
    pub(super) fn renew_after(&self) -> Duration {
        self.lease / 3
    }

    /// Renewals that are due this soon go along with a batch.
    pub(super) fn renew_early(&self) -> Duration {
        self.lease / 6
    }

    /// Polls that are due this soon go along with a batch. So all keys of a process are polled together, at most once in an
    /// interval. Pauses are rarely shorter than this, so most batches do not poll a key again.
    pub(super) fn poll_early(&self) -> Duration {
        self.interval
    }

    /// The most keys in a batch. It must be answered well before a lease ends, and a key can take a tenth of a millisecond.
    pub(super) fn greatest_batch(&self) -> usize {
        let millis = usize::try_from(self.lease.as_millis()).unwrap_or(usize::MAX);
        self.batch.min(millis).max(1)
    }

    /// How long a released grant waits for the next local request. It is short, as nobody uses the key meanwhile.
    pub(super) fn window(&self) -> Duration {
        self.interval.min(self.lease / 8)
    }

    /// The pause after the busy answer number `busy` in a row, if the lease of the key's holder ends in `rest`.
    ///
    /// Processes that were refused together must not come back together. So each draws its pause.
    pub(super) fn pause(&self, busy: u32, rest: Duration, random: &mut fastrand::Rng) -> Duration {
        let doubled = self.interval.saturating_mul(1 << busy.saturating_sub(1).min(20));
        let spread =
            doubled.min(self.longest_pause.mul_f64(0.8)).max(self.interval).mul_f64(1.0 + random.f64() / 4.0);
        // Never at once: the key of a lease that has ended can be locked by a transaction that verifies it.
        let at_its_end = rest.saturating_add(self.interval.mul_f64(0.375 + random.f64() / 4.0));
        spread.min(at_its_end)
    }
}
