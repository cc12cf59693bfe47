//! [`KeyedCall`]: one request on its way through a layer.

use std::fmt;
use std::future::{Future, poll_fn};
use std::panic;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::{HeaderValue, Request, Response};
use http_body::Body;
use pin_project_lite::pin_project;
use tokio::task::JoinHandle;
use tower_service::Service;

use super::body::HeldBody;
use super::hold::{Held, HeldKey, Hold};
use super::lost::{IsLost, Keep, OnLost, unless_lost};
use super::outcome::Outcome;
use super::refusal::Refusal;
use super::setup::{Full, Setup};
use super::span::{Span, Spanned};
use super::wait::Wait;
use crate::mode::Mode;
use crate::provider::{HeldLock, LockError, LockProvider};
use crate::web::{Problem, grpc_type};

pin_project! {
    /// The future of a [`KeyedLockService`](super::KeyedLockService).
    ///
    /// It waits for the key and calls the service. It releases the key when the response is ready, or when it is
    /// dropped.
    pub struct KeyedCall<T, B, R, K, F, L>
    where
        T: Service<Request<B>, Response = Response<R>>,
        L: LockProvider<K>,
    {
        #[pin]
        state: State<T, B, R, L::Guard, L::Wait>,
        setup: Arc<Setup<K, F, L>>,
        span: Span,
    }
}

/// The answer of the service, and the key if the response's body must keep it.
type Answered<R, E, G> = (Result<Response<R>, E>, Option<Hold<G>>);

pin_project! {
    #[project = StateProj]
    pub(super) enum State<T, B, R, G, W>
    where
        T: Service<Request<B>, Response = Response<R>>,
        G: HeldLock,
        G: 'static,
    {
        /// Refused without a call of the service, or answered already.
        Over { refusal: Option<Response<Bytes>> },
        /// Waiting for the key, with the service that is ready for the request.
        Waiting { #[pin] wait: Wait<W>, then: Option<(T, Request<B>)> },
        /// In the service. The key is released after the handler's values are dropped.
        Running {
            #[pin]
            future: T::Future,
            hold: Option<Hold<G>>,
            #[pin]
            watched: Option<Wait<W>>,
        },
        /// In the service, which goes on if this is dropped.
        Detached {
            task: JoinHandle<Result<Answered<R, T::Error, G>, IsLost>>,
            // The media type of a request of gRPC: see `grpc_type`.
            grpc: Option<HeaderValue>,
        },
    }
}

impl<T, B, R, G: HeldLock + 'static, W> State<T, B, R, G, W>
where
    T: Service<Request<B>, Response = Response<R>>,
{
    /// Refuses the request.
    pub(super) fn refuse<K, F, L>(
        setup: &Setup<K, F, L>,
        span: &Span,
        request: &Request<B>,
        refusal: Refusal,
    ) -> Self {
        setup.note_refusal(span, &refusal, refusal.outcome());
        Self::Over { refusal: Some(setup.answer(setup.problem(refusal), grpc_type(request))) }
    }

    /// In the service, without the key. `watched` is a wait for it whose end is only noted.
    pub(super) fn running(future: T::Future, watched: Option<Wait<W>>) -> Self {
        Self::Running { future, hold: None, watched }
    }
}

impl<T, B, R, G, W> State<T, B, R, G, W>
where
    T: Service<Request<B>, Response = Response<R>, Error: Send + 'static, Future: Send + 'static>,
    R: Send + 'static,
    G: HeldLock<Key: 'static> + 'static,
{
    /// Calls the service with the key, if there is a place for it.
    pub(super) fn begin<K, F, L>(
        setup: &Setup<K, F, L>,
        span: &Span,
        service: &mut T,
        mut request: Request<B>,
        guard: G,
        (mode, outcome): (Mode, Outcome),
    ) -> Self {
        let terms = match setup.terms() {
            Ok(mut terms) => {
                let enforced = Some(&request).filter(|_| mode == Mode::Enforce);
                setup.note_grant(span, &mut terms, outcome, enforced);
                terms
            }
            Err(Full) if mode == Mode::Enforce => {
                span.run(|| drop(guard));
                return Self::refuse(setup, span, &request, Refusal::Overloaded);
            }
            Err(Full) => {
                setup.note(span, Outcome::WouldBeOverloaded);
                setup.terms_without_place()
            }
        };
        let fence = guard.fence();
        span.fence(fence);
        let extensions = request.extensions_mut();
        extensions.insert(fence);
        let aborts = setup.on_lost == OnLost::Abort && mode == Mode::Enforce;
        let held = if setup.shares_guard || aborts {
            let key = HeldKey::new(guard);
            if setup.shares_guard {
                extensions.insert(key.clone());
            }
            Held::Shared { key }
        } else {
            Held::Alone { guard }
        };
        let hold = held.inside(span, terms);
        let is_detached = setup.is_detached && mode == Mode::Enforce;
        let grpc = if is_detached { grpc_type(&request) } else { None };
        let future = span.run(|| service.call(request));
        if is_detached {
            let until_body_end = setup.until_body_end;
            // The key is released with the answer, even if the task's handle is not polled.
            let future = async move {
                // They are dropped in the reverse order, wherever the task stops.
                let (future, mut hold) = (future, hold);
                let answer = {
                    let mut future = pin!(future);
                    poll_fn(|cx| unless_lost(Some(&mut hold), cx, |cx| future.as_mut().poll(cx))).await?
                };
                Ok((answer, Some(hold).filter(|_| until_body_end)))
            };
            Self::Detached { task: tokio::spawn(Spanned { future, span: span.clone() }), grpc }
        } else {
            Self::Running { future, hold: Some(hold), watched: None }
        }
    }
}

impl<T, B, R, K, F, L> KeyedCall<T, B, R, K, F, L>
where
    T: Service<Request<B>, Response = Response<R>>,
    L: LockProvider<K>,
{
    pub(super) fn new(
        setup: &Arc<Setup<K, F, L>>,
        span: Span,
        state: State<T, B, R, L::Guard, L::Wait>,
    ) -> Self {
        Self { state, setup: setup.clone(), span }
    }

    pub(super) fn unlocked(setup: &Arc<Setup<K, F, L>>, future: T::Future) -> Self {
        Self::new(setup, Span::none(), State::running(future, None))
    }
}

impl<T, B, R, K, F, L> Future for KeyedCall<T, B, R, K, F, L>
where
    T: Service<Request<B>, Response = Response<R>, Error: Send + 'static, Future: Send + 'static>,
    R: Body + Send + 'static,
    K: 'static,
    L: LockProvider<K>,
{
    type Output = Result<Response<HeldBody<R>>, T::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let (setup, span, mut state) = (this.setup, this.span, this.state);
        loop {
            let (result, hold) = match state.as_mut().project() {
                StateProj::Over { refusal } => {
                    let refusal = refusal.take().expect("a call is not polled again after it was ready");
                    return Poll::Ready(Ok(refusal.map(HeldBody::refused)));
                }
                StateProj::Waiting { wait, then } => {
                    let next = match ready!(span.run(|| wait.poll(cx))) {
                        Ok(guard) => {
                            let (mut service, request) = then.take().expect("a key is granted once");
                            let how = (Mode::Enforce, setup.granted_late());
                            State::begin(setup, span, &mut service, request, guard, how)
                        }
                        Err(error) => {
                            let (_, request) = then.as_ref().expect("a wait ends once");
                            State::refuse(setup, span, request, Refusal::Lock(error))
                        }
                    };
                    state.set(next);
                    continue;
                }
                StateProj::Running { future, hold, mut watched } => {
                    if let Some(wait) = watched.as_mut().as_pin_mut()
                        && let Poll::Ready(granted) = span.run(|| wait.poll(cx))
                    {
                        watched.set(None);
                        *hold = observed(setup, span, granted);
                    }
                    let result = ready!(unless_lost(hold.as_mut(), cx, |cx| span.run(|| future.poll(cx))));
                    let mut hold = hold.take();
                    // The future goes before the key: it may keep its values though it is ready.
                    state.set(State::Over { refusal: None });
                    match result {
                        Ok(result) => (result, hold),
                        Err(IsLost) => {
                            let grpc = hold.as_mut().and_then(Hold::take_grpc);
                            drop(hold);
                            return Poll::Ready(Ok(setup.answer_lost(grpc).map(HeldBody::refused)));
                        }
                    }
                }
                StateProj::Detached { task, grpc } => match ready!(Pin::new(task).poll(cx)) {
                    Ok(Ok(answered)) => answered,
                    Ok(Err(IsLost)) => {
                        return Poll::Ready(Ok(setup.answer_lost(grpc.take()).map(HeldBody::refused)));
                    }
                    Err(error) => match error.try_into_panic() {
                        Ok(panic) => panic::resume_unwind(panic),
                        // The runtime shuts down, and has stopped the service somewhere.
                        Err(_) => {
                            let response = setup.answer(Problem::interrupted(), grpc.take());
                            return Poll::Ready(Ok(response.map(HeldBody::refused)));
                        }
                    },
                },
            };
            let hold = hold.filter(|_| setup.until_body_end).map(|hold| Box::new(hold) as Box<dyn Keep>);
            return Poll::Ready(result.map(|response| response.map(|body| HeldBody::passed(body, hold))));
        }
    }
}

