//! [`CoalesceLayer`]: one call of a service for equal requests, as a user sets it up.

use std::fmt;
use std::hash::Hash;
use std::sync::Arc;
use std::time::Duration;

use tower_layer::Layer;

use super::request::Credentials;
use super::service::CoalesceService;
use super::setup::Setup;
use crate::flight::FlightCounts;
use crate::layer::request_key::RequestKey;

/// One call of a service for all GETs with the same key that run at the same time: a
/// [`SingleFlight`](crate::SingleFlight) around a service.
///
/// The first request *leads*: it calls the service. The others *join*, and get the same answer. Nothing is cached: a GET
/// that arrives after the answer calls the service again.
///
/// # Which requests share
///
/// The key must tell apart all requests whose answers differ: by path *and* query, tenant, and so on. The layer itself
/// adds the host and the headers `Accept`, `Accept-Encoding`, `Accept-Language` and `Origin` to the key. With the feature
/// `axum` it also adds the route, with the paths of all routers around it. Nested routers remove their part of the path.
///
/// The following requests do not share. Each calls the service itself:
///
/// - requests with another method than GET, or with a body;
/// - requests with a range, a precondition, or an `Upgrade`;
/// - requests for a new answer: `Cache-Control` with `no-cache`, `no-store` or `max-age=0`, or `Pragma: no-cache`;
/// - requests that have no key;
/// - requests with `Authorization`, `Proxy-Authorization` or a `Cookie`. [`share_credentials`](Self::share_credentials)
///   adds these headers to the key instead.
///
/// All clones of a layer and all its services share the calls, if the services have the same type. Otherwise use a layer
/// of its own for each service that answers in its own way.
///
/// If you identify users in any other way (a custom token header, a client certificate), the key must include that
/// identity. A request that joins never reaches the service. So what the service checks in a request, and the key
/// leaves out, is not checked.
///
/// # Which answers are shared
///
/// An answer is shared if a cache that serves many users may reuse it:
///
/// | answer | shared | source |
/// |---|---|---|
/// | 200, 203, 204, 300, 301, 308, 404, 405, 410, 414, 501 | yes | RFC 9110, 15.1 |
/// | another final status | if marked as fresh: `public`, `max-age`, `s-maxage`, `Expires` | RFC 9111, 3 and 4.2 |
/// | 206, 304 | never | RFC 9111, 3 |
/// | 401, 407: they refuse the credentials of one request | never | RFC 9110, 11.6 and 11.7 |
/// | 428, 429, 431, 511 | never | RFC 6585, 3 to 6 |
/// | `no-store`, `no-cache` | never | RFC 9111, 5.2.2 |
/// | stale: `max-age=0`, a past `Expires`, an `Age` beyond its lifetime | never | RFC 9111, 4.2 |
/// | `private` | among requests with equal credentials | RFC 9111, 5.2.2.7 |
/// | `Vary` names a header that is not compared | never | RFC 9111, 4.1 |
/// | `Set-Cookie` | never | |
/// | one of these headers can't be read | never | |
/// | longer than [`max_body`](Self::max_body), or slower than [`read_timeout`](Self::read_timeout) | never | |
/// | a stream | never | |
///
/// Streams are `text/event-stream`, NDJSON, JSON Lines, JSON text sequences, gRPC and `multipart/x-mixed-replace`, and
/// each answer with `X-Accel-Buffering: no`. Their parts are sent as they come. All other answers are read to their end
/// before they are sent, if they may be shared.
///
/// Section 3.5 of RFC 9111 limits what a cache may reuse for requests with `Authorization`. Here these requests share
/// only with requests of the same user, so the answer may be reused.
///
/// The leader gets an answer that is not shared. At the same time, each joined request calls the service itself.
///
/// A shared answer is a copy of status, headers, body, trailers and extensions: what the service puts into the extensions
/// of its response, all requests get. The headers of the connection are left out (RFC 9111, section 3.1).
///
/// # Failures
///
/// The following are failures: an error of the service, an answer with 5xx or 429 that is not shared, an answer that
/// breaks off, and a panic. The leader gets the failure. *One* of the joined requests leads next, and the others stay
/// joined. So a service that is down is called by one request after the other. With
/// [`share_failures`](Self::share_failures) it is called once, if its answers are ones that can be shared.
///
/// # Age
///
/// An answer may be older than the request: a GET after a client's own write may join a call that began before the
/// write. A client that must see its write sends `Cache-Control: no-cache`.
///
/// # Backpressure
///
/// The layer is ready when the service is ready. A request that joins gives its readiness back, and waits for a new one
/// if it must call the service. So a limit on concurrency inside the layer counts one call for all of them. The limit must
/// be at least two: a request can join only when it has a ready service.
///
/// # Cancel safety
///
/// A request that is dropped leaves the call. If it led, its call of the service is dropped, and one of the joined
/// requests leads and calls anew. So clients that give up one after the other may never get an answer from a slow
/// service. With [`detached`](Self::detached) the call goes on without its client, up to a limit.
///
/// # Deadlock
///
/// A handler that requests its own key from its own service joins its own call. It waits until the client of the first
/// request gives up. With [`detached`](Self::detached) it waits until the limit is over.
///
/// A call that hangs keeps all requests for its key waiting in the same way. So put a time-out **inside** this layer,
/// around the service.
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

