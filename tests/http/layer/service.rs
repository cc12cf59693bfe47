//! Services under test: handlers that stop where the test says, and services that insist on being ready.

use std::cell::Cell;
use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};

use axum::body::Body;
use axum::http::request::Parts;
use axum::http::{Request, Response};
use latchwork::KeyedLock;
use latchwork::layer::KeyedLockLayer;
use tower::{Layer, Service, service_fn};

pub(crate) type Locks = Arc<KeyedLock<String>>;
pub(crate) type ByPath = fn(&Parts) -> Option<String>;
pub(crate) type Answer = Result<Response<Body>, Infallible>;

pub(crate) fn locks() -> Locks {
    Arc::default()
}

/// The path without its slash; no key for the root.
pub(crate) fn by_path(parts: &Parts) -> Option<String> {
    let path = &parts.uri.path()[1..];
    (!path.is_empty()).then(|| path.to_owned())
}

pub(crate) fn layer(locks: &Locks) -> KeyedLockLayer<String, ByPath> {
    KeyedLockLayer::new(locks.clone(), by_path as ByPath)
}

pub(crate) fn get(path: &str) -> Request<Body> {
    Request::get(path).body(Body::empty()).unwrap()
}

pub(crate) fn post(path: &str) -> Request<Body> {
    Request::post(path).body(Body::empty()).unwrap()
}

/// A layer around a service made of a closure, and what it was given to.
pub(crate) fn around<L, T>(layer: &L, inner: T) -> L::Service
where
    L: Layer<T>,
{
    layer.layer(inner)
}

/// Calls the service, which is ready.
pub(crate) fn call<S: Service<Request<Body>>>(service: &mut S, request: Request<Body>) -> S::Future {
    match service.poll_ready(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(Ok(())) => service.call(request),
        _ => panic!("the service should be ready"),
    }
}

/// Each [`open`](Gate::open) lets one pass.
#[derive(Clone)]
pub(crate) struct Gate(Arc<tokio::sync::Semaphore>);

impl Gate {
    pub(crate) fn new() -> Self {
        Self(Arc::new(tokio::sync::Semaphore::new(0)))
    }

    pub(crate) fn open(&self) {
        self.0.add_permits(1);
    }

    pub(crate) async fn pass(&self) {
        self.0.acquire().await.expect("it is never closed").forget();
    }
}

/// A service that answers at once.
pub(crate) async fn ok(_: Request<Body>) -> Answer {
    Ok(Response::new(Body::empty()))
}

/// A service that answers when its gate lets it.
pub(crate) fn gated(
    gate: &Gate,
) -> impl Service<Request<Body>, Response = Response<Body>, Error = Infallible, Future: Send + 'static>
+ Clone
+ Send
+ 'static {
    let gate = gate.clone();
    service_fn(move |_: Request<Body>| {
        let gate = gate.clone();
        async move {
            gate.pass().await;
            Ok(Response::new(Body::empty()))
        }
    })
}

/// A service that has to be polled ready before each call, and whose clones are not ready, whatever it was.
pub(crate) struct Fussy {
    is_ready: Cell<bool>,
    pub(crate) calls: Arc<AtomicUsize>,
}

impl Fussy {
    pub(crate) fn new() -> Self {
        Self { is_ready: Cell::new(false), calls: Arc::default() }
    }
}

impl Clone for Fussy {
    fn clone(&self) -> Self {
        Self { is_ready: Cell::new(false), calls: self.calls.clone() }
    }
}

impl Service<Request<Body>> for Fussy {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Answer> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.is_ready.set(true);
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<Body>) -> Self::Future {
        assert!(self.is_ready.replace(false), "it was called without having been ready");
        self.calls.fetch_add(1, Ordering::SeqCst);
        Box::pin(async { Ok(Response::new(Body::empty())) })
    }
}

/// Tells, when it is dropped, whether the key was still held.
pub(crate) struct Probe {
    pub(crate) locks: Locks,
    pub(crate) key: &'static str,
    pub(crate) held: Arc<std::sync::Mutex<Option<bool>>>,
}

impl Drop for Probe {
    fn drop(&mut self) {
        *self.held.lock().unwrap() = Some(self.locks.is_locked(self.key));
    }
}
