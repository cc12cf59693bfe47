//! [`CoalesceLayer`]: one call of a service for all who ask for the same at the same time.

mod share;
mod stored;

use std::error::Error;
use std::fmt;
use std::future::Future;
use std::hash::Hash;
use std::mem;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use ::axum::body::Bytes;
use ::axum::http::{Request, Response, request};
use tower_layer::Layer;
use tower_service::Service;

use self::share::{Common, is_for_all};
pub use self::stored::SharedBody;
use self::stored::{Stored, store};
use super::request_key::RequestKey;
use crate::flight::{FlightCounts, Role, SingleFlight};

/// Calls a service once for all GETs of the same key that come while it is at it, and gives all of them its answer:
/// a [`SingleFlight`] around a service. Nothing is cached: when the answer is there, the next GET calls anew.
///
/// The key has to tell apart all requests whose answers differ: path *and* query, tenant, and so on. The host and the
/// headers `Accept`, `Accept-Encoding`, `Accept-Language` and `Origin` are taken into account anyway. These go through
/// by themselves: other methods, requests with a body, a range, a precondition or an `Upgrade`, those for which the key
/// declines, and those with `Authorization`, `Proxy-Authorization` or a `Cookie`, unless the layer is told that
/// [the key tells users apart](Self::share_credentials). Who is told apart by anything else, a header with a token of
/// your own or a client's certificate, has to be by the key.
///
/// An answer is read to its end before it is shared. These are given to the request that led, and the others call the
/// service by themselves: one that is longer than [`max_body`](Self::max_body) or breaks off, an event
/// stream, and what a shared cache could not reuse either, as it sets a cookie, is `private` or `no-store`, or says in
/// `Vary` that it depends on a header that is not named above.
///
/// When the call of the request that leads fails or panics, or its client hangs up, one of the others leads. So while the
/// service fails, the requests call it one after the other. An error response is an answer and is shared.
///
/// An answer may be older than the question: a GET that follows a client's own write may join one from before it.
///
/// # Cancel safety
///
/// A request that is dropped gives up its place, and what it led is begun anew by another.
///
/// # Deadlock
///
/// A handler that asks its own service for the same key joins itself, and waits for ever.
///
/// # Examples
///
/// ```
/// use axum::{Router, body::Body, http::{Request, request::Parts}, routing::get};
/// use latchwork::layer::CoalesceLayer;
/// use tower::ServiceExt;
///
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// let layer = CoalesceLayer::new(|parts: &Parts| Some(parts.uri.to_string()));
/// let slow = get(async || { tokio::task::yield_now().await; "the menu" });
/// let app = Router::new().route("/menu", slow).layer(layer.clone());
/// let ask = || app.clone().oneshot(Request::get("/menu").body(Body::empty()).expect("it is a request"));
/// let (one, two) = tokio::join!(ask(), ask());
/// assert!(one?.status().is_success() && two?.status().is_success());
/// assert_eq!((layer.stats().flights, layer.stats().joined), (1, 1));
/// # Ok::<(), std::convert::Infallible>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct CoalesceLayer<K, F> {
    setup: Setup<K, F>,
}

/// The key, and what else all who share an answer have in common.
type Full<K> = (K, Common);

/// An answer that all may have; `None` if each is to ask by itself.
type Flights<K> = SingleFlight<Full<K>, Option<Arc<Stored>>>;

struct Setup<K, F> {
    flights: Flights<K>,
    key: F,
    max_body: usize,
    shares_credentials: bool,
}

impl<K: Eq + Hash, F: RequestKey<K>> CoalesceLayer<K, F> {
    /// One call for each key, as `key` says it of each request.
    #[must_use]
    pub fn new(key: F) -> Self {
        let flights = SingleFlight::new();
        Self { setup: Setup { flights, key, max_body: 1024 * 1024, shares_credentials: false } }
    }
}

impl<K, F> CoalesceLayer<K, F> {
    /// The longest body that is kept in memory to be shared, in bytes. 1 MiB by default.
    #[must_use]
    pub fn max_body(mut self, bytes: usize) -> Self {
        self.setup.max_body = bytes;
        self
    }