impl<K: Eq + Hash, F: RequestKey<K>> CoalesceLayer<K, F> {
    /// Creates a layer that makes one call for each key that `key` finds.
    #[must_use]
    pub fn new(key: F) -> Self {
        Self { setup: Setup::new(key) }
    }
}

impl<K, F> CoalesceLayer<K, F> {
    /// Sets the longest body that is kept in memory and shared, in bytes with its trailers; 1 MiB by default. It is kept in
    /// one piece: a thousand small frames need no more memory than one large frame.
    #[must_use]
    pub fn max_body(mut self, bytes: usize) -> Self {
        self.setup.limits.max_body = bytes;
        self
    }

    /// Sets how long the layer may read the body of an answer. A slower answer is not shared: the leader gets what was
    /// read, and then the rest as it comes. There is no limit by default. So a stream of an unknown media type is held back
    /// until it ends, or is longer than [`max_body`](Self::max_body).
    ///
    /// # Panics
    ///
    /// A request that leads panics if it reads a body outside a tokio runtime with its time driver enabled.
    #[must_use]
    pub fn read_timeout(mut self, timeout: Duration) -> Self {
        self.setup.limits.read_timeout = Some(timeout);
        self
    }

    /// Shares answers among requests with equal `Authorization`, `Proxy-Authorization` and `Cookie` headers, also answers
    /// that are `private`. Off by default.
    ///
    /// Requests with other credentials call the service themselves. So the service checks all credentials. Of this setter
    /// and [`share_across_credentials`](Self::share_across_credentials), the last call counts.
    #[must_use]
    pub fn share_credentials(mut self, share: bool) -> Self {
        self.setup.credentials = if share { Credentials::Equal } else { Credentials::Alone };
        self
    }

    /// Shares answers among requests with **different** credentials, also answers that are `private`. Off by default.
    ///
    /// Use this only if both hold:
    ///
    /// - an authentication *in front of this layer* has verified the credentials of each request;
    /// - the key names the user.
    ///
    /// Otherwise a request with an invalid token gets the answer for another user. If in doubt, use
    /// [`share_credentials`](Self::share_credentials), which compares the credentials.
    ///
    /// An answer whose `Vary` names `Authorization` or `Cookie` is not shared, as these headers are not compared.
    ///
    /// # Examples
    ///
    /// ```
    /// use latchwork::layer::{CoalesceLayer, extension};
    ///
    /// #[derive(Clone)]
    /// struct Session { user: u64 } // an authentication in front of the layer puts it there
    ///
    /// let by_user = extension(|session: &Session| Some(session.user));
    /// let dashboard = CoalesceLayer::new(by_user).share_across_credentials(true);
    /// assert_eq!(dashboard.counts().flights, 0);
    /// ```
    #[must_use]
    pub fn share_across_credentials(mut self, share: bool) -> Self {
        self.setup.credentials = if share { Credentials::Any } else { Credentials::Alone };
        self
    }

    /// Gives an answer with 5xx to all requests that joined, so that they do not call a service that is down. Off by
    /// default.
    ///
    /// Such an answer is shared even if it is `no-store` or `no-cache`, since frameworks mark most failures so. The
    /// following failures are not shared:
    ///
    /// - an error of the service, as it can't be cloned;
    /// - an answer with 429 or 511, or one that breaks off;
    /// - an answer that is `private`, sets a cookie, or varies by a header that is not compared;
    /// - an answer that is a stream, too long, or too slow, or has one of these headers in a form that can't be read.
    #[must_use]
    pub fn share_failures(mut self, share: bool) -> Self {
        self.setup.shares_failures = share;
        self
    }

    /// Lets a call of the service go on for up to `limit`, even if all clients hang up. Later requests join it. Off by
    /// default: a call is dropped with the request that leads.
    ///
    /// The leader's call runs in a task of its own. A panic in it still reaches the leader. If the runtime shuts down, the
    /// leader is answered with 503. The task outlives limits on concurrency or time in front of this layer: put such
    /// limits behind it.
    ///
    /// When the limit is over, the task drops the call, and the leader is answered with 503. One of the joined requests
    /// leads and calls anew. The limit includes the reading of an answer that may be shared. Set it a little above the
    /// time-out inside the layer, which gives better answers.
    ///
    /// # Panics
    ///
    /// A request that leads outside a tokio runtime with its time driver enabled panics.
    #[must_use]
    pub fn detached(mut self, limit: Duration) -> Self {
        self.setup.detached_for = Some(limit);
        self
    }

    /// Sets the layer's name in metrics. None by default.
    #[must_use]
    pub fn name(mut self, name: &'static str) -> Self {
        self.setup.flights = self.setup.flights.named(name);
        self
    }

    /// Returns the counters of shared calls. Each call that a request leads is a flight.
    #[must_use]
    pub fn counts(&self) -> FlightCounts {
        self.setup.flights.counts()
    }
}

#[cfg(feature = "metrics")]
impl<K, F> CoalesceLayer<K, F> {
    pub(crate) fn flights(&self) -> &super::setup::Flights<K> {
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

impl<K, F> fmt::Debug for CoalesceLayer<K, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.setup.fmt(f)
    }
}
