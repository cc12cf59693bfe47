//! [`KeyedLockService`]: a service behind a layer.

use std::error::Error;
use std::fmt;
use std::mem;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use tower_service::Service;

use super::body::HeldBody;
use super::call::{KeyedCall, State};
use super::outcome::Outcome;
use super::refusal::Refusal;
use super::setup::Setup;
use super::span::Span;
use super::wait::Wait;
use crate::keyed::KeyedLock;
use crate::layer::request_key::RequestKey;
use crate::mode::Mode;
use crate::provider::{Begun, HeldLock, LockError, LockProvider, Shown};

/// A service behind a lock for each request's key: see [`KeyedLockLayer`](super::KeyedLockLayer).
pub struct KeyedLockService<T, K, F, L = Arc<KeyedLock<K>>> {
    inner: T,
    setup: Arc<Setup<K, F, L>>,
}

impl<T, K, F, L> KeyedLockService<T, K, F, L> {
    pub(super) fn new(inner: T, setup: Arc<Setup<K, F, L>>) -> Self {
        Self { inner, setup }
    }
}

impl<T, B, R, K, F, L> Service<Request<B>> for KeyedLockService<T, K, F, L>
where
    T: Service<Request<B>, Response = Response<R>, Error: Send + 'static, Future: Send + 'static>
        + Clone
        + Send
        + 'static,
    B: Send + 'static,
    R: Body<Data = Bytes, Error: Into<Box<dyn Error + Send + Sync>>> + Send + 'static,
    K: 'static,
    F: RequestKey<K>,
    L: LockProvider<K>,
{
    type Response = Response<HeldBody<R>>;
    type Error = T::Error;
    type Future = KeyedCall<T, B, R, K, F, L>;

    /// Polls the service. It takes no lock.
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), T::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let Self { inner, setup } = self;
        let mode = setup.mode.get();
        if mode == Mode::Off {
            setup.stats.add(Outcome::Off);
            return KeyedCall::unlocked(setup, inner.call(request));
        }
        let (mut parts, body) = request.into_parts();
        let ask = setup.ask(setup.shares_reads && parts.method.is_safe());
        let key = setup.key.key(&mut parts);
        let request = Request::from_parts(parts, body);
        let key = match key {
            Ok(Some(key)) => key,
            Ok(None) => {
                setup.stats.add(Outcome::NoKey);
                return KeyedCall::unlocked(setup, inner.call(request));
            }
            Err(problem) => {
                let span = Span::new(setup.name, setup.locks.name(), None::<&str>);
                let state = refuse_or_pass(setup, &span, inner, request, Refusal::BadKey(problem), mode);
                return KeyedCall::new(setup, span, state);
            }
        };
        let span = Span::new(setup.name, setup.locks.name(), Shown::new(setup.locks.show_key(), &key));
        let state = match span.run(|| setup.locks.begin(key, ask)) {
            Begun::Acquired(guard) if !guard.is_lost() => {
                State::begin(setup, &span, inner, request, guard, (mode, Outcome::Acquired))
            }
            Begun::Acquired(guard) => {
                span.run(|| drop(guard));
                refuse_or_pass(setup, &span, inner, request, Refusal::Lock(LockError::Lost), mode)
            }
            Begun::Refused(error) => refuse_or_pass(setup, &span, inner, request, Refusal::Lock(error), mode),
            Begun::Waiting(wait) if mode == Mode::Enforce => {
                let wait = Wait::new(wait, &setup.stats, &span, Outcome::Cancelled, setup.limit());
                // The service that was polled ready waits with the request; its clone is polled anew.
                let clone = inner.clone();
                State::Waiting { wait, then: Some((mem::replace(inner, clone), request)) }
            }
            Begun::Waiting(wait) => {
                let watched = Wait::new(wait, &setup.stats, &span, setup.if_unanswered(), setup.limit());
                State::running(span.run(|| inner.call(request)), Some(watched))
            }
        };
        KeyedCall::new(setup, span, state)
    }
}

/// Refuses a request, or calls the service without the key if the layer only observes.
fn refuse_or_pass<T, B, R, K, F, L, G, W>(
    setup: &Setup<K, F, L>,
    span: &Span,
    service: &mut T,
    request: Request<B>,
    refusal: Refusal,
    mode: Mode,
) -> State<T, B, R, G, W>
where
    T: Service<Request<B>, Response = Response<R>>,
    G: HeldLock + 'static,
{
    if mode == Mode::Enforce {
        return State::refuse(setup, span, &request, refusal);
    }
    setup.note_refusal(span, &refusal, refusal.outcome().observed());
    State::running(span.run(|| service.call(request)), None)
}

impl<T: Clone, K, F, L> Clone for KeyedLockService<T, K, F, L> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone(), setup: self.setup.clone() }
    }
}

impl<T: fmt::Debug, K, F, L> fmt::Debug for KeyedLockService<T, K, F, L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyedLockService").field("inner", &self.inner).field("setup", &self.setup).finish()
    }
}