    /// Promises that the key tells users apart, so that requests with credentials may share, and answers that are
    /// `private`. If it does not, one user gets what was meant for another. Off by default.
    ///
    /// # Examples
    ///
    /// ```
    /// use latchwork::layer::{CoalesceLayer, extension};
    ///
    /// #[derive(Clone)]
    /// struct Session { user: u64 }
    ///
    /// let dashboard = CoalesceLayer::new(extension(|session: &Session| Some(session.user))).share_credentials(true);
    /// assert_eq!(dashboard.stats().flights, 0);
    /// ```
    #[must_use]
    pub fn share_credentials(mut self, share: bool) -> Self {
        self.setup.shares_credentials = share;
        self
    }

    /// What was counted: calls that were shared, and those who joined them.
    #[must_use]
    pub fn stats(&self) -> FlightCounts {
        self.setup.flights.counts()
    }
}

#[cfg(feature = "metrics")]
impl<K, F> CoalesceLayer<K, F> {
    pub(crate) fn flights(&self) -> &Flights<K> {
        &self.setup.flights
    }
}

impl<K, F: RequestKey<K>> Setup<K, F> {
    /// The key under which a request may share an answer. Where a key can't be told it is not shared.
    fn full_key<B: http_body::Body>(&self, parts: &mut request::Parts, body: &B) -> Option<Full<K>> {
        if !body.is_end_stream() {
            return None;
        }
        let common = Common::of(parts, self.shares_credentials)?;
        Some((self.key.key(parts).ok()??, common))
    }
}

impl<T, K, F: Clone> Layer<T> for CoalesceLayer<K, F> {
    type Service = CoalesceService<T, K, F>;

    fn layer(&self, inner: T) -> Self::Service {
        CoalesceService { inner, setup: Arc::new(self.setup.clone()) }
    }
}

impl<K, F: Clone> Clone for CoalesceLayer<K, F> {
    fn clone(&self) -> Self {
        Self { setup: self.setup.clone() }
    }
}

impl<K, F: Clone> Clone for Setup<K, F> {
    fn clone(&self) -> Self {
        Self { flights: self.flights.clone(), key: self.key.clone(), ..*self }
    }
}

impl<K, F> fmt::Debug for CoalesceLayer<K, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.setup.fmt(f)
    }
}

impl<K, F> fmt::Debug for Setup<K, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CoalesceLayer")
            .field("flights", &self.flights)
            .field("max_body", &self.max_body)
            .field("shares_credentials", &self.shares_credentials)
            .finish_non_exhaustive()
    }
}

/// A service whose answers are shared: see [`CoalesceLayer`].
pub struct CoalesceService<T, K, F> {
    inner: T,
    setup: Arc<Setup<K, F>>,
}

impl<T, B, R, K, F> Service<Request<B>> for CoalesceService<T, K, F>
where
    T: Service<Request<B>, Response = Response<R>, Error: Send, Future: Send + 'static>
        + Clone
        + Send
        + 'static,
    B: http_body::Body + Send + 'static,
    R: http_body::Body<Data = Bytes, Error: Into<Box<dyn Error + Send + Sync>>> + Send + 'static,
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
        let key = self.setup.full_key(&mut parts, &body);
        let request = Request::from_parts(parts, body);
        let Some(key) = key else {
            let answer = self.inner.call(request);
            return Box::pin(async { Ok(answer.await?.map(SharedBody::passed)) });
        };
        // The one that was polled ready serves this request; its clone has to be asked anew.
        let clone = self.inner.clone();
        let mut service = mem::replace(&mut self.inner, clone);
        let Setup { ref flights, max_body, shares_credentials, .. } = *self.setup;
        let flights = flights.clone();
        Box::pin(async move {
            let leader = match flights.join(key).await {
                Role::Joined(Some(stored)) => return Ok(stored.response()),
                Role::Joined(None) => return Ok(service.call(request).await?.map(SharedBody::passed)),
                Role::Leader(leader) => leader,
            };
            // An error is its caller's alone. The lead goes to one of the others, so a service that is down is not
            // called by all of them at once.
            let answer = service.call(request).await?;
            let read = if is_for_all(answer.headers(), shares_credentials) {
                store(answer, max_body).await
            } else {
                Err(answer.map(SharedBody::passed))
            };
            Ok(match read {
                Ok(stored) => {
                    let stored = Arc::new(stored);
                    leader.finish(Some(stored.clone()));
                    stored.response()
                }
                Err(unshared) => {
                    leader.finish(None);
                    unshared
                }
            })
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
