//! [`CoalesceLayer`]: one call of a service for equal requests, as a user sets it up.

use std::fmt;
use std::hash::Hash;
use std::sync::Arc;

use tower_layer::Layer;

use super::service::CoalesceService;
use super::share::Common;
use super::stored::Stored;
use crate::flight::{FlightCounts, SingleFlight};
use crate::layer::request_key::RequestKey;

/// One call of a service for all GETs with the same key that run at the same time: a [`SingleFlight`] around a service.
///
/// The first request *leads*: it calls the service. The others *join*, and get the same answer. Nothing is cached: a GET
/// that arrives after the answer calls the service again.
///
/// # Which requests share
///
/// The key must tell apart all requests whose answers differ: by path *and* query, tenant, and so on. The layer itself
/// adds the host and the headers `Accept`, `Accept-Encoding`, `Accept-Language` and `Origin` to the key.
///
/// The following requests do not share. Each calls the service itself:
///
/// - requests with another method than GET, or with a body;
/// - requests with a range, a precondition, or an `Upgrade`;
/// - requests that have no key;
/// - requests with `Authorization`, `Proxy-Authorization` or a `Cookie`, unless the layer
///   [shares them](Self::share_credentials).
///
/// If you identify users in any other way (a custom token header, a client certificate), the key must include that
/// identity.
///
/// # Which answers are shared
///
/// The layer reads an answer to its end before it shares it. The following answers are not shared. The leader gets the
/// answer, and the other requests call the service themselves:
///
/// - an answer longer than [`max_body`](Self::max_body), or one that breaks off;
/// - an event stream;
/// - an answer that sets a cookie, or is `private` or `no-store`;
/// - an answer whose `Vary` names a header that is not mentioned above.
///
/// An error response is an answer like any other. If the leader's call fails or panics, or its client hangs up, one of
/// the joined requests leads. So a service that is down is called by one request after the other.
///
/// An answer may be older than the request: a GET after a client's own write may join a call that began before the
/// write.
///
/// # Cancel safety
///
/// A request that is dropped leaves the call. If it led, another request calls the service anew.
///
/// # Deadlock
///
/// A handler that requests the same key from its own service joins itself, and waits for ever.
///
/// # Examples
///
/// ```
/// use bytes::Bytes;
/// use http::{Request, Response};
/// use http_body_util::{Empty, Full};
/// use latchwork::layer::{CoalesceLayer, by};
/// use tower::{Layer, ServiceExt, service_fn};
///
/// # latchwork::__example!(async {
/// let slow = service_fn(async |_: Request<Empty<Bytes>>| {
///     tokio::task::yield_now().await;
///     Ok::<_, std::convert::Infallible>(Response::new(Full::from("the menu")))
/// });
/// let layer = CoalesceLayer::<String, _>::new(by(|parts| Some(parts.uri.to_string())));
/// let menu = layer.layer(slow);
/// let ask = || menu.clone().oneshot(Request::new(Empty::new()));
/// let (one, two) = tokio::join!(ask(), ask());
/// assert!(one?.status().is_success() && two?.status().is_success());
/// assert_eq!((layer.counts().flights, layer.counts().joined), (1, 1));
/// # });
/// ```
pub struct CoalesceLayer<K, F> {
    setup: Setup<K, F>,
}

/// The key, and what else the requests of one flight have in common.
pub(super) type Full<K> = (K, Common);

/// An answer for all; `None` if each request must call the service itself.
pub(super) type Flights<K> = SingleFlight<Full<K>, Option<Arc<Stored>>>;

pub(super) struct Setup<K, F> {
    pub(super) flights: Flights<K>,
    pub(super) key: F,
    pub(super) max_body: usize,
    pub(super) shares_credentials: bool,
}

impl<K: Eq + Hash, F: RequestKey<K>> CoalesceLayer<K, F> {
    /// Creates a layer that makes one call for each key that `key` finds.
    #[must_use]
    pub fn new(key: F) -> Self {
        let flights = SingleFlight::new();
        Self { setup: Setup { flights, key, max_body: 1024 * 1024, shares_credentials: false } }
    }
}

impl<K, F> CoalesceLayer<K, F> {
    /// Sets the longest body that is kept in memory and shared, in bytes; 1 MiB by default.
    #[must_use]
    pub fn max_body(mut self, bytes: usize) -> Self {
        self.setup.max_body = bytes;
        self
    }

    /// Shares requests with credentials, and answers that are `private`. Off by default.
    ///
    /// The key must tell users apart. If it does not, one user gets the answer for another.
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
    /// assert_eq!(dashboard.counts().flights, 0);
    /// ```
    #[must_use]
    pub fn share_credentials(mut self, share: bool) -> Self {
        self.setup.shares_credentials = share;
        self
    }

    /// Sets the layer's name in metrics. None by default.
    #[must_use]
    pub fn name(mut self, name: &'static str) -> Self {
        self.setup.flights = self.setup.flights.named(name);
        self
    }

    /// Returns the counters of shared calls.
    #[must_use]
    pub fn counts(&self) -> FlightCounts {
        self.setup.flights.counts()
    }
}

#[cfg(feature = "metrics")]
impl<K, F> CoalesceLayer<K, F> {
    pub(crate) fn flights(&self) -> &Flights<K> {
        &self.setup.flights
    }
}

impl<T, K, F: Clone> Layer<T> for CoalesceLayer<K, F> {
    type Service = CoalesceService<T, K, F>;

    fn layer(&self, inner: T) -> Self::Service {
        CoalesceService::new(inner, Arc::new(self.setup.clone()))
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
