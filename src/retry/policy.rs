//! [`RetryPolicy`]: how often, how long, and for which errors attempts are made again. What it is for is in
//! [`run`](super::run) and [`conflict`](super::conflict).

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use parking_lot::Mutex;

use super::backoff::{Backoff, Jitter};
use super::budget::Budget;
use super::classify::ByTrait;
use super::clock::{Clock, SystemClock};
use super::observe::{Observer, Retrying};
use super::shared::Shared;
use super::stats::RetryStats;
use crate::verdict::{RetryKind, Verdict};

/// How often, how long, and for which errors attempts are made again.
///
/// By default there are four attempts, the first call included, with waits of 100, 200 and 400 ms that
/// are [fully spread](Jitter::Full), for every [`RetryKind`] but unique violations. What an error means is said by
/// its [`Classify`](crate::verdict::Classify), or by a function given to [`classify_with`](Self::classify_with).
///
/// A policy holds no state of a call: keep one, and share it; it can be a `static`. A success at the first
/// attempt reads no clock (with a [`deadline`](Self::deadline), once), draws no random number and
/// allocates nothing.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use latchwork::{Busy, Mutex, RetryPolicy};
///
/// static TAKE: RetryPolicy = RetryPolicy::new().max_attempts(2).base_delay(Duration::ZERO).name("take");
///
/// let stock = Mutex::new(3);
/// let mut guard = TAKE.run_blocking(|_attempt| stock.try_lock())?;
/// *guard -= 1;
/// let busy = TAKE.run_blocking(|_attempt| stock.try_lock()).unwrap_err();
/// assert_eq!(busy.to_string(), "take: gave up at attempt 2: attempts exhausted");
/// # Ok::<(), latchwork::retry::RetryError<Busy>>(())
/// ```
#[derive(Clone)]
pub struct RetryPolicy<C = ByTrait> {
    backoff: Backoff,
    pub(super) max_attempts: u32,
    pub(super) deadline: Option<Duration>,
    /// By `RetryKind::index`.
    retried: [bool; RetryKind::ALL.len()],
    pub(super) name: &'static str,
    pub(super) budget: Option<Shared<Budget>>,
    pub(super) stats: Option<Shared<RetryStats>>,
    observer: Option<Arc<Observer>>,
    clock: Option<Arc<dyn Clock>>,
    /// Where the generators of its calls come from, if they are to be had again.
    seeded: Option<Arc<Mutex<Rng>>>,
    pub(super) classifier: C,
}

impl RetryPolicy {
    /// The default policy.
    #[must_use]
    pub const fn new() -> Self {
        let mut retried = [true; RetryKind::ALL.len()];
        retried[RetryKind::UniqueViolation.index()] = false;
        Self {
            backoff: Backoff::new(),
            max_attempts: 4,
            deadline: None,
            retried,
            name: "retry",
            budget: None,
            stats: None,
            observer: None,
            clock: None,
            seeded: None,
            classifier: ByTrait,
        }
    }
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self::new()
    }
}

impl<C> RetryPolicy<C> {
    /// How many attempts are made at most; the first call is one of them. 4 by default.
    ///
    /// # Panics
    ///
    /// With 0: the first call always runs.
    ///
    /// # Examples
    ///
    /// ```
    /// use latchwork::{RetryPolicy, retry::{Jitter, VirtualClock}, verdict::{RetryKind, Verdict}};
    /// use std::time::Duration;
    ///
    /// let clock = VirtualClock::new();
    /// let policy = RetryPolicy::new().jitter(Jitter::None).max_attempts(3).clock(clock.clone());
    /// let policy = policy.classify_with(|_: &()| Verdict::Retry(RetryKind::Transient));
    /// assert!(policy.run_blocking(|_| Err::<(), _>(())).is_err());
    /// assert_eq!(clock.waits(), [100, 200].map(Duration::from_millis));
    /// ```
    #[must_use]
    pub const fn max_attempts(mut self, attempts: u32) -> Self {
        assert!(attempts > 0, "max_attempts must be at least 1: the first call is an attempt");
        self.max_attempts = attempts;
        self
    }

