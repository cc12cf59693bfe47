//! [`Acquire`]: one pending acquisition, and the ways to wait for it.

use std::fmt;
use std::future::Future;
use std::mem::ManuallyDrop;
use std::pin::{Pin, pin};
use std::ptr;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use pin_project_lite::pin_project;

use super::acquisition::{Acquisition, Attempt, End, OneQueue};
use super::bounded::Bounded;
use super::list::Node;
use super::park;
use crate::error::Busy;
use crate::sync::{spin_loop, yield_now};

pin_project! {
    /// A pending acquisition: it knows what to acquire, and its caller says how to wait for it.
    ///
    /// | in a task | on a thread |
    /// |---|---|
    /// | `acquire.await` | [`acquire.wait()`](Acquire::wait) |
    /// | [`acquire.timeout(d).await`](Acquire::timeout) | [`acquire.wait_timeout(d)`](Acquire::wait_timeout), [`acquire.wait_deadline(t)`](Acquire::wait_deadline) |
    ///
    /// Anywhere, [`acquire.try_now()`](Acquire::try_now) does not wait at all, and
    /// [`acquire.max_waiters(n)`](Acquire::max_waiters) waits only if fewer than `n` others wait already.
    ///
    /// It does nothing until it is first polled or waited for. Its type can be written down, to be kept in a struct:
    /// see [`mutex::Lock`](crate::mutex::Lock), [`keyed::LockOwned`](crate::keyed::LockOwned) and their neighbours.
    ///
    /// # Fairness
    ///
    /// Waiters are notified in the order in which they came. A newcomer that finds the lock free may pass them, so a short
    /// critical section costs no hand-over. The first waiter is passed at most 512 times, and any waiter at most 4 096
    /// times, by newcomers of all kinds. If the lock is still held when the waiter runs, the lock is reserved for the waiter
    /// from then on. This holds for waiters that run promptly after their wake-up: see
    /// [internals](crate::docs::internals).
    ///
    /// # Panics
    ///
    /// If it is polled again after it was ready.
    ///
    /// # Cancel safety
    ///
    /// It can be dropped at any point. Nothing stays locked, its notification is passed on, and it loses its
    /// place in the queue. One that is kept but never polled again holds nothing: other waiters
    /// skip it after a few milliseconds. See [`helper`](crate::helper).
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
    pub struct Acquire<A: Acquisition> {
        inner: A,
        #[pin]
        node: Node,
    }

    impl<A: Acquisition> PinnedDrop for Acquire<A> {
        fn drop(this: Pin<&mut Self>) {
            this.give_up(End::Cancelled);
        }
    }
}

impl<A: Acquisition> Acquire<A> {
    #[inline]
    pub(crate) fn new(inner: A) -> Self {
        Self { inner, node: Node::new() }
    }

    /// Returns what a first poll would, if that would be ready: a newcomer's attempt.
    #[inline]
    pub(crate) fn take(&mut self) -> Option<A::Guard> {
        let grant = self.inner.take()?;
        Some(self.inner.guard(grant))
    }

    /// Takes apart an acquisition that was not polled yet. Only the slow path needs a node: to keep one in memory
    /// would cost a free lock as much as the lock itself.
    #[inline]
    #[allow(unsafe_code)]
    fn into_inner(self) -> A {
        debug_assert!(!self.node.is_enlisted());
        let this = ManuallyDrop::new(self);
        // SAFETY: `this` is not dropped, so `inner` is moved out once. A node that is not enlisted owns nothing.
        unsafe { ptr::read(&raw const this.inner) }
    }

    /// Refuses to wait behind `max_waiters` others or more. With zero it acquires at once, or is refused.
    ///
    /// The result is another `Acquire`, which ends with a `Result`. With a time limit as well, there still is one error:
    ///
    /// | | returns |
    /// |---|---|
    /// | `lock.lock().max_waiters(2).await`, `.wait()` | `Result<Guard, Busy>` |
    /// | `lock.lock().max_waiters(2).timeout(d).await`, `.wait_timeout(d)` | `Result<Guard, NotAcquired>` |
    ///
    /// The bound applies to the moment of queueing. Acquisitions without a bound may queue behind this one, and it
    /// is not refused later. A lock that is free for a newcomer is acquired, however many wait.
    ///
    /// It is offered for what waits in one queue: not for several keys, changes of a value, or flights.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use latchwork::error::NotAcquired;
    ///
    /// let stock = latchwork::Mutex::new(3);
    /// let guard = stock.lock().max_waiters(2).wait()?;
    /// let refused = stock.lock().max_waiters(0).wait_timeout(Duration::from_secs(1));
    /// assert!(matches!(refused, Err(NotAcquired::Busy(_))));
    /// # drop(guard);
    /// # Ok::<(), latchwork::Busy>(())
    /// ```
    #[inline]
    pub fn max_waiters(self, max_waiters: usize) -> Acquire<Bounded<A>>
    where
        A: OneQueue,
    {
        Acquire::new(Bounded::new(self.into_inner(), max_waiters))
    }

