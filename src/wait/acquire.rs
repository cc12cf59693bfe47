//! [`Acquire`]: one pending acquisition, and the ways to wait for it.

use std::fmt;
use std::future::Future;
use std::mem::ManuallyDrop;
use std::pin::{Pin, pin};
use std::ptr;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use pin_project_lite::pin_project;

use super::list::Node;
use super::park;
use crate::error::TimedOut;
use crate::sync::{spin_loop, yield_now};

/// What an [`Acquire`] asks for; [`Guard`](Request::Guard) is what it comes to.
///
/// Implemented by this crate only.
pub trait Request {
    /// The guard or permit that is returned.
    type Guard;

    /// What an attempt that succeeds comes to: made a guard at once.
    #[doc(hidden)]
    type Grant;

    /// A newcomer's attempt, which does not enlist.
    #[doc(hidden)]
    fn take(&mut self) -> Option<Self::Grant>;

    /// An attempt that enlists `node` with `task` when it is refused: then that is woken when it is worth another one.
    #[doc(hidden)]
    fn step(&mut self, node: Pin<&mut Node>, task: &Waker) -> Option<Self::Grant>;

    /// The guard of what was granted just now. (A step of its own, so that the guard is written once,
    /// where the caller wants it: copying it costs as much as locking.)
    #[doc(hidden)]
    fn guard(&mut self, grant: Self::Grant) -> Self::Guard;

    /// Gives up, while it [is waiting](Request::is_waiting).
    #[doc(hidden)]
    fn leave(&mut self, node: Pin<&mut Node>, end: End);

    /// Whether it is enlisted anywhere, and must leave.
    #[doc(hidden)]
    fn is_waiting(&self, node: &Node) -> bool {
        node.is_enlisted()
    }

    /// Whether a step is worth while, as far as can be seen at no cost.
    #[doc(hidden)]
    fn looks_free(&self) -> bool {
        true
    }
}

/// Why an enlisted waiter leaves.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum End {
    /// The future was dropped.
    Cancelled,
    /// The time was up.
    TimedOut,
}

pin_project! {
    /// A pending acquisition: it says what to acquire, its caller says how to wait.
    ///
    /// | in a task | on a thread |
    /// |---|---|
    /// | `acquire.await` | [`acquire.wait()`](Acquire::wait) |
    /// | [`acquire.timeout(d).await`](Acquire::timeout) | [`acquire.wait_timeout(d)`](Acquire::wait_timeout), [`acquire.wait_deadline(t)`](Acquire::wait_deadline) |
    ///
    /// It does nothing until it is first polled or waited for.
    ///
    /// # Fairness
    ///
    /// Waiters are notified in the order in which they came. A newcomer that finds the lock free may pass them,
    /// so a short critical section costs no hand-over. The first waiter is passed at most 512 times, and any
    /// waiter at most 4 096 times, by newcomers of all kinds. A hold that lasts until the waiter has come passes
    /// it once. After that the lock is reserved for it. This holds for waiters that run promptly after their wake-up:
    /// see [internals](crate::docs::internals).
    ///
    /// # Panics
    ///
    /// When it is polled again after it was ready.
    ///
    /// # Cancel safety
    ///
    /// It may be dropped at any point: nothing stays locked, its notification is passed on, and its
    /// place in the queue is given up. One that is kept but never polled again holds nothing: after a few
    /// milliseconds nobody waits for it. See [`helper`](crate::helper).
    ///
    /// # Examples
    ///
    /// ```
    /// use latchwork::Mutex;
    ///
    /// let stock = Mutex::new(3);
    /// *stock.lock().wait() -= 1;
    /// assert_eq!(*stock.lock().wait(), 2);
    /// ```
    #[must_use = "nothing is acquired until it is awaited or waited for"]
    pub struct Acquire<R: Request> {
        request: R,
        #[pin]
        node: Node,
    }

    impl<R: Request> PinnedDrop for Acquire<R> {
        fn drop(this: Pin<&mut Self>) {
            this.give_up(End::Cancelled);
        }
    }
}

impl<R: Request> Acquire<R> {
    #[inline]
    pub(crate) fn new(request: R) -> Self {
        Self { request, node: Node::new() }
    }

    /// What a first poll would return, if it would be ready: a newcomer's attempt.
    #[inline]
    pub(crate) fn take(&mut self) -> Option<R::Guard> {
        let grant = self.request.take()?;
        Some(self.request.guard(grant))
    }

