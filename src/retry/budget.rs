//! [`Budget`]: what keeps retries from adding to an outage.
//!
//! Why a budget, if attempts are limited already? When all calls fail, four attempts each are a fourfold load, at the
//! moment when the other side can bear it least. A budget that all callers share allows retries of single failures,
//! and stops them when most calls fail. The rule is that of the retry quota in the AWS SDKs: a retry has a price, a
//! retry that succeeds is refunded, and each call that succeeds at once earns a little.

use std::fmt;

use crate::sync::{AtomicUsize, Ordering};
use crate::verdict::RetryKind;

/// Prices by kind. A conflict shows that another writer made progress, so it costs nothing: a hot key does not use up
/// the tokens that are kept for outages.
const PRICES: [u32; RetryKind::ALL.len()] = {
    let mut prices = [0; RetryKind::ALL.len()];
    prices[RetryKind::Deadlock.index()] = 1;
    prices[RetryKind::Serialization.index()] = 1;
    prices[RetryKind::LockTimeout.index()] = 5;
    prices[RetryKind::Throttled.index()] = 5;
    prices[RetryKind::Transient.index()] = 5;
    prices
};

/// A bucket of tokens that retries are paid from, shared by the policies of one dependency.
///
/// Each retry costs the price of its kind; without enough tokens it is not made. The price is given back when
/// the retry succeeds, and when the call is dropped before the retry begins. A call that succeeds at the first
/// attempt adds the [`earnings`](Self::earnings). There are never more tokens than at the start.
///
/// | kind | price |
/// |---|---|
/// | version conflict, unique violation | 0 |
/// | deadlock, serialization failure | 1 |
/// | lock timeout, throttled, transient | 5 |
///
/// # Examples
///
/// ```
/// use latchwork::{RetryPolicy, retry::{Budget, StopReason}, verdict::{RetryKind, Verdict}};
///
/// static DATABASE: Budget = Budget::new(10); // two transient retries
/// let policy = RetryPolicy::new().base_delay(std::time::Duration::ZERO).budget(&DATABASE);
/// let policy = policy.classify_with(|_: &()| Verdict::Retry(RetryKind::Transient));
/// let error = policy.run_blocking(|_| Err::<(), _>(())).unwrap_err();
/// assert_eq!((error.reason, error.attempts), (StopReason::BudgetExhausted, 3));
/// assert_eq!(DATABASE.tokens(), 0);
///
/// static SLOW: Budget = Budget::new(100).price(RetryKind::Transient, 50).earnings(2);
/// assert_eq!((SLOW.capacity(), SLOW.price_of(RetryKind::Transient)), (100, 50));
/// ```
pub struct Budget {
    tokens: AtomicUsize,
    capacity: u32,
    earnings: u32,
    prices: [u32; RetryKind::ALL.len()],
}

impl Budget {
    /// Creates a full bucket of `capacity` tokens.
    #[cfg(not(latchwork_loom))]
    #[must_use]
    pub const fn new(capacity: u32) -> Self {
        Self { tokens: AtomicUsize::new(capacity as usize), capacity, earnings: 1, prices: PRICES }
    }

    /// Creates a full bucket of `capacity` tokens; in models it can't be made in a `const`.
    #[cfg(latchwork_loom)]
    #[must_use]
    pub fn new(capacity: u32) -> Self {
        Self { tokens: AtomicUsize::new(capacity as usize), capacity, earnings: 1, prices: PRICES }
    }

    /// Sets the price of a retry of this kind, in place of the table's.
    #[must_use]
    pub const fn price(mut self, kind: RetryKind, tokens: u32) -> Self {
        self.prices[kind.index()] = tokens;
        self
    }

    /// Sets how many tokens a call adds that succeeds at the first attempt. 1 by default: five such calls pay for
    /// one transient retry that fails.
    #[must_use]
    pub const fn earnings(mut self, tokens: u32) -> Self {
        self.earnings = tokens;
        self
    }

    /// Returns the price of a retry of this kind.
    #[must_use]
    pub const fn price_of(&self, kind: RetryKind) -> u32 {
        self.prices[kind.index()]
    }

    /// Returns how many tokens are left.
    #[must_use]
    pub fn tokens(&self) -> u32 {
        self.tokens.load(Ordering::Relaxed) as u32
    }

    /// Returns how many tokens there can be.
    #[must_use]
    pub const fn capacity(&self) -> u32 {
        self.capacity
    }

    /// Takes the price of a retry; `None` without enough tokens.
    pub(super) fn pay(&self, kind: RetryKind) -> Option<u32> {
        let price = self.price_of(kind);
        let take = |tokens: usize| tokens.checked_sub(price as usize);
        // Tokens guard no other memory, so no ordering is needed beyond their own.
        let paid = price == 0 || self.tokens.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_ok();
        paid.then_some(price)
    }

    /// Gives tokens back, or adds some.
    pub(super) fn put(&self, tokens: u32) {
        let full = self.capacity as usize;
        let add = |there: usize| (there < full).then(|| there.saturating_add(tokens as usize).min(full));
        if tokens > 0 {
            // A full bucket stays as it is, and is not written to.
            let _ = self.tokens.fetch_update(Ordering::Relaxed, Ordering::Relaxed, add);
        }
    }

    pub(super) fn earn(&self) {
        self.put(self.earnings);
    }
}

impl fmt::Debug for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Budget")
            .field("tokens", &self.tokens())
            .field("capacity", &self.capacity)
            .field("earnings", &self.earnings)
            .finish_non_exhaustive()
    }
}
