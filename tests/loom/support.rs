//! What every model needs: bounds, a floor against blindness, actors that note what they met.

#![allow(unsafe_code)]

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use loom::cell::UnsafeCell;
use loom::model::Builder;
use loom::thread;

/// Whether acquisitions had to wait, over all executions of a model.
#[derive(Clone, Default)]
pub(crate) struct Seen(Arc<[AtomicUsize; 2]>);

impl Seen {
    pub(crate) fn note(&self, waited: bool) {
        self.0[usize::from(waited)].fetch_add(1, Ordering::Relaxed);
    }

    /// Awaits `future` in a task of this thread, and notes whether it had to wait.
    pub(crate) fn task<F: Future>(&self, future: F) -> F::Output {
        self.task_pinned(pin!(future))
    }

    pub(crate) fn task_pinned<F: Future>(&self, mut future: Pin<&mut F>) -> F::Output {
        let waker = thread_waker();
        let mut waited = false;
        loop {
            match future.as_mut().poll(&mut Context::from_waker(&waker)) {
                Poll::Ready(out) => {
                    self.note(waited);
                    return out;
                }
                Poll::Pending => {
                    waited = true;
                    thread::park();
                }
            }
        }
    }

    /// Fails if the model never met one of the two outcomes.
    pub(crate) fn both(&self) {
        let [at_once, waited] = [&self.0[0], &self.0[1]].map(|count| count.load(Ordering::Relaxed));
        assert!(at_once > 0 && waited > 0, "blind model: {at_once} had it at once, {waited} waited");
    }
}

/// Checks `model` in every interleaving with at most `preemptions` of them (all, for `None`), and
/// that there are at least `floor` of those.
pub(crate) fn check(preemptions: Option<usize>, floor: usize, model: impl Fn() + Send + Sync + 'static) {
    let executions = Arc::new(AtomicUsize::new(0));
    let mut builder = Builder::new();
    builder.preemption_bound = preemptions;
    builder.max_branches = 20_000;
    let counter = executions.clone();
    builder.check(move || {
        counter.fetch_add(1, Ordering::Relaxed);
        model();
    });
    let executions = executions.load(Ordering::Relaxed);
    println!("{executions} executions");
    assert!(executions >= floor, "blind model: only {executions} executions, expected {floor}");
}

struct Unpark(thread::Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

pub(crate) fn thread_waker() -> Waker {
    Waker::from(Arc::new(Unpark(thread::current())))
}

/// Polls once with a waker that nobody listens to.
pub(crate) fn poll_once<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

/// A waker that remembers whether it was woken.
#[derive(Default)]
pub(crate) struct Woken(AtomicBool);

impl Woken {
    pub(crate) fn poll<F: Future>(self: &Arc<Self>, future: Pin<&mut F>) -> Poll<F::Output> {
        future.poll(&mut Context::from_waker(&Waker::from(self.clone())))
    }

    pub(crate) fn is(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// A number that loom watches: two accesses at once, or one that did not see the other, fail.
#[derive(Default)]
pub(crate) struct Watched(UnsafeCell<usize>);

// SAFETY: loom itself reports every unsynchronised access.
unsafe impl Sync for Watched {}
// SAFETY: as above.
unsafe impl Send for Watched {}

impl Watched {
    pub(crate) fn add(&self, by: usize) {
        // SAFETY: loom checks that this access is exclusive.
        self.0.with_mut(|value| unsafe { *value += by });
    }

    pub(crate) fn get(&self) -> usize {
        // SAFETY: loom checks that no write is going on.
        self.0.with(|value| unsafe { *value })
    }
}