    /// The request of an acquisition that was not polled yet. Only the slow path needs a node: to keep one in memory
    /// would cost a free lock as much as the lock itself.
    #[inline]
    #[allow(unsafe_code)]
    fn into_request(self) -> R {
        debug_assert!(!self.node.is_enlisted());
        let this = ManuallyDrop::new(self);
        // SAFETY: `this` is not dropped, so the request is moved out once. A node that is not enlisted owns nothing.
        unsafe { ptr::read(&raw const this.request) }
    }

    /// Blocks this thread until it has the guard.
    ///
    /// On a worker of tokio's multi-thread runtime the other tasks move to another thread before it
    /// parks (feature `tokio`). A thread-local's destructor may wait, too.
    ///
    /// **Each task that parks uses one of its runtime's blocking threads**, of which there are
    /// [`max_blocking_threads`], 512 by default. When all are in use, no thread is left to run the other
    /// tasks. If the lock's holder is one of those, the whole runtime stands still for good. So
    /// `wait()` is for the few tasks that can't await. With the feature `tracing` there is a warning
    /// when 64 tasks park at the same time, and each time that the highest number has doubled.
    ///
    /// [`max_blocking_threads`]: https://docs.rs/tokio/latest/tokio/runtime/struct.Builder.html#method.max_blocking_threads
    ///
    /// # Panics
    ///
    /// Inside a task of a current-thread runtime or a `LocalSet` it panics when it would have to
    /// park, since nobody could take over. Debug builds panic there even if the lock is free. Inside
    /// [`Handle::enter`] the runtime that was entered is the one that counts.
    ///
    /// In a `LocalSet` on a multi-thread runtime the panic hook runs twice: tokio panics first, and
    /// nothing else shows that the task is a local one.
    ///
    /// [`Handle::enter`]: https://docs.rs/tokio/latest/tokio/runtime/struct.Handle.html#method.enter
    ///
    /// # Deadlock
    ///
    /// A thread that holds the lock already waits for ever. So do tasks that park and use up the
    /// blocking threads, as above.
    ///
    /// # Examples
    ///
    /// ```
    /// let names = latchwork::Mutex::new(vec!["ada"]);
    /// std::thread::scope(|s| { s.spawn(|| names.lock().wait().push("grace")); });
    /// assert_eq!(names.lock().wait().len(), 2);
    /// ```
    #[inline]
    #[track_caller]
    pub fn wait(self) -> R::Guard {
        park::report_misuse();
        let mut request = self.into_request();
        match request.take() {
            Some(grant) => request.guard(grant),
            None => Self::wait_until(request, None).expect("a wait without a deadline ends with the guard"),
        }
    }

    /// Blocks this thread until it has the guard, for `timeout` at most. A zero timeout tries once;
    /// one beyond the clock's range never ends.
    ///
    /// A task that parks uses one of its runtime's blocking threads, as with [`wait`](Self::wait).
    ///
    /// # Errors
    ///
    /// [`TimedOut`] when the time is up; nothing is held then.
    ///
    /// # Panics
    ///
    /// As [`wait`](Self::wait).
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// let lock = latchwork::Mutex::new(());
    /// let guard = lock.lock().wait_timeout(Duration::MAX)?;
    /// assert!(lock.lock().wait_timeout(Duration::from_micros(50)).is_err());
    /// # drop(guard);
    /// # Ok::<(), latchwork::TimedOut>(())
    /// ```
    #[track_caller]
    pub fn wait_timeout(self, timeout: Duration) -> Result<R::Guard, TimedOut> {
        park::report_misuse();
        let mut request = self.into_request();
        if let Some(grant) = request.take() {
            return Ok(request.guard(grant));
        }
        Self::wait_until(request, Instant::now().checked_add(timeout)).ok_or(TimedOut::NEW)
    }

    /// Blocks this thread until it has the guard or `deadline` has come. A deadline in the past
    /// tries once.
    ///
    /// A task that parks uses one of its runtime's blocking threads, as with [`wait`](Self::wait).
    ///
    /// # Errors
    ///
    /// [`TimedOut`] when the deadline has come; nothing is held then.
    ///
    /// # Panics
    ///
    /// As [`wait`](Self::wait).
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Instant;
    ///
    /// let lock = latchwork::Mutex::new(());
    /// let _guard = lock.lock().wait_deadline(Instant::now()).expect("it is free");
    /// assert!(lock.lock().wait_deadline(Instant::now()).is_err());
    /// ```
    #[track_caller]
    pub fn wait_deadline(self, deadline: Instant) -> Result<R::Guard, TimedOut> {
        park::report_misuse();
        let mut request = self.into_request();
        if let Some(grant) = request.take() {
            return Ok(request.guard(grant));
        }
        Self::wait_until(request, Some(deadline)).ok_or(TimedOut::NEW)
    }

