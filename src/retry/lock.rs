//! [`AttemptLock`]: the lock around the attempts of a change.
//!
//! The condition of the store keeps the data right, with or without the lock: the lock only helps attempts to get
//! through. So a lock that can't be acquired, or is lost, does not fail the call. But it is never taken for open
//! silently: the session reports each attempt that was made without it.

use std::fmt;
use std::future::{Future, poll_fn};
use std::ops::ControlFlow::{self, Break, Continue};
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::Duration;

use super::clock::Clock;
use super::session::Session;
use crate::error::TimedOut;
use crate::provider::{Ask, Begun, HeldLock, LockError, LockProvider};

/// Which lock the attempts of a change take, and how.
#[derive(Clone)]
pub(super) struct AttemptLock<'l, P, K> {
    pub(super) locks: &'l P,
    pub(super) key: K,
    /// The number of conflicts after which an attempt takes the key alone.
    pub(super) after: u32,
}

impl<P: LockProvider<K>, K: Clone> AttemptLock<'_, P, K> {
    /// Asks for the lock of the next attempt. Breaks if there is nothing to wait for; `None` if the attempt goes on
    /// without the lock.
    pub(super) fn enter<'p, C>(
        &self,
        timeout: Option<Duration>,
        session: &Session<'p, C>,
    ) -> ControlFlow<Option<P::Guard>, Entering<'p, P::Guard>> {
        match self.begin(session) {
            None => Break(None),
            Some(Begun::Acquired(guard)) => Break(answered(Ok(guard), session)),
            Some(Begun::Refused(error)) => Break(answered(Err(error), session)),
            Some(Begun::Waiting(wait)) => Continue(match timeout {
                Some(limit) => Box::pin(within(wait, limit, session.clock())),
                None => Box::pin(wait),
            }),
        }
    }

    /// Waits on this thread for the lock of the next attempt. Returns `None` if the attempt goes on without it.
    pub(super) fn enter_blocking<C>(
        &self,
        timeout: Option<Duration>,
        session: &Session<'_, C>,
    ) -> Option<P::Guard> {
        let begun = self.begin(session)?;
        let answer = match timeout {
            Some(limit) => begun.wait_timeout(limit),
            None => begun.wait(),
        };
        answered(answer, session)
    }

    fn begin<C>(&self, session: &Session<'_, C>) -> Option<Begun<P::Guard, P::Wait>> {
        let ask = if session.attempt().conflicts() >= self.after {
            Ask::wait()
        } else if self.locks.can_share() {
            Ask::wait().shared()
        } else {
            // One after the other from the start would be an escalation.
            return None;
        };
        Some(self.locks.begin(self.key.clone(), ask))
    }
}

/// The wait of a task for a lock. It is boxed, so that a call that does not wait stays small.
pub(super) type Entering<'p, G> = Pin<Box<dyn Future<Output = Result<G, LockError>> + Send + 'p>>;

/// Turns the answer to a request into the lock, or reports the attempt that goes on without it. A lock that is lost when
/// it arrives is not held.
pub(super) fn answered<G: HeldLock, C>(answer: Result<G, LockError>, session: &Session<'_, C>) -> Option<G> {
    let held = answer.and_then(|held| if held.is_lost() { Err(LockError::Lost) } else { Ok(held) });
    held.map_err(|error| session.report_without_lock(&error)).ok()
}

/// Ends the hold of an attempt that is over, and reports it if the lock was lost meanwhile.
pub(super) fn leave<C>(held: Option<impl HeldLock>, session: &Session<'_, C>) {
    if let Some(held) = held {
        let is_lost = held.is_lost();
        // Before the observer runs, which may take its time.
        drop(held);
        if is_lost {
            session.report_without_lock(&LockError::Lost);
        }
    }
}

/// Waits for a lock, for `limit` at most by the policy's clock. A zero limit looks once.
async fn within<G>(
    wait: impl Future<Output = Result<G, LockError>>,
    limit: Duration,
    clock: &dyn Clock,
) -> Result<G, LockError> {
    let mut wait = pin!(wait);
    let mut timer = (!limit.is_zero()).then(|| clock.sleep(limit));
    poll_fn(|cx| match wait.as_mut().poll(cx) {
        Poll::Ready(answer) => Poll::Ready(answer),
        Poll::Pending => {
            let is_up = timer.as_mut().is_none_or(|timer| timer.as_mut().poll(cx).is_ready());
            if is_up { Poll::Ready(Err(TimedOut::NEW.into())) } else { Poll::Pending }
        }
    })
    .await
}

impl<P, K> fmt::Debug for AttemptLock<'_, P, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not the key: it may not be shown in logs.
        let mut shown = f.debug_struct("AttemptLock");
        shown.field("after", &self.after).finish_non_exhaustive()
    }
}
