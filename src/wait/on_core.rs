//! The request that every lock with a [`Core`] makes of it.

use std::fmt;
use std::ops::Deref;
use std::pin::Pin;
use std::task::Waker;

use super::acquire::{Acquire, End, Request, Steps};
use super::core::AsCore;
use super::line::Step;
use super::list::Node;

/// `need` permits of the lock behind `handle`, to become `finish(handle)`.
pub(crate) struct OnCore<H, F> {
    /// Gone with the guard.
    handle: Option<H>,
    need: usize,
    finish: F,
}

impl<H, G, F> OnCore<H, F>
where
    H: Deref<Target: AsCore>,
    F: FnMut(H) -> G,
{
    #[inline]
    pub(crate) fn acquire(handle: H, need: usize, finish: F) -> Acquire<Self> {
        Acquire::new(Self { handle: Some(handle), need, finish })
    }
}

impl<H: Deref<Target: AsCore>, F> OnCore<H, F> {
    #[inline]
    fn handle(&self) -> &H::Target {
        self.handle.as_ref().expect("an Acquire is not polled again after it was ready")
    }
}

impl<H, G, F> Request for OnCore<H, F>
where
    H: Deref<Target: AsCore>,
    F: FnMut(H) -> G,
{
    type Guard = G;

    #[inline]
    fn guard(&mut self) -> G {
        let handle = self.handle.take().expect("permits were taken for this handle just now");
        (self.finish)(handle)
    }
}

impl<H: Deref<Target: AsCore>, F> Steps for OnCore<H, F> {
    #[inline]
    fn take(&mut self) -> bool {
        self.handle().core().take(self.need)
    }

    fn step(&mut self, node: Pin<&mut Node>, task: &Waker) -> Step {
        self.handle().core().step(node, self.need, task)
    }

    fn leave(&mut self, node: Pin<&mut Node>, _: End) {
        self.handle().core().leave(node, self.need);
    }

    fn looks_free(&self) -> bool {
        self.handle().core().available() >= self.need
    }
}

impl<H, F> fmt::Debug for OnCore<H, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OnCore").field("need", &self.need).finish_non_exhaustive()
    }
}