/// Notes how the wait of an observed request has ended. A key that was granted is kept, so that later requests meet it.
fn observed<K, F, L, G: HeldLock + 'static>(
    setup: &Setup<K, F, L>,
    span: &Span,
    granted: Result<G, LockError>,
) -> Option<Hold<G>> {
    match granted {
        Ok(guard) => {
            // It runs already, with a place or without one.
            let terms = match setup.terms() {
                Ok(mut terms) => {
                    let outcome = setup.granted_late().observed();
                    setup.note_grant(span, &mut terms, outcome, None::<&Request<()>>);
                    terms
                }
                Err(Full) => {
                    setup.note(span, Outcome::WouldBeOverloaded);
                    setup.terms_without_place()
                }
            };
            Some(Held::Alone { guard }.inside(span, terms))
        }
        Err(error) => {
            let refusal = Refusal::Lock(error);
            setup.note_refusal(span, &refusal, refusal.outcome().observed());
            None
        }
    }
}

impl<T, B, R, K, F, L> fmt::Debug for KeyedCall<T, B, R, K, F, L>
where
    T: Service<Request<B>, Response = Response<R>>,
    L: LockProvider<K>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match &self.state {
            State::Over { refusal: Some(_) } => "refused",
            State::Over { refusal: None } => "over",
            State::Waiting { .. } => "waiting",
            State::Running { .. } => "running",
            State::Detached { .. } => "detached",
        };
        f.debug_struct("KeyedCall").field("state", &state).finish_non_exhaustive()
    }
}
