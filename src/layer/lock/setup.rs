//! What a layer and its services know: see [`KeyedLockLayer`](super::KeyedLockLayer).

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Request, Response};

use super::hold::Terms;
use super::lost::{OnLost, Watch};
use super::outcome::Outcome;
use super::refusal::Refusal;
use super::span::{Outages, Span};
use super::stats::LayerStats;
use crate::mode::ModeSwitch;
use crate::provider::{Ask, LockError};
use crate::semaphore::Semaphore;
use crate::web::{Problem, grpc_type};

/// What a layer and its services know.
pub(super) struct Setup<K, F, L> {
    pub(super) locks: L,
    pub(super) key: F,
    /// How long to wait for a key; `None`: not at all.
    pub(super) wait: Option<Duration>,
    /// How long the provider may take beyond that to answer.
    pub(super) answer_timeout: Duration,
    pub(super) max_waiters: usize,
    pub(super) shares_reads: bool,
    pub(super) until_body_end: bool,
    pub(super) is_detached: bool,
    pub(super) shares_guard: bool,
    pub(super) on_lost: OnLost,
    /// How long a key is held at least.
    pub(super) min_hold: Option<Duration>,
    /// A permit for each request that may run. Clones share them.
    pub(super) places: Option<Arc<Semaphore>>,
    pub(super) mode: ModeSwitch,
    pub(super) stats: LayerStats,
    pub(super) outages: Outages,
    pub(super) name: Option<&'static str>,
    pub(super) render: Option<Arc<Render>>,
    pub(super) of: PhantomData<fn() -> K>,
}

/// As many requests run as the limit allows.
pub(super) struct Full;

pub(super) type Render = dyn Fn(&Problem) -> Response<Bytes> + Send + Sync;

impl<K, F, L> Setup<K, F, L> {
    /// Answers with a problem. `grpc` is the media type of the request if it is one of gRPC: such a client understands
    /// no other answer.
    pub(super) fn answer(&self, problem: Problem, grpc: Option<HeaderValue>) -> Response<Bytes> {
        match (grpc, &self.render) {
            (Some(media), _) => problem.grpc_response(media),
            (None, Some(render)) => render(&problem),
            (None, None) => problem.response(),
        }
    }

    /// Returns the problem for a refusal. A key may be busy because it is held for a minimum: a client that comes back
    /// sooner than that is refused again.
    pub(super) fn problem(&self, refusal: Refusal) -> Problem {
        let is_busy = matches!(refusal, Refusal::Lock(LockError::Busy(_)));
        let problem = Problem::from(refusal);
        match self.min_hold.filter(|_| is_busy) {
            Some(min_hold) => {
                let longest = problem.retry_after().map_or(min_hold, |wait| wait.max(min_hold));
                problem.with_retry_after(longest)
            }
            None => problem,
        }
    }

    /// Answers a request that ended with its lock.
    pub(super) fn answer_lost(&self, grpc: Option<HeaderValue>) -> Response<Bytes> {
        self.answer(self.problem(Refusal::Lock(LockError::Lost)), grpc)
    }

    /// Returns the terms on which a key that is granted now is held. It fails if the limit leaves no place.
    #[inline]
    pub(super) fn terms(&self) -> Result<Option<Box<Terms>>, Full> {
        let is_plain = self.min_hold.is_none() && self.places.is_none() && self.on_lost == OnLost::Continue;
        if is_plain { Ok(None) } else { self.new_terms().map(Some) }
    }

    #[cold]
    fn new_terms(&self) -> Result<Box<Terms>, Full> {
        let place = self.places.as_ref().map(Semaphore::try_acquire_owned).transpose().map_err(|_| Full)?;
        Ok(Box::new(Terms::new(self.min_hold, place)))
    }

    /// Returns the terms of a request that runs without a place, as it is only observed.
    #[cold]
    pub(super) fn terms_without_place(&self) -> Option<Box<Terms>> {
        self.min_hold.map(|min_hold| Box::new(Terms::new(Some(min_hold), None)))
    }

    /// Returns how a request waits for its key.
    pub(super) fn ask(&self, is_shared: bool) -> Ask {
        let ask = match self.wait {
            Some(timeout) => Ask::wait().timeout(timeout).max_waiters(self.max_waiters),
            None => Ask::now(),
        };
        if is_shared { ask.shared() } else { ask }
    }

    /// Returns the time after which a provider that has not answered counts as unavailable.
    pub(super) fn limit(&self) -> Duration {
        self.wait.unwrap_or_default().saturating_add(self.answer_timeout)
    }

    /// Returns how an observed request counts that is over before the provider has answered.
    pub(super) fn if_unanswered(&self) -> Outcome {
        if self.wait.is_some() { Outcome::WouldWait } else { Outcome::Unanswered }
    }

    /// Counts an outcome and writes it to the span.
    pub(super) fn note(&self, span: &Span, outcome: Outcome) {
        self.stats.add(outcome);
        span.outcome(outcome);
    }

    /// As [`note`](Self::note), for a key that was granted. A layer that aborts counts the request at its end, with its
    /// `terms`. The request is `enforced`, or only observed.
    pub(super) fn note_grant<B>(
        &self,
        span: &Span,
        terms: &mut Option<Box<Terms>>,
        outcome: Outcome,
        enforced: Option<&Request<B>>,
    ) {
        match terms {
            Some(terms) if self.on_lost == OnLost::Abort => terms.watch(match enforced {
                Some(request) => Watch::aborting(self.stats.clone(), outcome, grpc_type(request)),
                None => Watch::observing(self.stats.clone(), outcome),
            }),
            _ => self.note(span, outcome),
        }
    }

    /// As [`note`](Self::note), for a key that was not granted. The client does not see the cause, so it goes to the
    /// log.
    pub(super) fn note_refusal(&self, span: &Span, refusal: &Refusal, outcome: Outcome) {
        if let Refusal::Lock(LockError::Unavailable(cause)) = refusal {
            span.unavailable(&self.outages, &**cause);
        }
        self.note(span, outcome);
    }

    /// Returns how a grant counts that the provider did not answer at once.
    ///
    /// A request that may not wait has only waited for the provider's answer.
    pub(super) fn granted_late(&self) -> Outcome {
        if self.wait.is_some() { Outcome::Waited } else { Outcome::Acquired }
    }
}

impl<K, F: Clone, L: Clone> Clone for Setup<K, F, L> {
    fn clone(&self) -> Self {
        Self {
            locks: self.locks.clone(),
            key: self.key.clone(),
            mode: self.mode.clone(),
            stats: self.stats.clone(),
            outages: self.outages.clone(),
            places: self.places.clone(),
            render: self.render.clone(),
            ..*self
        }
    }
}

impl<K, F, L> fmt::Debug for Setup<K, F, L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyedLockLayer")
            .field("name", &self.name)
            .field("mode", &self.mode)
            .field("wait", &self.wait)
            .field("max_waiters", &self.max_waiters)
            .finish_non_exhaustive()
    }
}
