//! The acquisition of every lock with a [`Core`].

use std::fmt;
use std::marker::PhantomData;
use std::ops::Deref;
use std::pin::Pin;
use std::task::Waker;

use super::acquire::Acquire;
use super::acquisition::{Acquisition, Attempt, End, OneQueue};
use super::core::{AsCore, Core};
use super::list::Node;
use crate::error::{Busy, TimedOut};

/// A guard of permits of the lock behind a handle `H`.
pub trait Granted<H> {
    /// Makes the guard of `permits` that were taken just now.
    #[doc(hidden)]
    fn granted(handle: H, permits: usize) -> Self;
}

/// An acquisition of permits of the lock behind `handle`, which become a guard `G`.
pub struct OnCore<H, G> {
    /// Moves into the guard.
    handle: Option<H>,
    need: usize,
    /// These are all the permits that exist.
    whole: bool,
    guard: PhantomData<fn() -> G>,
}

impl<H: Deref<Target: AsCore>, G: Granted<H>> OnCore<H, G> {
    /// Creates an acquisition of `need` permits out of more.
    #[inline]
    pub(crate) fn some(handle: H, need: usize) -> Self {
        Self { handle: Some(handle), need, whole: false, guard: PhantomData }
    }

    /// Creates an acquisition of all permits, of which there are `need`.
    #[inline]
    pub(crate) fn all(handle: H, need: usize) -> Self {
        Self { handle: Some(handle), need, whole: true, guard: PhantomData }
    }

    #[inline]
    pub(crate) fn acquire(self) -> Acquire<Self> {
        Acquire::new(self)
    }

    #[inline]
    fn core(&self) -> &Core {
        self.handle.as_ref().expect("an Acquire is not polled again after it was ready").core()
    }
}

impl<H: Deref<Target: AsCore>, G: Granted<H>> Acquisition for OnCore<H, G> {
    type Guard = G;
    type Timed = Result<G, TimedOut>;
    type Grant = ();

    #[inline]
    fn take(&mut self) -> Option<()> {
        self.core().take(self.need, self.whole).then_some(())
    }

    fn step(&mut self, node: Pin<&mut Node>, task: &Waker) -> Option<()> {
        let granted = self.core().step(node, self.need, task, usize::MAX)?;
        let () = granted.expect("a queue without a bound has room");
        Some(())
    }

    #[inline]
    fn guard(&mut self, (): ()) -> G {
        let handle = self.handle.take().expect("permits were taken of this handle's core");
        G::granted(handle, self.need)
    }

    #[inline]
    fn in_time(guard: Option<G>) -> Result<G, TimedOut> {
        guard.ok_or(TimedOut::NEW)
    }

    fn leave(&mut self, node: Pin<&mut Node>, _: End) {
        self.core().leave(node);
    }

    fn looks_free(&self) -> bool {
        self.core().available() >= self.need
    }
}

impl<H: Deref<Target: AsCore>, G: Granted<H>> Attempt for OnCore<H, G> {
    #[inline]
    fn attempt(mut self) -> Result<G, Busy> {
        let core = self.core();
        if core.try_take(self.need, self.whole) { Ok(self.guard(())) } else { Err(core.busy()) }
    }
}

impl<H: Deref<Target: AsCore>, G: Granted<H>> OneQueue for OnCore<H, G> {
    fn step_within(
        &mut self,
        node: Pin<&mut Node>,
        task: &Waker,
        max_waiters: usize,
    ) -> Option<Result<(), Busy>> {
        self.core().step(node, self.need, task, max_waiters)
    }

    fn refused(&mut self, _: Busy) {
        self.handle = None;
    }
}

impl<H, G> fmt::Debug for OnCore<H, G> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OnCore").field("need", &self.need).finish_non_exhaustive()
    }
}
