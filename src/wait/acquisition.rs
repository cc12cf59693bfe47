//! [`Acquisition`]: the part of an [`Acquire`](super::Acquire) that knows the lock.

use std::pin::Pin;
use std::task::Waker;

use super::list::Node;
use crate::error::Busy;

/// What an [`Acquire`](crate::Acquire) acquires, and what its caller gets.
///
/// Only this crate implements it.
pub trait Acquisition {
    /// The type that [`.await`](crate::Acquire) and [`wait`](crate::Acquire::wait) return: mostly a guard.
    type Guard;

    /// The type that a wait with a time limit returns: a `Result` with the guard.
    type Timed;

    /// The proof that an attempt succeeded, to be made a guard at once.
    #[doc(hidden)]
    type Grant;

    /// Makes a newcomer's attempt. It does not enlist.
    #[doc(hidden)]
    fn take(&mut self) -> Option<Self::Grant>;

    /// Makes an attempt that enlists `node` if it is refused. `task` is woken when another attempt is worth while.
    #[doc(hidden)]
    fn step(&mut self, node: Pin<&mut Node>, task: &Waker) -> Option<Self::Grant>;

    /// Returns the guard of what was granted just now. (A step of its own, so that the guard is written once, where
    /// the caller wants it: copying it costs as much as locking.)
    #[doc(hidden)]
    fn guard(&mut self, grant: Self::Grant) -> Self::Guard;

    /// Returns the outcome of a wait with a time limit: `None` if the time ran out.
    #[doc(hidden)]
    fn in_time(guard: Option<Self::Guard>) -> Self::Timed;

    /// Gives up, while it [is waiting](Acquisition::is_waiting).
    #[doc(hidden)]
    fn leave(&mut self, node: Pin<&mut Node>, end: End);

    /// Returns `true` if it is enlisted anywhere, and must leave.
    #[doc(hidden)]
    fn is_waiting(&self, node: &Node) -> bool {
        node.is_enlisted()
    }

    /// Returns `false` if an attempt is sure to be refused, as far as that can be seen at no cost.
    #[doc(hidden)]
    fn looks_free(&self) -> bool {
        true
    }
}

/// An acquisition that can be [tried without waiting](crate::Acquire::try_now).
///
/// Those of locks and semaphores can. Waiting [for a change](crate::Versioned::changed) or [until no key is in
/// use](crate::KeyedLock::drained) can't.
#[diagnostic::on_unimplemented(message = "this acquisition can't be tried without waiting")]
pub trait Attempt: Acquisition {
    /// Makes the only attempt.
    #[doc(hidden)]
    fn attempt(self) -> Result<Self::Guard, Busy>;
}

/// An acquisition that waits in one queue, of which the length [can be bounded](crate::Acquire::max_waiters).
///
/// That of [several keys](crate::KeyedLock::lock_many) waits in several.
#[diagnostic::on_unimplemented(
    message = "this acquisition does not wait in one queue that could have a bound"
)]
pub trait OneQueue: Acquisition {
    /// Makes an attempt as [`step`](Acquisition::step) does, but does not enlist behind `max_waiters` others.
    ///
    /// The number of waiters is read in the same critical section that would enlist, so there are never more.
    #[doc(hidden)]
    fn step_within(
        &mut self,
        node: Pin<&mut Node>,
        task: &Waker,
        max_waiters: usize,
    ) -> Option<Result<Self::Grant, Busy>>;

    /// Ends without a guard.
    #[doc(hidden)]
    fn refused(&mut self, busy: Busy);
}

/// Why an enlisted waiter leaves.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum End {
    /// The future was dropped.
    Cancelled,
    /// The time was up.
    TimedOut,
}
