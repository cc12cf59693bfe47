//! [`KeyedCall`]: one request on its way through a layer.

use std::fmt;
use std::future::Future;
use std::hash::{BuildHasher, Hash};
use std::panic;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use ::axum::http::{Request, Response};
use ::axum::response;
use pin_project_lite::pin_project;
use tokio::task::JoinHandle;
use tower_service::Service;

use super::body::HeldBody;
use super::counts::Outcome;
use super::hold::{Held, HeldKey, Hold};
use super::mode::Mode;
use super::setup::Setup;
use super::span::{Span, Spanned};
use super::wait::{Refusal, Wait};
use crate::keyed::OwnedKeyedGuard;
use crate::web::Problem;

pin_project! {
    /// The future of a [`KeyedLockService`](super::KeyedLockService): it waits for the key, calls the service, and
    /// releases the key with the response, or when it is dropped.
    pub struct KeyedCall<T, B, R, K, F, S>
    where
        T: Service<Request<B>, Response = Response<R>>,
    {
        #[pin]
        state: State<T, B, R, K, S>,
        setup: Arc<Setup<K, F, S>>,
        span: Span,
    }
}

/// What the service has answered, and the key if it is still to be held.
type Answered<R, E, K, S> = (Result<Response<R>, E>, Option<Hold<K, S>>);

pin_project! {
    #[project = StateProj]
    pub(super) enum State<T, B, R, K, S>
    where
        T: Service<Request<B>, Response = Response<R>>,
    {
        /// Refused without a call of the service, or answered already.
        Over { refusal: Option<response::Response> },
        /// For the key; then the service that was ready for the request is called.
        Waiting { wait: Wait<OwnedKeyedGuard<K, S>>, then: Option<(T, Request<B>)> },
        /// In the service. What holds the key is dropped after what the handler holds.
        Running {
            #[pin]
            future: T::Future,
            hold: Option<Hold<K, S>>,
            watched: Option<Wait<OwnedKeyedGuard<K, S>>>,
        },
        /// In the service, which goes on if this is dropped.
        Detached { task: JoinHandle<Answered<R, T::Error, K, S>> },
    }
}

impl<T, B, R, K, S> State<T, B, R, K, S>
where
    T: Service<Request<B>, Response = Response<R>>,
{
    pub(super) fn refuse<F>(setup: &Setup<K, F, S>, span: &Span, refusal: Refusal) -> Self {
        setup.note(span, refusal.outcome());
        Self::Over { refusal: Some(setup.render(refusal.into())) }
    }

    /// In the service, without the key. `watched` waits for it all the same, to see what would come of it.
    pub(super) fn running(future: T::Future, watched: Option<Wait<OwnedKeyedGuard<K, S>>>) -> Self {
        Self::Running { future, hold: None, watched }
    }
}

impl<T, B, R, K, S> State<T, B, R, K, S>
where
    T: Service<Request<B>, Response = Response<R>, Error: Send + 'static, Future: Send + 'static>,
    R: Send + 'static,
    K: Eq + Hash + Send + Sync + 'static,
    S: BuildHasher + Send + Sync + 'static,
{
    /// Calls the service with the key.
    pub(super) fn begin<F>(
        setup: &Setup<K, F, S>,
        span: &Span,
        service: &mut T,
        mut request: Request<B>,
        guard: OwnedKeyedGuard<K, S>,
        mode: Mode,
    ) -> Self {
        span.fence(guard.fence());
        let extensions = request.extensions_mut();
        extensions.insert(guard.fence());
        let held = if setup.shares_guard {
            let key = HeldKey::new(guard);
            extensions.insert(key.clone());
            Held::Shared { _key: key }
        } else {
            Held::alone(guard)
        };
        let hold = held.inside(span);
        let future = span.run(|| service.call(request));
        if setup.is_detached && mode == Mode::Enforce {
            let until_body_end = setup.until_body_end;
            // The key goes with the answer, not only when somebody comes for it.
            let future = async move { (future.await, Some(hold).filter(|_| until_body_end)) };
            Self::Detached { task: tokio::spawn(Spanned { future, span: span.clone() }) }
        } else {
            Self::Running { future, hold: Some(hold), watched: None }
        }
    }
}

impl<T, B, R, K, F, S> KeyedCall<T, B, R, K, F, S>
where
    T: Service<Request<B>, Response = Response<R>>,
{
    pub(super) fn new(setup: &Arc<Setup<K, F, S>>, span: Span, state: State<T, B, R, K, S>) -> Self {
        Self { state, setup: setup.clone(), span }
    }

    pub(super) fn unlocked(setup: &Arc<Setup<K, F, S>>, future: T::Future) -> Self {
        Self::new(setup, Span::none(), State::running(future, None))
    }
}

impl<T, B, R, K, F, S> Future for KeyedCall<T, B, R, K, F, S>
where
    T: Service<Request<B>, Response = Response<R>, Error: Send + 'static, Future: Send + 'static>,
    R: http_body::Body + Send + 'static,
    K: Eq + Hash + Send + Sync + 'static,
    S: BuildHasher + Send + Sync + 'static,
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
                            setup.note(span, Outcome::Waited);
                            State::begin(setup, span, &mut service, request, guard, Mode::Enforce)
                        }
                        Err(refusal) => State::refuse(setup, span, refusal),
                    };
                    state.set(next);
                    continue;
                }
                StateProj::Running { future, hold, watched } => {
                    if let Some(wait) = watched
                        && let Poll::Ready(granted) = span.run(|| wait.poll(cx))
                    {
                        *watched = None;
                        match granted {
                            Ok(guard) => {
                                setup.note(span, Outcome::WouldWait);
                                *hold = Some(Held::alone(guard).inside(span));
                            }
                            Err(refusal) => setup.note(span, refusal.outcome().observed()),
                        }
                    }
                    let result = ready!(span.run(|| future.poll(cx)));
                    let hold = hold.take();
                    // Before the key, as when it is dropped earlier: it may keep what it has though it is ready.
                    state.set(State::Over { refusal: None });
                    (result, hold)
                }
                StateProj::Detached { task } => match ready!(Pin::new(task).poll(cx)) {
                    Ok(answered) => answered,
                    Err(error) => match error.try_into_panic() {
                        Ok(panic) => panic::resume_unwind(panic),
                        Err(_) => {
                            let response = setup.render(Problem::shutting_down());
                            return Poll::Ready(Ok(response.map(HeldBody::refused)));
                        }
                    },
                },
            };
            let hold = hold.filter(|_| setup.until_body_end).map(|hold| Box::new(hold) as Box<dyn Send>);
            return Poll::Ready(result.map(|response| response.map(|body| HeldBody::passed(body, hold))));
        }
    }
}

impl<T, B, R, K, F, S> fmt::Debug for KeyedCall<T, B, R, K, F, S>
where
    T: Service<Request<B>, Response = Response<R>>,
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