    /// The wait before the first retry, before it is spread. 100 ms by default.
    ///
    /// # Examples
    ///
    /// ```
    /// use latchwork::{RetryPolicy, retry::{Jitter, VirtualClock}, verdict::{RetryKind, Verdict}};
    /// use std::time::Duration;
    ///
    /// let clock = VirtualClock::new();
    /// let policy = RetryPolicy::new().jitter(Jitter::None).base_delay(Duration::from_millis(7)).clock(clock.clone());
    /// let policy = policy.classify_with(|_: &()| Verdict::Retry(RetryKind::Transient));
    /// assert!(policy.run_blocking(|_| Err::<(), _>(())).is_err());
    /// assert_eq!(clock.waits(), [7, 14, 28].map(Duration::from_millis));
    /// ```
    #[must_use]
    pub const fn base_delay(mut self, delay: Duration) -> Self {
        self.backoff = self.backoff.base_delay(delay);
        self
    }

    /// The longest wait, unless an error asks for a longer one. 5 s by default.
    ///
    /// # Examples
    ///
    /// ```
    /// use latchwork::{RetryPolicy, retry::{Jitter, VirtualClock}, verdict::{RetryKind, Verdict}};
    /// use std::time::Duration;
    ///
    /// let clock = VirtualClock::new();
    /// let policy = RetryPolicy::new().jitter(Jitter::None).max_delay(Duration::from_millis(150)).clock(clock.clone());
    /// let policy = policy.classify_with(|_: &()| Verdict::Retry(RetryKind::Transient));
    /// assert!(policy.run_blocking(|_| Err::<(), _>(())).is_err());
    /// assert_eq!(clock.waits(), [100, 150, 150].map(Duration::from_millis));
    /// ```
    #[must_use]
    pub const fn max_delay(mut self, delay: Duration) -> Self {
        self.backoff = self.backoff.max_delay(delay);
        self
    }

    /// How many times the wait before each wait is. 2 by default.
    ///
    /// # Panics
    ///
    /// With 0.
    ///
    /// # Examples
    ///
    /// ```
    /// use latchwork::{RetryPolicy, retry::{Jitter, VirtualClock}, verdict::{RetryKind, Verdict}};
    /// use std::time::Duration;
    ///
    /// let clock = VirtualClock::new();
    /// let policy = RetryPolicy::new().jitter(Jitter::None).multiplier(1).clock(clock.clone());
    /// let policy = policy.classify_with(|_: &()| Verdict::Retry(RetryKind::Transient));
    /// assert!(policy.run_blocking(|_| Err::<(), _>(())).is_err());
    /// assert_eq!(clock.waits(), [100, 100, 100].map(Duration::from_millis));
    /// ```
    #[must_use]
    pub const fn multiplier(mut self, multiplier: u32) -> Self {
        self.backoff = self.backoff.multiplier(multiplier);
        self
    }

    /// How waits are spread. [`Jitter::Full`] by default.
    ///
    /// # Examples
    ///
    /// ```
    /// use latchwork::{RetryPolicy, retry::{Jitter, VirtualClock}, verdict::{RetryKind, Verdict}};
    /// use std::time::Duration;
    ///
    /// let clock = VirtualClock::new();
    /// let policy = RetryPolicy::new().jitter(Jitter::None).clock(clock.clone());
    /// let policy = policy.classify_with(|_: &()| Verdict::Retry(RetryKind::Transient));
    /// assert!(policy.run_blocking(|_| Err::<(), _>(())).is_err());
    /// assert_eq!(clock.waits(), [100, 200, 400].map(Duration::from_millis));
    /// ```
    #[must_use]
    pub const fn jitter(mut self, jitter: Jitter) -> Self {
        self.backoff = self.backoff.jitter(jitter);
        self
    }

