//! [`OnRuntime`]: what is dropped on its runtime, wherever that happens.

use std::future::Future;
use std::ops::{Deref, DerefMut};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::runtime::Handle;

/// A connection, or a future that holds one. sqlx gives a connection back with a task, and panics without a runtime to
/// spawn it on. So the runtime is entered before the value is dropped.
///
/// If the runtime has been shut down, the task is dropped instead of run, and with it the connection is closed.
#[derive(Debug)]
pub(super) struct OnRuntime<T> {
    /// `None` once it is taken out.
    value: Option<T>,
    runtime: Handle,
}

impl<T> OnRuntime<T> {
    pub(super) fn new(value: T, runtime: Handle) -> Self {
        Self { value: Some(value), runtime }
    }

    pub(super) fn runtime(&self) -> Handle {
        self.runtime.clone()
    }

    pub(super) fn take(mut self) -> (T, Handle) {
        let value = self.value.take().expect("it is taken once, by the owner");
        (value, self.runtime.clone())
    }
}

const THERE: &str = "it is there until the owner takes it";

impl<T> Deref for OnRuntime<T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.value.as_ref().expect(THERE)
    }
}

impl<T> DerefMut for OnRuntime<T> {
    fn deref_mut(&mut self) -> &mut T {
        self.value.as_mut().expect(THERE)
    }
}

impl<T> Drop for OnRuntime<T> {
    fn drop(&mut self) {
        if let Some(value) = self.value.take() {
            let _entered = self.runtime.enter();
            drop(value);
        }
    }
}

impl<F: Future + Unpin> Future for OnRuntime<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        // Polled on another runtime, or on none, the future still finds the one that its connection belongs to.
        let Self { value, runtime } = &mut *self;
        let _entered = runtime.enter();
        Pin::new(value.as_mut().expect(THERE)).poll(cx)
    }
}
