//! A request's attempt at its key: had at once, refused at once, or to be waited for.

use std::future::Future;
use std::hash::{BuildHasher, Hash};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use super::counts::{LayerCounts, Outcome};
use super::setup::Setup;
use super::span::Span;
use crate::error::{Busy, NotAcquired, TimedOut};
use crate::keyed::OwnedKeyedGuard;
use crate::wait::{Acquire, Bounded, OneQueue};
use crate::web::Problem;

/// Why a request does not get its key.
pub(super) enum Refusal {
    Busy(Busy),
    TimedOut(TimedOut),
    QueueFull,
    BadKey(Problem),
}

impl Refusal {
    pub(super) fn outcome(&self) -> Outcome {
        match self {
            Self::Busy(_) => Outcome::Busy,
            Self::TimedOut(_) => Outcome::TimedOut,
            Self::QueueFull => Outcome::QueueFull,
            Self::BadKey(_) => Outcome::BadKey,
        }
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Busy(busy) => busy.into(),
            Refusal::TimedOut(timed_out) => timed_out.into(),
            Refusal::QueueFull => Self::queue_full(),
            Refusal::BadKey(problem) => problem,
        }
    }
}

/// What a first look at the key came to.
pub(super) enum Attempt<G> {
    Had(G),
    Refused(Refusal),
    Waits(Wait<G>),
}

/// A request that waits for its key.
pub(super) struct Wait<G> {
    /// Boxed: only those pay for it who wait.
    granted: Pin<Box<dyn Future<Output = Result<G, Refusal>> + Send>>,
    counts: LayerCounts,
    span: Span,
    /// What it is counted as, and told as, if it is dropped; `None` when it is over.
    if_dropped: Option<Outcome>,
}

impl<G> Wait<G> {
    /// What it comes to if it is dropped.
    pub(super) fn if_dropped(mut self, outcome: Outcome) -> Self {
        self.if_dropped = Some(outcome);
        self
    }

    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<G, Refusal>> {
        let granted = self.granted.as_mut().poll(cx);
        if granted.is_ready() {
            self.if_dropped = None;
        }
        granted
    }
}

impl<G> Drop for Wait<G> {
    fn drop(&mut self) {
        if let Some(outcome) = self.if_dropped {
            self.counts.add(outcome);
            self.span.outcome(outcome);
        }
    }
}

impl<K, F, S> Setup<K, F, S>
where
    K: Eq + Hash + Send + Sync + 'static,
    S: BuildHasher + Send + Sync + 'static,
{
    pub(super) fn attempt(&self, span: &Span, key: K, shared: bool) -> Attempt<OwnedKeyedGuard<K, S>> {
        match (self.wait, shared) {
            (None, false) => at_once(self.locks.try_lock_owned(key)),
            (None, true) => at_once(self.locks.try_lock_shared_owned(key)),
            (Some(timeout), false) => {
                self.in_time(span, self.locks.lock_owned(key).max_waiters(self.max_waiters), timeout)
            }
            (Some(timeout), true) => {
                self.in_time(span, self.locks.lock_shared_owned(key).max_waiters(self.max_waiters), timeout)
            }
        }
    }

    fn in_time<G: 'static>(
        &self,
        span: &Span,
        mut acquire: Acquire<Bounded<impl OneQueue<Guard = G> + Send + 'static>>,
        timeout: Duration,
    ) -> Attempt<G> {
        // Not a step that would enlist: what waits must be pinned first.
        if let Some(Ok(guard)) = acquire.take() {
            return Attempt::Had(guard);
        }
        let granted = Box::pin(async move {
            acquire.timeout(timeout).await.map_err(|error| match error {
                NotAcquired::Busy(_) => Refusal::QueueFull,
                NotAcquired::TimedOut(timed_out) => Refusal::TimedOut(timed_out),
            })
        });
        let (counts, span) = (self.counts.clone(), span.clone());
        Attempt::Waits(Wait { granted, counts, span, if_dropped: Some(Outcome::Cancelled) })
    }
}

fn at_once<G>(tried: Result<G, Busy>) -> Attempt<G> {
    match tried {
        Ok(guard) => Attempt::Had(guard),
        Err(busy) => Attempt::Refused(Refusal::Busy(busy)),
    }
}