    /// The time from the first call on after which no wait may end: one that would is not begun. An attempt
    /// that is under way is not cut short, and its success counts. None by default.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use latchwork::{RetryPolicy, retry::{Jitter, StopReason, VirtualClock}, verdict::{RetryKind, Verdict}};
    ///
    /// let ms = Duration::from_millis;
    /// let policy = RetryPolicy::new().jitter(Jitter::None).deadline(ms(250)).clock(VirtualClock::new());
    /// let policy = policy.classify_with(|_: &()| Verdict::Retry(RetryKind::Transient));
    /// let error = policy.run_blocking(|_| Err::<(), _>(())).unwrap_err(); // waits 100 ms, then 200 are due
    /// assert_eq!(error.reason, StopReason::DeadlineExceeded { wait: ms(200), left: ms(150) });
    /// ```
    #[must_use]
    pub const fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = Some(deadline);
        self
    }

    /// Whether errors of this kind are retried. All are by default, but unique violations.
    ///
    /// # Examples
    ///
    /// ```
    /// use latchwork::{RetryPolicy, retry::VirtualClock, verdict::{RetryKind, Verdict}};
    ///
    /// let policy = RetryPolicy::new().retry_kind(RetryKind::UniqueViolation, true).clock(VirtualClock::new());
    /// let policy = policy.classify_with(|_: &()| Verdict::Retry(RetryKind::UniqueViolation));
    /// let slug = policy.run_blocking(|attempt| if attempt.is_first() { Err(()) } else { Ok("ada-2") });
    /// assert_eq!(slug, Ok("ada-2"));
    /// ```
    #[must_use]
    pub const fn retry_kind(mut self, kind: RetryKind, retried: bool) -> Self {
        self.retried[kind.index()] = retried;
        self
    }

    /// The bucket that retries are paid from: see [`Budget`]. None by default.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::sync::Arc;
    /// use latchwork::{Busy, RetryPolicy, retry::Budget};
    ///
    /// let budget = Arc::new(Budget::new(100));
    /// let policy = RetryPolicy::new().budget(&budget);
    /// assert_eq!(policy.run_blocking(|_| Ok::<_, Busy>(7)), Ok(7));
    /// assert_eq!(budget.tokens(), 100);
    /// ```
    #[must_use]
    pub fn budget(mut self, budget: impl Into<Shared<Budget>>) -> Self {
        self.budget = Some(budget.into());
        self
    }

    /// The counters to keep: see [`RetryStats`]. None by default.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::sync::Arc;
    /// use latchwork::{Busy, RetryPolicy, retry::RetryStats};
    ///
    /// let stats = Arc::new(RetryStats::new());
    /// let policy = RetryPolicy::new().stats(&stats);
    /// assert_eq!(policy.run_blocking(|_| Ok::<_, Busy>(7)), Ok(7));
    /// assert_eq!(stats.counts().calls(), 1);
    /// ```
    #[must_use]
    pub fn stats(mut self, stats: impl Into<Shared<RetryStats>>) -> Self {
        self.stats = Some(stats.into());
        self
    }

    /// What its errors and events call it. "retry" by default.
    ///
    /// # Examples
    ///
    /// ```
    /// use latchwork::{RetryPolicy, verdict::Verdict};
    ///
    /// let policy = RetryPolicy::new().name("save card").classify_with(|_: &()| Verdict::Stop);
    /// assert_eq!(policy.run_blocking(|_| Err::<(), _>(())).unwrap_err().name, "save card");
    /// ```
    #[must_use]
    pub const fn name(mut self, name: &'static str) -> Self {
        self.name = name;
        self
    }

    /// What is called before each wait, and not after the last failure: see [`Retrying`].
    ///
    /// # Examples
    ///
    /// ```
    /// use std::sync::mpsc::channel;
    /// use latchwork::{RetryPolicy, retry::VirtualClock, verdict::{RetryKind, Verdict}};
    ///
    /// let (send, told) = channel();
    /// let policy = RetryPolicy::new().clock(VirtualClock::new()).on_retry(move |retry| drop(send.send(*retry)));
    /// let policy = policy.classify_with(|_: &()| Verdict::Retry(RetryKind::Transient));
    /// assert!(policy.run_blocking(|_| Err::<(), _>(())).is_err());
    /// assert_eq!(told.try_iter().map(|retry| retry.attempt).collect::<Vec<_>>(), [1, 2, 3]);
    /// ```
    #[must_use]
    pub fn on_retry(mut self, observer: impl Fn(&Retrying) + Send + Sync + 'static) -> Self {
        self.observer = Some(Arc::new(observer));
        self
    }

    /// The clock to wait by: see [`Clock`]. By default tokio's in tasks (feature `tokio`), and `std`'s on
    /// threads.
    ///
    /// # Examples
    ///
    /// ```
    /// use latchwork::{RetryPolicy, retry::{Jitter, VirtualClock}, verdict::{RetryKind, Verdict}};
    /// use std::time::Duration;
    ///
    /// let clock = VirtualClock::new();
    /// let policy = RetryPolicy::new().jitter(Jitter::None).clock(clock.clone());
    /// let policy = policy.classify_with(|_: &()| Verdict::Retry(RetryKind::Transient));
    /// assert!(policy.run_blocking(|_| Err::<(), _>(())).is_err());
    /// assert_eq!(clock.waits(), [100, 200, 400].map(Duration::from_millis));
    /// ```
    #[must_use]
    pub fn clock(mut self, clock: impl Clock + 'static) -> Self {
        self.clock = Some(Arc::new(clock));
        self
    }

    /// Spreads the waits by generators that come of `seed`: the same calls one after the other wait
    /// as long again.
    ///
    /// # Examples
    ///
    /// ```
    /// use latchwork::{RetryPolicy, retry::VirtualClock, verdict::{RetryKind, Verdict}};
    ///
    /// let waits = || {
    ///     let clock = VirtualClock::new();
    ///     let policy = RetryPolicy::new().seed(7).clock(clock.clone());
    ///     let policy = policy.classify_with(|_: &()| Verdict::Retry(RetryKind::Transient));
    ///     assert!(policy.run_blocking(|_| Err::<(), _>(())).is_err());
    ///     clock.waits()
    /// };
    /// assert_eq!(waits(), waits());
    /// ```
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seeded = Some(Arc::new(Mutex::new(Rng::with_seed(seed))));
        self
    }

    /// Says by a function what errors mean, instead of by their [`Classify`](crate::verdict::Classify): for those of
    /// other crates.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::io::{self, ErrorKind};
    /// use latchwork::{RetryPolicy, verdict::{RetryKind, Verdict}};
    ///
    /// let policy = RetryPolicy::new().classify_with(|error: &io::Error| match error.kind() {
    ///     ErrorKind::ConnectionRefused => Verdict::Retry(RetryKind::Transient),
    ///     _ => Verdict::Stop,
    /// });
    /// let missing = policy.run_blocking(|_| Err::<(), _>(io::Error::from(ErrorKind::NotFound))).unwrap_err();
    /// assert_eq!(missing.attempts, 1);
    /// ```
    #[must_use]
    pub fn classify_with<E, F: Fn(&E) -> Verdict>(self, classify: F) -> RetryPolicy<F> {
        RetryPolicy {
            backoff: self.backoff,
            max_attempts: self.max_attempts,
            deadline: self.deadline,
            retried: self.retried,
            name: self.name,
            budget: self.budget,
            stats: self.stats,
            observer: self.observer,
            clock: self.clock,
            seeded: self.seeded,
            classifier: classify,
        }
    }

    pub(super) fn retries(&self, kind: RetryKind) -> bool {
        self.retried[kind.index()]
    }

    pub(super) fn observer(&self) -> Option<&Observer> {
        self.observer.as_deref()
    }

    pub(super) fn clock_in_use(&self) -> &dyn Clock {
        self.clock.as_deref().unwrap_or(&SystemClock)
    }

    /// The waits of one call.
    pub(super) fn waits(&self) -> Backoff {
        let mut backoff = self.backoff.clone();
        if let Some(seeded) = &self.seeded {
            backoff.set_rng(|| seeded.lock().fork());
        }
        backoff
    }

    /// Fails at once, and not at the first retry, if there is no way to wait in a task; with the feature
    /// `tokio` in debug builds only.
    #[inline]
    pub(super) fn report_misuse(&self) {
        if cfg!(any(debug_assertions, not(feature = "tokio"))) && self.clock.is_none() {
            SystemClock::report_misuse();
        }
    }
}

impl<C> fmt::Debug for RetryPolicy<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RetryPolicy")
            .field("name", &self.name)
            .field("max_attempts", &self.max_attempts)
            .field("backoff", &self.backoff)
            .field("deadline", &self.deadline)
            .field("budget", &self.budget)
            .finish_non_exhaustive()
    }
}
