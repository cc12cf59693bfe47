//! [`Budget`]: what keeps retries from adding to an outage.
//!
//! Why a budget, if attempts are limited already? When all calls fail, four attempts each are a fourfold load, at the
//! moment when the other side can bear it least. A budget that all callers share allows retries of single failures,
//! and stops most of them when most calls fail.
//!
//! The prices are those of the retry quota in the AWS SDKs since November 2026 ("Retry behavior" in the AWS SDKs and
//! Tools Reference Guide): 14 tokens for a retry, 5 after throttling, a refund for a retry that succeeds, and 1
//! token for a call that succeeds at once. Time refills the bucket as well, as in the budgets of Finagle and Linkerd.
//! Without that, a service whose first attempts always fail would never retry again.
//!
//! # One number
//!
//! The bucket is kept as the time at which it will be full again (the "virtual scheduling" form of a leaky bucket, ITU-T
//! I.371). A payment moves this time into the future, a refund moves it back, and the clock does the rest. So
//! nobody has to add the tokens of the time that has passed, and none can be added twice.

use std::fmt;
use std::sync::OnceLock;
use std::time::Instant;

use super::too_dear::TooDear;
use crate::sync::{AtomicU64, Ordering};
use crate::verdict::RetryKind;

/// Prices by kind. A conflict shows that another writer made progress, so it costs nothing: a hot key does not use up
/// the tokens that are kept for outages.
const PRICES: [u32; RetryKind::ALL.len()] = {
    let mut prices = [0; RetryKind::ALL.len()];
    prices[RetryKind::Deadlock.index()] = 1;
    prices[RetryKind::Serialization.index()] = 1;
    prices[RetryKind::LockTimeout.index()] = 14;
    prices[RetryKind::Throttled.index()] = 5;
    prices[RetryKind::Transient.index()] = 14;
    prices
};

const NANOS: u32 = 1_000_000_000;

/// A bucket of tokens that retries are paid from, shared by the policies of one dependency.
///
/// Each retry costs the price of its kind; without enough tokens it is not made. The price is given back when
/// the retry succeeds, and when the call is dropped before the retry begins. A call that succeeds at the first
/// attempt adds the [`earnings`](Self::earnings). Time adds tokens, too: see
/// [`refill_per_second`](Self::refill_per_second). There are never more tokens than at the start.
///
/// | kind | price |
/// |---|---|
/// | version conflict, unique violation | 0 |
/// | deadlock, serialization failure | 1 |
/// | throttled | 5 |
/// | lock timeout, transient | 14 |
///
/// Prices, earnings and refunds follow the retry quota of the AWS SDKs since November 2026. Their quota has 500 tokens, and
/// no refill by time. Conflicts have prices of their own here: another writer made progress, so there is no outage.
///
/// A budget must be able to pay for each kind that a policy retries. A policy panics when it gets one that can't: see
/// [`RetryPolicy::budget`](crate::RetryPolicy::budget). For a policy in a `static` it is an error of the compiler:
///
/// ```compile_fail,E0080
/// # use latchwork::{RetryPolicy, retry::Budget};
/// static SMALL: Budget = Budget::new(10); // a transient retry costs 14
/// static POLICY: RetryPolicy = RetryPolicy::new().static_budget(&SMALL);
/// ```
///
/// # Examples
///
/// ```
/// use latchwork::{RetryPolicy, retry::{Budget, StopReason}, verdict::{RetryKind, Verdict}};
///
/// static DATABASE: Budget = Budget::new(28); // two transient retries
/// let policy = RetryPolicy::new().base_delay(std::time::Duration::ZERO).budget(&DATABASE);
/// let policy = policy.classify_with(|_: &()| Verdict::Retry(RetryKind::Transient));
/// let error = policy.run_blocking(|_| Err::<(), _>(())).unwrap_err();
/// assert_eq!((error.reason, error.attempts), (StopReason::BudgetExhausted, 3));
/// assert_eq!(DATABASE.tokens(), 0);
///
/// static SLOW: Budget = Budget::new(100).price(RetryKind::Transient, 50).earnings(2).refill_per_second(5);
/// assert_eq!((SLOW.capacity(), SLOW.price_of(RetryKind::Transient)), (100, 50));
/// ```
pub struct Budget {
    /// The time at which the bucket is full, in nanoseconds since `epoch`. A time that has passed means a full bucket.
    full_at: AtomicU64,
    /// The latest time that a policy brought along. Refunds and earnings go by it, so that they read no clock.
    seen: AtomicU64,
    /// When the first retry was paid.
    epoch: OnceLock<Instant>,
    capacity: u32,
    earnings: u32,
    /// How long a token takes to come back, in nanoseconds. `None` if time brings none.
    refill: Option<u64>,
    prices: [u32; RetryKind::ALL.len()],
}

impl Budget {
    /// Creates a full bucket of `capacity` tokens.
    #[cfg(not(latchwork_loom))]
    #[must_use]
    pub const fn new(capacity: u32) -> Self {
        Self::with(capacity, AtomicU64::new(0), AtomicU64::new(0))
    }

    /// Creates a full bucket of `capacity` tokens; in models it can't be made in a `const`.
    #[cfg(latchwork_loom)]
    #[must_use]
    pub fn new(capacity: u32) -> Self {
        Self::with(capacity, AtomicU64::new(0), AtomicU64::new(0))
    }

