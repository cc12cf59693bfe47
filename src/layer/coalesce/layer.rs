//! [`CoalesceLayer`]: one call of a service for equal requests, as a user sets it up.

use std::fmt;
use std::hash::Hash;
use std::sync::Arc;
use std::time::Duration;

use tower_layer::Layer;

use super::request::{Common, Credentials};
use super::service::CoalesceService;
use super::stored::{Limits, Stored};
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
/// - requests for a new answer: `Cache-Control` with `no-cache`, `no-store` or `max-age=0`, or `Pragma: no-cache`;
/// - requests that have no key;
/// - requests with `Authorization`, `Proxy-Authorization` or a `Cookie`. [`share_credentials`](Self::share_credentials)
///   adds these headers to the key instead.
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
/// | another final status | if it is marked as fresh: `public`, `max-age`, `s-maxage` or `Expires` | RFC 9111, 3 and 4.2.2 |
/// | 206, 304, 401, 407, 428, 429, 431, 511 | never | RFC 9111, 3; RFC 6585 |
/// | `no-store`, `no-cache`, or stale: `max-age=0`, a past `Expires`, a large `Age` | never | RFC 9111, 4.2 and 5.2.2 |
/// | `private` | among requests with equal credentials | RFC 9111, 5.2.2.7 |
/// | `Vary` names a header that is not compared | never | RFC 9111, 4.1 |
/// | `Set-Cookie`, or a header above that can't be read | never | |
/// | longer than [`max_body`](Self::max_body), or slower than [`read_timeout`](Self::read_timeout) | never | |
/// | a stream: an event stream, NDJSON, JSON sequence, gRPC, `multipart/x-mixed-replace`, or `X-Accel-Buffering: no` | never; its parts are sent at once | |
///
/// Requests with `Authorization` share only if the layer shares credentials. Then all who share an answer have the same
/// credentials, so section 3.5 of RFC 9111 does not limit the answers further.
///
/// The layer reads an answer to its end before it shares it. The leader gets an answer that is not shared, and each
/// other request calls the service itself, at once.
///
/// # Failures
///
/// A failure is an error of the service, an answer with 429 or 5xx that is not shared, an answer that breaks off, or a
/// panic. The leader gets it. *One* of the joined requests leads next, and the others stay joined. So a service that is
/// down is called by one request after the other. [`share_failures`](Self::share_failures) gives failures to all
/// requests that joined.
///
/// An answer may be older than the request: a GET after a client's own write may join a call that began before the
/// write. A client that must see its write sends `Cache-Control: no-cache`.
///
/// # Backpressure
///
/// The layer is ready when the service is ready. A request that joins gives its readiness back. So a limit inside the
/// layer counts one call for all of them.
///
/// # Cancel safety
///
/// A request that is dropped leaves the call. If it led, one of the joined requests goes on with the same call of the
/// service: work is lost only if nobody waits for it. With [`detached`](Self::detached) it is never lost. The extensions
/// and spans of the call stay those of the request that began it.
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
    pub(super) limits: Limits,
    shares_credentials: bool,
    shares_across_credentials: bool,
    pub(super) shares_failures: bool,
    pub(super) is_detached: bool,
}

impl<K: Eq + Hash, F: RequestKey<K>> CoalesceLayer<K, F> {
    /// Creates a layer that makes one call for each key that `key` finds.
    #[must_use]
    pub fn new(key: F) -> Self {
        let setup = Setup {
            flights: SingleFlight::new(),
            key,
            limits: Limits { max_body: 1024 * 1024, read_timeout: None },
            shares_credentials: false,
            shares_across_credentials: false,
            shares_failures: false,
            is_detached: false,
        };
        Self { setup }
    }
}

impl<K, F> Setup<K, F> {
    pub(super) fn credentials(&self) -> Credentials {
        match (self.shares_across_credentials, self.shares_credentials) {
            (true, _) => Credentials::Any,
            (false, true) => Credentials::Equal,
            (false, false) => Credentials::Alone,
        }
    }
}

impl<K, F> CoalesceLayer<K, F> {
    /// Sets how much of an answer is kept in memory and shared, in bytes of the body and its trailers; 1 MiB by default.
    /// What is kept is one piece, whatever the pieces are in which the service sends it.
    #[must_use]
    pub fn max_body(mut self, bytes: usize) -> Self {
        self.setup.limits.max_body = bytes;
        self
    }

    /// Sets how long the layer may read an answer. A slower answer is not shared: what was read goes to the leader, and
    /// the rest as it comes. There is no limit by default, so a stream that the layer does not recognise is held back
    /// until it ends or is longer than [`max_body`](Self::max_body).
    ///
    /// # Panics
    ///
    /// A request that leads panics outside a tokio runtime with its time driver enabled.
    #[must_use]
    pub fn read_timeout(mut self, timeout: Duration) -> Self {
        self.setup.limits.read_timeout = Some(timeout);
        self
    }

    /// Shares answers among requests with equal `Authorization`, `Proxy-Authorization` and `Cookie` headers, also answers
    /// that are `private`. Off by default.
    ///
    /// Every set of credentials has a call of its own. So the service checks them all.
    #[must_use]
    pub fn share_credentials(mut self, share: bool) -> Self {
        self.setup.shares_credentials = share;
        self
    }

    /// Shares answers among requests with **different** credentials, also answers that are `private`. Off by default.
    ///
    /// Use this only if both hold:
    ///
    /// - an authentication *in front of this layer* has verified the credentials of each request;
    /// - the key names the user.
    ///
    /// Otherwise a request with a wrong token or another user's token gets this user's answer. Credentials in the key
    /// need no such care: [`share_credentials`](Self::share_credentials).
    ///
    /// An answer whose `Vary` names `Cookie` or `Authorization` is not shared then, as these headers are not compared.
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
        self.setup.shares_across_credentials = share;
        self
    }

    /// Gives an answer with status 5xx to all requests that joined. So a service that is down is called once for all of
    /// them. Off by default.
    ///
    /// Such an answer is shared even if it is marked `no-store` or `no-cache`, as frameworks mark most of them. An answer
    /// with 429 or 511 is not shared. Neither is a 5xx answer that is `private`, sets a cookie, or varies by a header
    /// that is not compared. An error of the service can't be cloned: only the leader gets it.
    #[must_use]
    pub fn share_failures(mut self, share: bool) -> Self {
        self.setup.shares_failures = share;
        self
    }

    /// Lets a call of the service go on even if all clients hang up, so that the next requests join it. Off by default.
    ///
    /// The leader's call runs in a task of its own. A panic in it still reaches the leader. If the runtime shuts down, the
    /// leader is answered with 503. An outer limit on concurrency or time does not see the task: put limits inside of
    /// this layer.
    ///
    /// # Panics
    ///
    /// A request that leads outside a tokio runtime panics.
    #[must_use]
    pub fn detached(mut self, detached: bool) -> Self {
        self.setup.is_detached = detached;
        self
    }

    /// Returns the counters of shared calls. A request that goes on with the call of a dropped one counts as a flight of
    /// its own.
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
            .field("limits", &self.limits)
            .field("credentials", &self.credentials())
            .field("shares_failures", &self.shares_failures)
            .field("is_detached", &self.is_detached)
            .finish_non_exhaustive()
    }
}
