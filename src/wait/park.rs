//! Blocking a thread: its waker, and the guard rail that keeps a runtime's workers from stalling.

use std::sync::Arc;
use std::task::{Wake, Waker};

#[cfg(all(feature = "tokio", not(latchwork_loom)))]
use super::parked::Parked;
#[cfg(all(feature = "tokio", not(latchwork_loom)))]
use super::runtime;
use crate::sync::{Thread, current};

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.unpark();
    }
}

fn new_waker() -> Waker {
    Waker::from(Arc::new(Unpark(current())))
}

/// The waker that unparks this thread, made once a thread.
#[cfg(not(latchwork_loom))]
pub(crate) fn waker() -> Waker {
    thread_local! {
        static WAKER: Waker = new_waker();
    }
    // A lock may be waited for in another thread-local's destructor.
    WAKER.try_with(Waker::clone).unwrap_or_else(|_| new_waker())
}

#[cfg(latchwork_loom)]
pub(crate) fn waker() -> Waker {
    new_waker()
}

/// Runs `f`, which may park this thread. A worker of a multi-thread tokio runtime hands its tasks over first.
/// In a task of a current-thread runtime, where nobody could take over, it panics.
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

/// Reports a `wait()` that could stall an event loop, in debug builds, although nothing is to be
/// waited for this time.
#[inline]
#[track_caller]
pub(crate) fn report_misuse() {
    #[cfg(all(debug_assertions, feature = "tokio", not(latchwork_loom)))]
    runtime::check();
}
