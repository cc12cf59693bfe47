//! [`Uninterrupted`]: what goes on although nobody waits for it.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::runtime::Handle;

use super::session::current_or;

/// A future that a drop does not end: a task polls it on. Only the future that has sent a statement can read the answer,
/// and without the answer nobody knows in which state the connection is.
pub(super) struct Uninterrupted<T: 'static> {
    /// `None` once it has ended.
    pending: Option<Pin<Box<dyn Future<Output = T> + Send>>>,
    runtime: Handle,
}

impl<T: 'static> Uninterrupted<T> {
    pub(super) fn new(runtime: Handle, future: impl Future<Output = T> + Send + 'static) -> Self {
        Self { pending: Some(Box::pin(future)), runtime }
    }
}

impl<T: 'static> Future for Uninterrupted<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        // If it panics, it is not polled again.
        let mut pending = self.pending.take().expect("it is not polled again after its end");
        // The pool needs a runtime, and any will do: the current one need not be entered again.
        let _entered = Handle::try_current().is_err().then(|| self.runtime.enter());
        let polled = pending.as_mut().poll(cx);
        if polled.is_pending() {
            self.pending = Some(pending);
        }
        polled
    }
}

impl<T: 'static> Drop for Uninterrupted<T> {
    fn drop(&mut self) {
        if let Some(pending) = self.pending.take() {
            current_or(&self.runtime).spawn(async { drop(pending.await) });
        }
    }
}