    const fn with(capacity: u32, full_at: AtomicU64, seen: AtomicU64) -> Self {
        let epoch = OnceLock::new();
        let refill = Some(NANOS as u64 / PRICES[RetryKind::Transient.index()] as u64);
        Self { full_at, seen, epoch, capacity, earnings: 1, refill, prices: PRICES }
    }

    /// Sets the price of a retry of this kind, in place of the table's.
    #[must_use]
    pub const fn price(mut self, kind: RetryKind, tokens: u32) -> Self {
        self.prices[kind.index()] = tokens;
        self
    }

    /// Sets how many tokens a call adds that succeeds at the first attempt. 1 by default: fourteen such calls pay
    /// for one transient retry that fails.
    #[must_use]
    pub const fn earnings(mut self, tokens: u32) -> Self {
        self.earnings = tokens;
        self
    }

    /// Sets how many tokens come back each second. 14 by default: at the default price, one transient retry a second,
    /// whatever fails.
    ///
    /// This is the least rate of retries in a long outage. The policy's clock counts the time. With 0 only calls
    /// that succeed bring tokens.
    ///
    /// A token takes a whole number of nanoseconds to come back, rounded down. Up to a million tokens a second the rate is
    /// exact within a thousandth. Above that it can be higher: 300 000 000 are 333 333 333.
    ///
    /// # Panics
    ///
    /// Panics with more than a billion.
    #[must_use]
    pub const fn refill_per_second(mut self, tokens: u32) -> Self {
        assert!(tokens <= NANOS, "a budget's refill must be at most a billion tokens per second");
        self.refill = match tokens {
            0 => None,
            _ => Some((NANOS / tokens) as u64),
        };
        self
    }

    /// Returns the price of a retry of this kind.
    #[must_use]
    pub const fn price_of(&self, kind: RetryKind) -> u32 {
        self.prices[kind.index()]
    }

    /// Returns how many tokens were left when a policy last used the budget.
    #[must_use]
    pub fn tokens(&self) -> u32 {
        self.tokens_when(self.seen.load(Ordering::Relaxed))
    }

    /// Returns how many tokens are left at this time, those that came back since a policy last used the budget included.
    #[must_use]
    pub fn tokens_at(&self, now: Instant) -> u32 {
        let since = self.epoch.get().map_or(0, |epoch| self.since(*epoch, now));
        self.tokens_when(since.max(self.seen.load(Ordering::Relaxed)))
    }

    /// Returns how many tokens there can be.
    #[must_use]
    pub const fn capacity(&self) -> u32 {
        self.capacity
    }

    /// Returns the kinds whose price is higher than the bucket can ever pay.
    pub(super) const fn too_dear(&self) -> TooDear {
        let mut too_dear = TooDear { capacity: self.capacity, ..TooDear::NONE };
        let mut kind = 0;
        while kind < self.prices.len() {
            if self.prices[kind] > self.capacity {
                too_dear.prices[kind] = Some(self.prices[kind]);
            }
            kind += 1;
        }
        too_dear
    }

    /// Takes the price of a retry; `None` without enough tokens. Asks for the time only if it matters.
    pub(super) fn pay(&self, kind: RetryKind, now: impl FnOnce() -> Instant) -> Option<u32> {
        let price = self.price_of(kind);
        if price == 0 {
            return Some(0);
        }
        let now = self.see(now);
        let latest = now.saturating_add(self.time_of(self.capacity));
        let take = |full_at: u64| {
            // A time that has passed counts as now: a full bucket does not fill on.
            let later = full_at.max(now).saturating_add(self.time_of(price));
            (later <= latest).then_some(later)
        };
        // The number guards no other memory, so no ordering is needed beyond its own.
        let paid = self.full_at.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take);
        paid.is_ok().then_some(price)
    }

    /// Gives tokens back, or adds some.
    pub(super) fn put(&self, tokens: u32) {
        let seen = self.seen.load(Ordering::Relaxed);
        let earlier = |full_at: u64| (full_at > seen).then(|| full_at.saturating_sub(self.time_of(tokens)));
        if tokens > 0 {
            // A full bucket stays as it is, and is not written to.
            let _ = self.full_at.fetch_update(Ordering::Relaxed, Ordering::Relaxed, earlier);
        }
    }

    pub(super) fn earn(&self) {
        self.put(self.earnings);
    }

    /// Returns the time for a payment. It never goes back, even if policies with several clocks share the budget.
    fn see(&self, now: impl FnOnce() -> Instant) -> u64 {
        if self.refill.is_none() {
            return 0;
        }
        let now = now();
        let since = self.since(*self.epoch.get_or_init(|| now), now);
        self.seen.fetch_max(since, Ordering::Relaxed).max(since)
    }

    /// Saturates after 584 years.
    fn since(&self, epoch: Instant, now: Instant) -> u64 {
        match self.refill {
            Some(_) => now.saturating_duration_since(epoch).as_nanos().try_into().unwrap_or(u64::MAX),
            None => 0,
        }
    }

    /// Returns how long this many tokens take to come back. Without a refill a token counts as a nanosecond of a clock
    /// that stands still.
    fn time_of(&self, tokens: u32) -> u64 {
        u64::from(tokens) * self.refill.unwrap_or(1)
    }

    fn tokens_when(&self, now: u64) -> u32 {
        let missing = self.full_at.load(Ordering::Relaxed).saturating_sub(now);
        let missing = missing.div_ceil(self.refill.unwrap_or(1));
        self.capacity.saturating_sub(missing.try_into().unwrap_or(u32::MAX))
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