    /// Acquires now or not at all, as the `try_` methods of the locks do. It counts as a
    /// [newcomer](Acquire#fairness).
    ///
    /// # Errors
    ///
    /// Returns [`Busy`] if the lock is held or reserved for a waiter.
    ///
    /// # Examples
    ///
    /// ```
    /// let stock = latchwork::Mutex::new(3);
    /// let guard = stock.lock().try_now()?;
    /// assert!(stock.lock().try_now().is_err());
    /// # drop(guard);
    /// # Ok::<(), latchwork::Busy>(())
    /// ```
    #[inline]
    pub fn try_now(self) -> Result<A::Guard, Busy>
    where
        A: Attempt,
    {
        self.into_inner().attempt()
    }

    /// Blocks this thread until it has the guard.
    ///
    /// On a worker of tokio's multi-thread runtime the other tasks move to another thread before it
    /// parks (feature `tokio`). The destructor of a thread-local may wait, too.
    ///
    /// **Each task that parks uses one of its runtime's blocking threads**, of which there are
    /// [`max_blocking_threads`], 512 by default. When all are in use, no thread is left to run the other
    /// tasks. If the lock's holder is one of those, the whole runtime stops for good. So
    /// `wait()` is for the few tasks that can't await. With the feature `tracing` there is a warning
    /// when 64 tasks park at the same time, and each time that the highest number has doubled.
    ///
    /// [`max_blocking_threads`]: https://docs.rs/tokio/latest/tokio/runtime/struct.Builder.html#method.max_blocking_threads
    ///
    /// # Panics
    ///
    /// Inside a task of a current-thread runtime or a `LocalSet` it panics if it would have to park: no other thread could
    /// run the tasks. Debug builds panic there even if the lock is free. Inside [`Handle::enter`] the runtime that was
    /// entered is the one that counts.
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
    pub fn wait(self) -> A::Guard {
        park::report_misuse();
        let mut inner = self.into_inner();
        match inner.take() {
            Some(grant) => inner.guard(grant),
            None => Self::wait_until(inner, None).expect("a wait without a deadline ends with the guard"),
        }
    }

    /// Blocks this thread until it has the guard, for `timeout` at most. A zero timeout tries once;
    /// one beyond the clock's range never ends.
    ///
    /// A task that parks uses one of its runtime's blocking threads, as with [`wait`](Self::wait).
    ///
    /// # Errors
    ///
    /// Returns [`TimedOut`](crate::TimedOut) when the time is up; nothing is held then. After
    /// [`max_waiters`](Self::max_waiters) the error is [`NotAcquired`](crate::error::NotAcquired).
    ///
    /// # Panics
    ///
    /// If [`wait`](Self::wait) would.
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
    pub fn wait_timeout(self, timeout: Duration) -> A::Timed {
        self.wait_limited(|| Instant::now().checked_add(timeout))
    }

    /// Blocks this thread until it has the guard or `deadline` has come. A deadline in the past
    /// tries once.
    ///
    /// A task that parks uses one of its runtime's blocking threads, as with [`wait`](Self::wait).
    ///
    /// # Errors
    ///
    /// Returns [`TimedOut`](crate::TimedOut) when the deadline has come; nothing is held then. After
    /// [`max_waiters`](Self::max_waiters) the error is [`NotAcquired`](crate::error::NotAcquired).
    ///
    /// # Panics
    ///
    /// If [`wait`](Self::wait) would.
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
    pub fn wait_deadline(self, deadline: Instant) -> A::Timed {
        self.wait_limited(|| Some(deadline))
    }

