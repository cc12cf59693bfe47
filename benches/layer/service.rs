//! A service that does nothing, and the ways to put a lock around it.

use std::convert::Infallible;
use std::future::{Future, Ready, ready};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::Body;
use axum::http::request::Parts;
use axum::http::{Request, Response};
use dashmap::DashMap;
use latchwork::KeyedLock;
use latchwork::layer::KeyedLockLayer;
use tower::Service;

pub(crate) type Answer = Result<Response<Body>, Infallible>;

/// Answers at once.
#[derive(Clone)]
pub(crate) struct Bare;

impl Service<Request<Body>> for Bare {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Ready<Answer>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<Body>) -> Ready<Answer> {
        ready(Ok(Response::new(Body::empty())))
    }
}

/// Who sends the request, as an earlier layer has found out.
#[derive(Clone, Copy)]
pub(crate) struct User(pub(crate) u64);

pub(crate) fn user(parts: &Parts) -> Option<u64> {
    parts.extensions.get::<User>().map(|user| user.0)
}

type ByUser = fn(&Parts) -> Option<u64>;

pub(crate) fn layer() -> KeyedLockLayer<u64, ByUser> {
    KeyedLockLayer::new(Arc::new(KeyedLock::new()), user as ByUser)
}

/// What is written where there is no such layer: a map of locks, which only grows.
#[derive(Clone)]
pub(crate) struct ByHand<S> {
    pub(crate) locks: Arc<DashMap<u64, Arc<tokio::sync::Mutex<()>>>>,
    pub(crate) inner: S,
}

impl<S> Service<Request<Body>> for ByHand<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible, Future: Send>
        + Clone
        + Send
        + 'static,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Answer> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let User(user) = *request.extensions().get::<User>().expect("every request has a user");
        let lock = self.locks.entry(user).or_default().clone();
        let clone = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, clone);
        Box::pin(async move {
            let _guard = lock.lock_owned().await;
            inner.call(request).await
        })
    }
}
