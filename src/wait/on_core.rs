//! The request that every lock with a [`Core`] makes of it.

use std::fmt;
use std::ops::Deref;
use std::pin::Pin;
use std::task::Waker;

use super::acquire::{Acquire, End, Request};
use super::core::{AsCore, Core};
use super::list::Node;

/// `need` permits of the lock behind `handle`, to become `finish(handle)`.
pub(crate) struct OnCore<H, F> {
    /// Gone with the guard.
    handle: Option<H>,
    need: usize,
    /// Whether these are all the permits that there are.
    whole: bool,
    finish: F,
}

impl<H, G, F> OnCore<H, F>
where
    H: Deref<Target: AsCore>,
    F: FnMut(H) -> G,
{
    #[inline]
    pub(crate) fn acquire(handle: H, need: usize, finish: F) -> Acquire<Self> {
        Acquire::new(Self { handle: Some(handle), need, whole: false, finish })
    }

    #[inline]
    pub(crate) fn acquire_whole(handle: H, need: usize, finish: F) -> Acquire<Self> {
        Acquire::new(Self { handle: Some(handle), need, whole: true, finish })
    }
}

impl<H, G, F> OnCore<H, F>
where
    H: Deref<Target: AsCore>,
    F: FnMut(H) -> G,
{
    #[inline]
    fn core(&self) -> &Core {
        self.handle.as_ref().expect("an Acquire is not polled again after it was ready").core()
    }
}

impl<H, G, F> Request for OnCore<H, F>
where
    H: Deref<Target: AsCore>,
    F: FnMut(H) -> G,
{
    type Guard = G;
    type Grant = ();

    #[inline]
    fn take(&mut self) -> Option<()> {
        self.core().take(self.need, self.whole).then_some(())
    }

    fn step(&mut self, node: Pin<&mut Node>, task: &Waker) -> Option<()> {
        self.core().step(node, self.need, task).then_some(())
    }

    #[inline]
    fn guard(&mut self, (): ()) -> G {
        let handle = self.handle.take().expect("permits were taken of this handle's core");
        (self.finish)(handle)
    }

    fn leave(&mut self, node: Pin<&mut Node>, _: End) {
        self.core().leave(node);
    }

    fn looks_free(&self) -> bool {
        self.core().available() >= self.need
    }
}

impl<H, F> fmt::Debug for OnCore<H, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OnCore").field("need", &self.need).finish_non_exhaustive()
    }
}
