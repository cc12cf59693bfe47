//! [`Clock`]: how a retry reads the time, and how it waits; [`VirtualClock`] for tests.

use std::fmt;
use std::future::Future;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::wait;

/// The future of a [`Clock`]'s wait in a task.
pub type Sleep = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Tells the time and waits, for a policy that does so in another way than tokio and threads do.
///
/// # Examples
///
/// Retries on any runtime, given its way to sleep:
///
/// ```
/// use std::time::Duration;
/// use latchwork::{RetryPolicy, retry::{Clock, Sleep}};
///
/// struct Smol;
/// # async fn timer(_: Duration) {}
///
/// impl Clock for Smol {
///     fn sleep(&self, wait: Duration) -> Sleep {
///         Box::pin(timer(wait))
///     }
/// }
///
/// let policy = RetryPolicy::new().clock(Smol);
/// # let done = futures::executor::block_on(policy.run(async |_| Ok::<_, latchwork::Busy>(7)));
/// # assert_eq!(done.ok(), Some(7));
/// ```
pub trait Clock: Send + Sync {
    /// Returns a future that is ready after `wait`.
    fn sleep(&self, wait: Duration) -> Sleep;

    /// Waits on this thread. By default the thread sleeps. On a worker of tokio's multi-thread runtime
    /// (feature `tokio`) the other tasks move to another thread.
    fn sleep_blocking(&self, wait: Duration) {
        wait::blocking(|| std::thread::sleep(wait));
    }

    /// Returns the time, by default that of `std`'s clock.
    fn now(&self) -> Instant {
        Instant::now()
    }
}

impl<C: Clock + ?Sized> Clock for Arc<C> {
    fn sleep(&self, wait: Duration) -> Sleep {
        (**self).sleep(wait)
    }

    fn sleep_blocking(&self, wait: Duration) {
        (**self).sleep_blocking(wait);
    }

    fn now(&self) -> Instant {
        (**self).now()
    }
}

/// Tokio's timer, and threads that sleep. If tokio's time is paused, this clock is paused too.
#[derive(Clone, Copy, Debug)]
pub(super) struct SystemClock;

#[cfg(all(feature = "tokio", not(latchwork_loom)))]
impl SystemClock {
    /// Panics if there is no runtime to wait in, or it has no timer.
    pub(super) fn report_misuse() {
        drop(Self::timer(Duration::ZERO));
    }

    fn timer(wait: Duration) -> tokio::time::Sleep {
        assert!(
            tokio::runtime::Handle::try_current().is_ok(),
            "a policy waits by tokio's timer, but there is no tokio runtime here: \
             enter one, or give the policy another clock (RetryPolicy::clock)"
        );
        // It panics if the runtime's timer is disabled, and names what is missing.
        tokio::time::sleep(wait)
    }
}

#[cfg(all(feature = "tokio", not(latchwork_loom)))]
impl Clock for SystemClock {
    fn sleep(&self, wait: Duration) -> Sleep {
        Box::pin(Self::timer(wait))
    }

    fn now(&self) -> Instant {
        tokio::time::Instant::now().into_std()
    }
}

#[cfg(not(all(feature = "tokio", not(latchwork_loom))))]
impl SystemClock {
    /// Panics: there is no way to wait in a task.
    pub(super) fn report_misuse() {
        panic!(
            "without the feature `tokio` a policy needs a clock to wait in a task: see RetryPolicy::clock"
        );
    }
}

#[cfg(not(all(feature = "tokio", not(latchwork_loom))))]
impl Clock for SystemClock {
    fn sleep(&self, _: Duration) -> Sleep {
        Self::report_misuse();
        Box::pin(std::future::pending())
    }
}

/// A clock for tests: each wait passes at once, and advances the clock by exactly its length.
///
/// Clones are the same clock. A wait in a task is pending once, so that a test can drop it. The clock advances at the
/// second poll. Waits of several tasks add up: for a crowd of tasks, pause tokio's time instead.
///
/// # Examples
///
/// ```
/// use latchwork::{RetryPolicy, retry::{Jitter, VirtualClock}, verdict::{RetryKind, Verdict}};
///
/// let clock = VirtualClock::new();
/// let policy = RetryPolicy::new().jitter(Jitter::None).clock(clock.clone());
/// let policy = policy.classify_with(|_: &()| Verdict::Retry(RetryKind::Transient));
/// assert!(policy.run_blocking(|_| Err::<(), _>(())).is_err());
/// let waits: Vec<_> = clock.waits().iter().map(|wait| wait.as_millis()).collect();
/// assert_eq!((waits, clock.elapsed().as_millis()), (vec![100, 200, 400], 700));
/// clock.advance(std::time::Duration::from_secs(7));
/// assert_eq!(clock.elapsed().as_millis(), 7700);
/// ```
#[derive(Clone)]
pub struct VirtualClock(Arc<Mutex<State>>);

struct State {
    now: Instant,
    elapsed: Duration,
    waits: Vec<Duration>,
}

impl State {
    /// At the end of `Instant`'s range the clock stops.
    fn advance(&mut self, by: Duration) {
        self.now = self.now.checked_add(by).unwrap_or(self.now);
        self.elapsed = self.elapsed.saturating_add(by);
    }
}

impl VirtualClock {
    /// Creates a clock that stands still.
    #[must_use]
    pub fn new() -> Self {
        let state = State { now: Instant::now(), elapsed: Duration::ZERO, waits: Vec::new() };
        Self(Arc::new(Mutex::new(state)))
    }

    /// Advances the clock, as an attempt of this length would.
    pub fn advance(&self, by: Duration) {
        self.0.lock().advance(by);
    }

    /// Returns how much time has passed.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.0.lock().elapsed
    }

    /// Returns the waits that have passed, in order.
    #[must_use]
    pub fn waits(&self) -> Vec<Duration> {
        self.0.lock().waits.clone()
    }

    fn pass(&self, wait: Duration) {
        let mut state = self.0.lock();
        state.advance(wait);
        state.waits.push(wait);
    }
}

// Its state is locked for one step at a time, in which no user code runs.
impl UnwindSafe for VirtualClock {}
impl RefUnwindSafe for VirtualClock {}

impl Default for VirtualClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for VirtualClock {
    fn sleep(&self, wait: Duration) -> Sleep {
        Box::pin(VirtualSleep { clock: self.clone(), wait, is_polled: false })
    }

    fn sleep_blocking(&self, wait: Duration) {
        self.pass(wait);
    }

    fn now(&self) -> Instant {
        self.0.lock().now
    }
}

impl fmt::Debug for VirtualClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VirtualClock").field("elapsed", &self.elapsed()).finish_non_exhaustive()
    }
}

struct VirtualSleep {
    clock: VirtualClock,
    wait: Duration,
    is_polled: bool,
}

impl Future for VirtualSleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if std::mem::replace(&mut self.is_polled, true) {
            self.clock.pass(self.wait);
            Poll::Ready(())
        } else {
            cx.waker().wake_by_ref();
            Poll::Pending
        }
    }
}