    /// Waits in a task until the guard is had, for `timeout` at most. Tokio's timer counts
    /// milliseconds, and shorter timeouts are rounded up to one; a zero timeout tries once.
    ///
    /// # Errors
    ///
    /// [`TimedOut`] when the time is up; nothing is held then.
    ///
    /// # Panics
    ///
    /// When polled outside a tokio runtime with its time driver enabled.
    ///
    /// # Cancel safety
    ///
    /// As that of [`Acquire`] itself.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build()?.block_on(async {
    /// let lock = latchwork::Mutex::new(());
    /// let guard = lock.lock().timeout(Duration::from_secs(1)).await?;
    /// assert!(lock.lock().timeout(Duration::from_secs(1)).await.is_err());
    /// # drop(guard);
    /// # Ok(())
    /// # })
    /// # }
    /// ```
    #[cfg(all(feature = "tokio", not(latchwork_loom)))]
    pub async fn timeout(self, timeout: Duration) -> Result<R::Guard, TimedOut> {
        let mut this = pin!(self);
        match tokio::time::timeout(timeout, this.as_mut()).await {
            Ok(guard) => Ok(guard),
            Err(_) => {
                this.give_up(End::TimedOut);
                Err(TimedOut::NEW)
            }
        }
    }

    fn give_up(self: Pin<&mut Self>, end: End) {
        let this = self.project();
        if this.request.is_waiting(&this.node) {
            this.request.leave(this.node, end);
        }
    }

    #[cold]
    #[track_caller]
    fn wait_until(mut request: R, deadline: Option<Instant>) -> Option<R::Guard> {
        for turn in spins() {
            pause(turn);
            if request.looks_free()
                && let Some(grant) = request.take()
            {
                return Some(request.guard(grant));
            }
        }
        let mut this = pin!(Self::new(request));
        this.as_mut().project().node.be_thread();
        let alarm = park::alarm();
        park::blocking(|| {
            loop {
                let parts = this.as_mut().project();
                if let Some(grant) = parts.request.step(parts.node, alarm.waker()) {
                    return Some(parts.request.guard(grant));
                }
                let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
                if left == Some(Duration::ZERO) {
                    this.as_mut().give_up(End::TimedOut);
                    return None;
                }
                if !yields().any(|()| alarm.has_rung()) {
                    alarm.sleep(left);
                }
                // To take the line's lock before the permits are there is to come in vain.
                for turn in spins() {
                    if this.request.looks_free() {
                        break;
                    }
                    pause(turn);
                }
            }
        })
    }
}

impl<R: Request> Future for Acquire<R> {
    type Output = R::Guard;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<R::Guard> {
        let this = self.project();
        if !this.node.is_enlisted()
            && let Some(grant) = this.request.take()
        {
            return Poll::Ready(this.request.guard(grant));
        }
        match this.request.step(this.node, cx.waker()) {
            Some(grant) => Poll::Ready(this.request.guard(grant)),
            None => Poll::Pending,
        }
    }
}

impl<R: Request> fmt::Debug for Acquire<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Acquire").field("enlisted", &self.node.is_enlisted()).finish_non_exhaustive()
    }
}

/// The turns in which a thread looks again before it queues. Queueing costs microseconds, so a lock that is
/// held for less is worth the wait. A model does not spin: it looks at every order anyway.
fn spins() -> impl Iterator<Item = u32> {
    (0..10).take_while(|_| !cfg!(latchwork_loom))
}

/// Waits for a moment, longer from turn to turn. It never gives the time slice away: on busy cores that is gone for
/// milliseconds, and a thread that does not stand in line yet is passed without bound.
fn pause(turn: u32) {
    for _ in 0..(2 << turn).min(32) {
        spin_loop();
    }
}

/// Lets others run, a few times, before a thread parks.
fn yields() -> impl Iterator<Item = ()> {
    (0..3).take_while(|_| !cfg!(latchwork_loom)).map(|_| yield_now())
}