    /// Waits in a task until it has the guard, for `timeout` at most. Tokio's timer counts
    /// milliseconds, and shorter timeouts are rounded up to one; a zero timeout tries once.
    ///
    /// # Errors
    ///
    /// Returns [`TimedOut`](crate::TimedOut) when the time is up; nothing is held then. After
    /// [`max_waiters`](Self::max_waiters) the error is [`NotAcquired`](crate::error::NotAcquired).
    ///
    /// # Panics
    ///
    /// If it is polled outside a tokio runtime with its time driver enabled.
    ///
    /// # Cancel safety
    ///
    /// The same as for [`Acquire`] itself.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// # latchwork::__example!(async {
    /// let lock = latchwork::Mutex::new(());
    /// let guard = lock.lock().timeout(Duration::from_secs(1)).await?;
    /// assert!(lock.lock().timeout(Duration::from_secs(1)).await.is_err());
    /// # });
    /// ```
    #[cfg(all(feature = "tokio", not(latchwork_loom)))]
    pub async fn timeout(self, timeout: Duration) -> A::Timed {
        let mut this = pin!(self);
        let guard = tokio::time::timeout(timeout, this.as_mut()).await.ok();
        if guard.is_none() {
            this.give_up(End::TimedOut);
        }
        A::in_time(guard)
    }

    /// Waits until a deadline, which is only asked for if the lock is not free.
    #[inline]
    #[track_caller]
    fn wait_limited(self, deadline: impl FnOnce() -> Option<Instant>) -> A::Timed {
        park::report_misuse();
        let mut inner = self.into_inner();
        A::in_time(match inner.take() {
            Some(grant) => Some(inner.guard(grant)),
            None => Self::wait_until(inner, deadline()),
        })
    }

    fn give_up(self: Pin<&mut Self>, end: End) {
        let this = self.project();
        if this.inner.is_waiting(&this.node) {
            this.inner.leave(this.node, end);
        }
    }

    #[cold]
    #[track_caller]
    fn wait_until(mut inner: A, deadline: Option<Instant>) -> Option<A::Guard> {
        for turn in spins() {
            pause(turn);
            if inner.looks_free()
                && let Some(grant) = inner.take()
            {
                return Some(inner.guard(grant));
            }
        }
        let mut this = pin!(Self::new(inner));
        this.as_mut().project().node.be_thread();
        let alarm = park::alarm();
        park::blocking(|| {
            loop {
                let parts = this.as_mut().project();
                if let Some(grant) = parts.inner.step(parts.node, alarm.waker()) {
                    return Some(parts.inner.guard(grant));
                }
                let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
                if left == Some(Duration::ZERO) {
                    this.as_mut().give_up(End::TimedOut);
                    return None;
                }
                if !yields().any(|()| alarm.has_rung()) {
                    alarm.sleep(left);
                }
                // An attempt before the permits are there takes the line's lock for nothing.
                for turn in spins() {
                    if this.inner.looks_free() {
                        break;
                    }
                    pause(turn);
                }
            }
        })
    }
}

impl<A: Acquisition> Future for Acquire<A> {
    type Output = A::Guard;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<A::Guard> {
        let this = self.project();
        if !this.node.is_enlisted()
            && let Some(grant) = this.inner.take()
        {
            return Poll::Ready(this.inner.guard(grant));
        }
        match this.inner.step(this.node, cx.waker()) {
            Some(grant) => Poll::Ready(this.inner.guard(grant)),
            None => Poll::Pending,
        }
    }
}

impl<A: Acquisition> fmt::Debug for Acquire<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Acquire").field("enlisted", &self.node.is_enlisted()).finish_non_exhaustive()
    }
}

/// Returns the turns in which a thread looks again before it queues. Queueing costs microseconds, so a lock that is
/// held for less is worth the wait. A model does not spin: it explores every order anyway.
fn spins() -> impl Iterator<Item = u32> {
    (0..10).take_while(|_| !cfg!(latchwork_loom))
}

/// Waits for a moment, longer from turn to turn. It never gives the time slice away: on busy cores the next one comes
/// milliseconds later, and a thread that is not in the line yet is passed without a bound.
fn pause(turn: u32) {
    for _ in 0..(2 << turn).min(32) {
        spin_loop();
    }
}

/// Lets other threads run, a few times, before this one parks.
fn yields() -> impl Iterator<Item = ()> {
    (0..3).take_while(|_| !cfg!(latchwork_loom)).map(|_| yield_now())
}
