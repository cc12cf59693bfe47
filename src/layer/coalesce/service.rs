//! [`CoalesceService`]: a service behind a layer.

use std::error::Error;
use std::fmt;
use std::future::{Future, poll_fn};
use std::hash::Hash;
use std::mem;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response, request};
use http_body::Body;
use tower_service::Service;

use super::answer::Rules;
use super::body::SharedBody;
use super::lead::{attached, detached, work};
use super::ready::Ready;
use super::request::Common;
use super::setup::{Full, Setup};
use crate::flight::Role;
use crate::layer::request_key::RequestKey;

/// A service whose answers are shared: see [`CoalesceLayer`](super::CoalesceLayer).
pub struct CoalesceService<T, K, F> {
    inner: T,
    setup: Arc<Setup<K, F>>,
}

impl<T, K, F> CoalesceService<T, K, F> {
    pub(super) fn new(inner: T, setup: Arc<Setup<K, F>>) -> Self {
        Self { inner, setup }
    }
}

impl<K, F: RequestKey<K>> Setup<K, F> {
    /// Returns the key under which a request shares its answer. A request whose key can't be found does not share.
    fn full_key<T: 'static, B: Body>(&self, parts: &mut request::Parts, body: &B) -> Option<Full<K>> {
        if !body.is_end_stream() {
            return None;
        }
        let common = Common::of::<T>(parts, self.credentials)?;
        Some((self.key.key(parts).ok()??, common))
    }
}

impl<T, B, R, K, F> Service<Request<B>> for CoalesceService<T, K, F>
where
    T: Service<Request<B>, Response = Response<R>, Error: Send, Future: Send + 'static>
        + Clone
        + Send
        + 'static,
    B: Body + Send + 'static,
    R: Body<Data = Bytes, Error: Into<Box<dyn Error + Send + Sync>>> + Send + 'static,
    K: Eq + Hash + Send + Sync + 'static,
    F: RequestKey<K>,
{
    type Response = Response<SharedBody<R>>;
    type Error = T::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, T::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), T::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let (mut parts, body) = request.into_parts();
        let key = self.setup.full_key::<T, B>(&mut parts, &body);
        let request = Request::from_parts(parts, body);
        let Some(key) = key else {
            let answer = self.inner.call(request);
            return Box::pin(async { Ok(answer.await?.map(SharedBody::passed)) });
        };
        // The service that was polled ready serves this request; its clone is polled anew.
        let clone = self.inner.clone();
        let service = Ready::new(mem::replace(&mut self.inner, clone));
        let rules = Rules::new(&key.1, self.setup.shares_failures);
        let Setup { ref flights, limits, detached_for, .. } = *self.setup;
        let flights = flights.clone();
        Box::pin(async move {
            let mut join = pin!(flights.join(key));
            let first = poll_fn(|cx| Poll::Ready(join.as_mut().poll(cx))).await;
            let (role, service) = match first {
                Poll::Ready(role) => (role, service),
                Poll::Pending => {
                    let service = service.released();
                    (join.await, service)
                }
            };
            match role {
                Role::Joined(Some(stored)) => Ok(stored.response()),
                Role::Joined(None) => Ok(service.call(request).await?.map(SharedBody::passed)),
                Role::Leader(leader) => {
                    let work = work(service, request, rules, limits);
                    match detached_for {
                        Some(limit) => detached(leader, work, limit).await,
                        None => attached(leader, work).await,
                    }
                }
            }
        })
    }
}

impl<T: Clone, K, F> Clone for CoalesceService<T, K, F> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone(), setup: self.setup.clone() }
    }
}

impl<T: fmt::Debug, K, F> fmt::Debug for CoalesceService<T, K, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CoalesceService").field("inner", &self.inner).field("setup", &self.setup).finish()
    }
}
