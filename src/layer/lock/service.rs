//! [`KeyedLockService`]: what a layer makes of a service.

use std::error::Error;
use std::fmt;
use std::hash::{BuildHasher, Hash, RandomState};
use std::mem;
use std::sync::Arc;
use std::task::{Context, Poll};

use ::axum::body::Bytes;
use ::axum::http::{Request, Response};
use tower_service::Service;

use super::body::HeldBody;
use super::call::{KeyedCall, State};
use super::counts::Outcome;
use super::mode::Mode;
use super::setup::Setup;
use super::span::Span;
use super::wait::{Attempt, Refusal};
use crate::layer::request_key::RequestKey;
use crate::provider::{LockProvider, Shown};

/// A service behind a lock for each request's key: see [`KeyedLockLayer`](super::KeyedLockLayer).
pub struct KeyedLockService<T, K, F, S = RandomState> {
    inner: T,
    setup: Arc<Setup<K, F, S>>,
}

impl<T, K, F, S> KeyedLockService<T, K, F, S> {
    pub(super) fn new(inner: T, setup: Arc<Setup<K, F, S>>) -> Self {
        Self { inner, setup }
    }
}

impl<T, B, R, K, F, S> Service<Request<B>> for KeyedLockService<T, K, F, S>
where
    T: Service<Request<B>, Response = Response<R>, Error: Send + 'static, Future: Send + 'static>
        + Clone
        + Send
        + 'static,
    B: Send + 'static,
    R: http_body::Body<Data = Bytes, Error: Into<Box<dyn Error + Send + Sync>>> + Send + 'static,
    K: Eq + Hash + Send + Sync + 'static,
    F: RequestKey<K>,
    S: BuildHasher + Send + Sync + 'static,
{
    type Response = Response<HeldBody<R>>;
    type Error = T::Error;
    type Future = KeyedCall<T, B, R, K, F, S>;

    /// Asks the service, and takes no lock.
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), T::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let Self { inner, setup } = self;
        let mode = setup.mode.get();
        if mode == Mode::Off {
            setup.counts.add(Outcome::Off);
            return KeyedCall::unlocked(setup, inner.call(request));
        }
        let (mut parts, body) = request.into_parts();
        let shared = setup.shares_reads && parts.method.is_safe();
        let key = setup.key.key(&mut parts);
        let request = Request::from_parts(parts, body);
        let (span, attempt) = match key {
            Ok(Some(key)) => {
                let span = Span::new(setup.name, Shown::new(setup.locks.show_key(), &key));
                let attempt = span.run(|| setup.attempt(&span, key, shared));
                (span, attempt)
            }
            Ok(None) => {
                setup.counts.add(Outcome::NoKey);
                return KeyedCall::unlocked(setup, inner.call(request));
            }
            Err(problem) => (Span::new(setup.name, None::<&str>), Attempt::Refused(Refusal::BadKey(problem))),
        };
        let state = match attempt {
            Attempt::Had(guard) => {
                setup.note(&span, Outcome::Acquired);
                State::begin(setup, &span, inner, request, guard, mode)
            }
            Attempt::Refused(refusal) if mode == Mode::Enforce => State::refuse(setup, &span, refusal),
            Attempt::Refused(refusal) => {
                setup.note(&span, refusal.outcome().observed());
                State::running(span.run(|| inner.call(request)), None)
            }
            Attempt::Waits(wait) if mode == Mode::Enforce => {
                // The one that was polled ready waits for the key; its clone has to be asked anew.
                let clone = inner.clone();
                State::Waiting { wait, then: Some((mem::replace(inner, clone), request)) }
            }
            Attempt::Waits(wait) => {
                let watched = wait.if_dropped(Outcome::WouldWait);
                State::running(span.run(|| inner.call(request)), Some(watched))
            }
        };
        KeyedCall::new(setup, span, state)
    }
}

impl<T: Clone, K, F, S> Clone for KeyedLockService<T, K, F, S> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone(), setup: self.setup.clone() }
    }
}

impl<T: fmt::Debug, K, F, S> fmt::Debug for KeyedLockService<T, K, F, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyedLockService").field("inner", &self.inner).field("setup", &self.setup).finish()
    }
}
