//! [`Bounded`]: an acquisition that waits only if few others do.

use std::pin::Pin;
use std::task::Waker;

use super::acquisition::{Acquisition, End, OneQueue};
use super::list::Node;
use crate::error::{Busy, NotAcquired, TimedOut};

/// An acquisition that is refused instead of enlisted if the queue is full. Behind
/// [`max_waiters`](crate::Acquire::max_waiters).
///
/// It is a type of its own, so that acquisitions without a bound pay nothing for it.
#[derive(Debug)]
pub struct Bounded<A> {
    inner: A,
    max_waiters: usize,
}

impl<A: OneQueue> Bounded<A> {
    #[inline]
    pub(super) fn new(inner: A, max_waiters: usize) -> Self {
        Self { inner, max_waiters }
    }
}

impl<A: OneQueue> Acquisition for Bounded<A> {
    type Guard = Result<A::Guard, Busy>;
    type Timed = Result<A::Guard, NotAcquired>;
    type Grant = Result<A::Grant, Busy>;

    #[inline]
    fn take(&mut self) -> Option<Self::Grant> {
        self.inner.take().map(Ok)
    }

    fn step(&mut self, node: Pin<&mut Node>, task: &Waker) -> Option<Self::Grant> {
        self.inner.step_within(node, task, self.max_waiters)
    }

    #[inline]
    fn guard(&mut self, grant: Self::Grant) -> Self::Guard {
        match grant {
            Ok(grant) => Ok(self.inner.guard(grant)),
            Err(busy) => {
                self.inner.refused(busy);
                Err(busy)
            }
        }
    }

    fn in_time(guard: Option<Self::Guard>) -> Self::Timed {
        Ok(guard.ok_or(TimedOut::NEW)??)
    }

    fn leave(&mut self, node: Pin<&mut Node>, end: End) {
        self.inner.leave(node, end);
    }

    fn is_waiting(&self, node: &Node) -> bool {
        self.inner.is_waiting(node)
    }

    fn looks_free(&self) -> bool {
        self.inner.looks_free()
    }
}
