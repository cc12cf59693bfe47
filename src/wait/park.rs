//! Blocking a thread: its waker, and the check that keeps the workers of a runtime from stalling.

#[cfg(not(latchwork_loom))]
use std::cell::Cell;
use std::future::Future;
use std::ops::Deref;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};

use super::helper;
#[cfg(all(feature = "tokio", not(latchwork_loom)))]
use super::parked::Parked;
#[cfg(all(feature = "tokio", not(latchwork_loom)))]
use super::runtime;
use crate::sync::{Thread, current, park, park_timeout};

/// Wakes one thread.
pub(crate) struct Alarm {
    bell: Arc<Bell>,
    waker: Waker,
}

struct Bell {
    thread: Thread,
    has_rung: AtomicBool,
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.has_rung.store(true, Ordering::Release);
        self.thread.unpark();
    }
}

impl Alarm {
    fn new() -> Self {
        let bell = Arc::new(Bell { thread: current(), has_rung: AtomicBool::new(false) });
        Self { waker: Waker::from(bell.clone()), bell }
    }

    /// Returns a waker that wakes this thread, or keeps it from falling asleep.
    pub(crate) fn waker(&self) -> &Waker {
        &self.waker
    }

    /// Returns `true` if it has rung since the last call.
    pub(crate) fn has_rung(&self) -> bool {
        self.bell.has_rung.swap(false, Ordering::Acquire)
    }

    /// Parks this thread until it is woken, for `left` at most.
    pub(crate) fn sleep(&self, left: Option<Duration>) {
        match (left, helper::nap()) {
            (None, None) => park(),
            (Some(left), None) => park_timeout(left),
            // There is no helper thread, so this one helps when it has slept for a while.
            (left, Some(nap)) => {
                park_timeout(left.map_or(nap, |left| left.min(nap)));
                if !self.bell.has_rung.load(Ordering::Acquire) {
                    helper::stand_in();
                }
            }
        }
    }
}

#[cfg(not(latchwork_loom))]
thread_local! {
    /// The alarm of this thread, while no wait uses it.
    static KEPT: Cell<Option<Alarm>> = const { Cell::new(None) };
}

/// The alarm of one wait. It goes back to its thread when the wait is over.
pub(crate) struct OwnAlarm(Option<Alarm>);

/// Returns an alarm for one wait of this thread.
///
/// It is taken from the thread, not shared: a wait may wake other waiters, and their wakers are user code that may wait on
/// this thread, too. A wait inside another must not take the ring of the outer one.
#[cfg(not(latchwork_loom))]
pub(crate) fn alarm() -> OwnAlarm {
    // A lock may be waited for in another thread-local's destructor.
    let kept = KEPT.try_with(Cell::take).ok().flatten();
    OwnAlarm(Some(kept.unwrap_or_else(Alarm::new)))
}

#[cfg(latchwork_loom)]
pub(crate) fn alarm() -> OwnAlarm {
    OwnAlarm(Some(Alarm::new()))
}

impl Deref for OwnAlarm {
    type Target = Alarm;

    fn deref(&self) -> &Alarm {
        self.0.as_ref().expect("it is there until it is dropped")
    }
}

impl Drop for OwnAlarm {
    fn drop(&mut self) {
        #[cfg(not(latchwork_loom))]
        let _ = KEPT.try_with(|kept| kept.set(self.0.take()));
    }
}

/// Runs `f`, which may park this thread. A worker of a multi-thread tokio runtime hands its tasks over first.
/// In a task of a current-thread runtime, where no other thread could run the tasks, it panics.
#[cfg(all(feature = "tokio", not(latchwork_loom)))]
#[track_caller]
pub(crate) fn blocking<R>(f: impl FnOnce() -> R) -> R {
    runtime::hand_over(|is_worker| {
        let _parked = is_worker.then(Parked::count);
        f()
    })
}

#[cfg(not(all(feature = "tokio", not(latchwork_loom))))]
pub(crate) fn blocking<R>(f: impl FnOnce() -> R) -> R {
    f()
}

/// Lets other threads run for a moment, and on a worker of a multi-thread tokio runtime its other tasks. Never panics.
#[cfg(all(feature = "tokio", not(latchwork_loom)))]
pub(crate) fn give_way() {
    runtime::give_way();
}

#[cfg(not(all(feature = "tokio", not(latchwork_loom))))]
pub(crate) fn give_way() {
    // Not loom's, which would keep a model from some of its schedules.
    std::thread::yield_now();
}

/// Polls `future` on this thread until it is ready, or until `deadline`: `None` then. The thread parks between polls.
#[track_caller]
pub(crate) fn block_on<F: Future>(future: F, deadline: Option<Instant>) -> Option<F::Output> {
    let mut future = pin!(future);
    let alarm = alarm();
    let mut cx = Context::from_waker(alarm.waker());
    blocking(|| {
        loop {
            if let Poll::Ready(out) = future.as_mut().poll(&mut cx) {
                return Some(out);
            }
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            if left == Some(Duration::ZERO) {
                return None;
            }
            if !alarm.has_rung() {
                alarm.sleep(left);
            }
        }
    })
}

/// Reports a `wait()` that could stall an event loop, in debug builds, even if the lock is free
/// this time.
#[inline]
#[track_caller]
pub(crate) fn report_misuse() {
    #[cfg(all(debug_assertions, feature = "tokio", not(latchwork_loom)))]
    runtime::check();
}

#[cfg(all(test, not(latchwork_loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_wait_inside_another_leaves_the_ring_of_the_outer_one() {
        let outer = alarm();
        outer.waker().wake_by_ref();
        let inner = alarm();
        assert!(!inner.has_rung(), "it took the ring of the outer wait");
        inner.waker().wake_by_ref();
        drop(inner);
        assert!(outer.has_rung());
        drop(outer);
        // The one that was put back last serves the next wait; a ring that is left makes it look once more.
        let next = alarm();
        next.has_rung();
        assert!(!next.has_rung());
    }
}
