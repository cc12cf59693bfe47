//! [`KeyedLockLayer`]: a lock around a service, as a user sets it up.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::Response;
use tower_layer::Layer;

use super::lost::OnLost;
use super::service::KeyedLockService;
use super::setup::Setup;
use super::stats::LayerStats;
use crate::keyed::KeyedLock;
use crate::layer::request_key::RequestKey;
use crate::mode::ModeSwitch;
use crate::provider::LockProvider;
use crate::semaphore::Semaphore;
use crate::web::Problem;

/// A lock for each request's key around a service: one of axum, tonic or hyper, or any other that is built on tower.
///
/// The layer takes the key before it calls the service. It releases the key when the response is ready, when the call is
/// dropped, or when the service panics. Requests with other keys do not notice. By default, a request whose key is busy
/// is refused at once.
///
/// # Refusals
///
/// | refused because | HTTP | gRPC |
/// |---|---|---|
/// | the key is busy ([`no_wait`](Self::no_wait)) | 409, `Retry-After` | `ABORTED` |
/// | the wait took too long ([`wait`](Self::wait)) | 503, `Retry-After` | `UNAVAILABLE` |
/// | too many requests were waiting ([`max_waiters`](Self::max_waiters)) | 503, `Retry-After` | `UNAVAILABLE` |
/// | too many requests were running ([`max_running`](Self::max_running)) | 503, `Retry-After` | `UNAVAILABLE` |
/// | the lock was lost before the service is called, or while it runs ([`on_lost`](Self::on_lost)) (remote providers) | 503, `Retry-After` | `UNAVAILABLE` |
/// | the lock provider is unavailable (remote providers) | 503, `Retry-After` | `UNAVAILABLE` |
/// | the request has no valid key ([`RequestKey`](crate::layer::RequestKey)), or the provider can't lock it: it is too long, say | 400 | `INVALID_ARGUMENT` |
///
/// A POST whose content type is that of gRPC or gRPC-Web is refused as gRPC: with a status, a message, and
/// `grpc-retry-pushback-ms`. All others are refused as [`Problem`]s, or as [`render`](Self::render) says.
///
/// A refused request's body is not read. If a part of it is still on its way, HTTP/1.1 can't use the connection any
/// more: the server closes it after the answer. With HTTP/2 only the request's own stream ends.
///
/// `L` is the [lock provider](crate::provider::LockProvider): by default a [`KeyedLock`] of this process. The causes of a
/// provider's failures go to the log (feature `tracing`); clients do not see them.
///
/// # Fences
///
/// The [`Fence`](crate::Fence) of the grant is in the request's extensions. With two layers, the inner
/// layer's fence is used. A request has no fence from this layer in the mode [`Off`](crate::mode::Mode::Off), or without a
/// key. An observed request has none if it did not get its key. So handlers of axum take an
/// `Option<Extension<Fence>>`: without the `Option`, axum answers 500 if there is no fence.
///
/// # Lost locks
///
/// A remote lock can be lost while the service runs: its lease ended, say. By default the layer does not stop the service
/// and does not change its response, as the work may be done already. It logs a warning when it releases the key. With
/// [`on_lost`](Self::on_lost) it stops the service. To stop at a point of its own choice, a service
/// [shares the guard](Self::share_guard) and watches [`HeldKey::lost`](super::HeldKey::lost).
///
/// None of these keeps a late write out: the loss is noticed after it has happened. A service that must not write after
/// the loss verifies the guard inside its transaction, or has its store compare the fence.
///
/// # Readiness
///
/// `poll_ready` polls the service and takes no lock. A waiting request keeps the service that was ready for it.
///
/// # Fairness
///
/// Waiting requests get a local lock as [`Acquire`](crate::Acquire) describes.
///
/// # Cancel safety
///
/// When the client hangs up, the server drops the call. A waiting request leaves the queue. A running service is
/// dropped, and then its key is released. With [`detached`](Self::detached) the service finishes instead.
///
/// # Deadlock
///
/// A layer inside another one with the same locks meets its own key: it refuses the request, at once or after the wait.
/// Layers with different locks take them in the order of their stacking, which is the same for all requests.
///
/// # Examples
///
/// ```
/// use axum::{Router, body::Body, http::Request, routing::post};
/// use latchwork::{KeyedLock, extract::path_param, layer::{KeyedLockLayer, Mode, ModeSwitch, Outcome}};
/// use std::{sync::Arc, time::Duration};
/// use tower::ServiceExt;
///
/// # latchwork::__example!(async {
/// let (users, mode) = (Arc::new(KeyedLock::<String>::new()), ModeSwitch::new(Mode::Enforce));
/// let lock = KeyedLockLayer::new(users.clone(), path_param("user"))
///     .wait(Duration::from_secs(2))
///     .max_waiters(8)
///     .name("plans")
///     .mode(&mode);
/// let stats = lock.stats();
/// let app = Router::new().route("/users/{user}/plan", post(async || "a plan").layer(lock));
///
/// let click = || Request::post("/users/ada/plan").body(Body::empty()).expect("it is a request");
/// let first_click = users.try_lock("ada").expect("it is free");
/// assert_eq!(app.clone().oneshot(click()).await.expect("it can't fail").status(), 503); // two seconds later
/// drop(first_click);
/// assert_eq!(app.oneshot(click()).await.expect("it can't fail").status(), 200);
/// assert_eq!([Outcome::TimedOut, Outcome::Acquired].map(|outcome| stats.of(outcome)), [1, 1]);
/// # });
/// ```
pub struct KeyedLockLayer<K, F, L = Arc<KeyedLock<K>>> {
    setup: Setup<K, F, L>,
}

impl<K, F: RequestKey<K>, L: LockProvider<K>> KeyedLockLayer<K, F, L> {
    /// Creates a layer that locks the key which `key` finds for each request.
    ///
    /// `key` is [`header`](crate::layer::header), [`extension`](crate::layer::extension), a function of the request's
    /// head, or a closure in [`by`](crate::layer::by). For axum there is also `path_param`. A closure without `by` needs
    /// the type of its argument: `|parts: &Parts| …`. Otherwise the compiler asks for type annotations.
    ///
    /// `locks` is an `Arc<KeyedLock<K>>`, a `&'static KeyedLock<K>`, or any other lock provider.
    ///
    /// # Examples
    ///
    /// The type has a name, also with a function or a closure that captures nothing:
    ///
    /// ```
    /// use http::request::Parts;
    /// use latchwork::{KeyedLock, layer::{Header, KeyedLockLayer, header}};
    ///
    /// fn by_tenant() -> KeyedLockLayer<String, Header> {
    ///     KeyedLockLayer::new(KeyedLock::new().into(), header("x-tenant"))
    /// }
    ///
    /// fn by_host() -> KeyedLockLayer<String, fn(&Parts) -> Option<String>> {
    ///     KeyedLockLayer::new(KeyedLock::new().into(), |parts| parts.uri.host().map(str::to_owned))
    /// }
    /// # assert_eq!(by_tenant().stats().requests() + by_host().stats().requests(), 0);
    /// ```
    #[must_use]
    pub fn new(locks: L, key: F) -> Self {
        let name = locks.name();
        let setup = Setup {
            locks,
            key,
            wait: None,
            answer_timeout: Duration::from_secs(10),
            max_waiters: usize::MAX,
            shares_reads: false,
            until_body_end: false,
            is_detached: false,
            shares_guard: false,
            on_lost: OnLost::default(),
            min_hold: None,
            places: None,
            mode: ModeSwitch::default(),
            stats: LayerStats::default(),
            outages: Default::default(),
            name,
            render: None,
            of: PhantomData,
        };
        Self { setup }
    }
}

impl<K, F, L> KeyedLockLayer<K, F, L> {
    /// Refuses a request with 409 at once if its key is busy. This is the default.
    #[must_use]
    pub fn no_wait(mut self) -> Self {
        self.setup.wait = None;
        self
    }

    /// Lets a request wait for its key for at most this time, and refuses it with 503 then.
    ///
    /// # Panics
    ///
    /// With a local lock, a waiting request panics if it is polled outside a tokio runtime with its time driver enabled.
    #[must_use]
    pub fn wait(mut self, timeout: Duration) -> Self {
        self.setup.wait = Some(timeout);
        self
    }

    /// Sets how long the lock provider may take to answer, beyond the time of [`wait`](Self::wait). A request without an
    /// answer is refused with 503. The default is 10 seconds. A local lock always answers in time. Outside a tokio runtime
    /// there is no timer, and so no limit.
    ///
    /// # Panics
    ///
    /// A request that waits in a tokio runtime without its time driver panics.
    #[must_use]
    pub fn answer_timeout(mut self, timeout: Duration) -> Self {
        self.setup.answer_timeout = timeout;
        self
    }

    /// Refuses a request with 503 at once if this number of requests wait for its key already. There is no limit by
    /// default. Without [`wait`](Self::wait) this has no effect.
    #[must_use]
    pub fn max_waiters(mut self, waiters: usize) -> Self {
        self.setup.max_waiters = waiters;
        self
    }

    /// Lets requests with safe methods (GET, HEAD, OPTIONS, TRACE) share a key with each other, if the provider
    /// [can](crate::provider::LockProvider::can_share). Off by default.
    #[must_use]
    pub fn share_reads(mut self, share: bool) -> Self {
        self.setup.shares_reads = share;
        self
    }

    /// Keeps the key until the response's body has been sent or dropped, for bodies that are made while they are sent.
    /// It costs one allocation. Off by default.
    #[must_use]
    pub fn hold_until_body_end(mut self, hold: bool) -> Self {
        self.setup.until_body_end = hold;
        self
    }

    /// Lets a service that has begun finish, with its key, even if the client hangs up. Off by default.
    ///
    /// The service runs in a task of its own. A panic in it still reaches the caller. Waiting requests are not detached,
    /// and neither are requests in the mode [`Observe`](crate::mode::Mode::Observe).
    ///
    /// If the runtime shuts down, it stops the service at any point. The request is answered with 500 then, and not as
    /// retryable: the work may be done.
    ///
    /// A service whose client is gone does not count for a concurrency limit around the layer. Clients that call and hang
    /// up can start any number of them, one for each key: set [`max_running`](Self::max_running).
    ///
    /// # Panics
    ///
    /// A request that gets its key outside a tokio runtime panics, and releases the key.
    #[must_use]
    pub fn detached(mut self, detached: bool) -> Self {
        self.setup.is_detached = detached;
        self
    }

    /// Sets how many requests may run at once, over all keys. A request beyond them is refused with 503 when it gets its key,
    /// before the service is called. There is no limit by default.
    ///
    /// A request counts from the grant of its key until its response is ready, or with
    /// [`hold_until_body_end`](Self::hold_until_body_end) until its body has ended. A detached request counts until its
    /// service has finished, although the client is gone: a limit around the layer, such as tower's `ConcurrencyLimit`,
    /// does not count it any more. Requests that pass without a key do not count.
    ///
    /// All clones of the layer and all its services share the limit. It costs one allocation for each request.
    #[must_use]
    pub fn max_running(mut self, requests: usize) -> Self {
        self.setup.places = Some(Arc::new(Semaphore::new(requests.min(Semaphore::MAX_PERMITS))));
        self
    }

    /// Keeps the key until this time after its grant, even if the request ends sooner: with a response, an error or a
    /// panic, or because the client hangs up. The response is not delayed. Off by default.
    ///
    /// It is for handlers that are quicker than a double click. The second click finds the key busy, although the first
    /// handler has ended. It is no memory of what was done: after that time, the same request runs again. See
    /// [patterns](crate::docs::patterns) for idempotency keys.
    ///
    /// A request that takes longer releases its key as usual. For one that ends sooner, a task on its runtime keeps the
    /// guard: one task for each key that is kept. [`max_running`](Self::max_running) does not limit them, so the rate of
    /// requests and this time do. [`drained`](KeyedLock::drained) waits for them. A runtime that shuts down releases the
    /// key.
    ///
    /// While the layer refuses requests because their key is busy, the refusal says `Retry-After` of at least this time,
    /// in whole seconds.
    ///
    /// In the mode [`Observe`](crate::mode::Mode::Observe) keys are kept as
    /// long, so that the counts are those of `Enforce`. It costs one allocation for each request.
    ///
    /// # Panics
    ///
    /// A request that gets its key outside a tokio runtime, or in one without its time driver, panics, and releases the
    /// key.
    #[must_use]
    pub fn hold_at_least(mut self, time: Duration) -> Self {
        self.setup.min_hold = Some(time);
        self
    }

    /// Puts the guard into the request's extensions, as a [`HeldKey`](super::HeldKey): for handlers that read the key,
    /// keep it longer, or watch for its loss. It costs two allocations. Off by default.
    #[must_use]
    pub fn share_guard(mut self, share: bool) -> Self {
        self.setup.shares_guard = share;
        self
    }

    /// Sets what happens to a request whose lock is lost while it runs. By default it [continues](OnLost::Continue).
    ///
    /// With [`OnLost::Abort`] the service is dropped as soon as the loss is known, also a [detached](Self::detached) one.
    /// The request is refused with the problem `lock-lost`: 503, or `UNAVAILABLE` for gRPC. A response that is ready stays as
    /// it is. With [`hold_until_body_end`](Self::hold_until_body_end) its body ends with an error, so that the client does
    /// not take a part for the whole.
    ///
    /// A service is dropped where it waits, as when a client hangs up. So Abort saves work that would be refused later, and
    /// no more than that:
    ///
    /// - It can't stop what does not wait: a computation, a blocking thread, a task that the service has started.
    /// - A statement that was sent to a database goes on there. In a transaction it is rolled back, unless it is the commit.
    /// - The loss is noticed after it has happened. Another process may have worked with the key since.
    ///
    /// A client may send a refused request again. So use it for services that may be stopped and repeated.
    ///
    /// Each request is still counted once: at its end, as [`Outcome::Lost`](super::Outcome::Lost) or as it got its key. It
    /// costs a few allocations for each request, also with local locks, which are never lost. In the mode
    /// [`Observe`](crate::mode::Mode::Observe) the service continues, and the request counts as
    /// [`Outcome::WouldBeLost`](super::Outcome::WouldBeLost).
    #[must_use]
    pub fn on_lost(mut self, on_lost: OnLost) -> Self {
        self.setup.on_lost = on_lost;
        self
    }

    /// Sets whether the layer locks, only observes, or does nothing: a [`Mode`](crate::mode::Mode), or a [`ModeSwitch`] that
    /// can be changed later.
    ///
    /// `Observe` takes keys as `Enforce` does. With a remote provider each observed request is a message to it, and a free key
    /// is written twice: for the grant and for the release. The request does not wait for these, but the database does the
    /// work, and processes that enforce find the key busy. `Off` asks nothing.
    #[must_use]
    pub fn mode(mut self, mode: impl Into<ModeSwitch>) -> Self {
        self.setup.mode = mode.into();
        self
    }

    /// Sets the layer's name in spans and metrics. By default it is the name of the locks. If they have none, spans say
    /// "requests", and the layer has no metrics.
    #[must_use]
    pub fn name(mut self, name: &'static str) -> Self {
        self.setup.name = Some(name);
        self
    }

    /// Sets how refusals are answered, instead of as `application/problem+json`. Requests of gRPC are still answered as
    /// gRPC: see [the table](Self#refusals).
    ///
    /// # Examples
    ///
    /// ```
    /// use http::Response;
    /// # use latchwork::{KeyedLock, layer::{KeyedLockLayer, header}, web::Problem};
    ///
    /// # let locks = std::sync::Arc::new(KeyedLock::<String>::new());
    /// let lock = KeyedLockLayer::new(locks, header("x-user")).render(|problem: &Problem| {
    ///     let mut response = Response::new("come back later\n");
    ///     *response.status_mut() = problem.status();
    ///     response
    /// });
    /// # assert_eq!(lock.stats().requests(), 0);
    /// ```
    #[must_use]
    pub fn render<B: Into<Bytes>>(
        mut self,
        render: impl Fn(&Problem) -> Response<B> + Send + Sync + 'static,
    ) -> Self {
        self.setup.render = Some(Arc::new(move |problem| render(problem).map(Into::into)));
        self
    }

    /// Returns the live counters.
    #[must_use]
    pub fn stats(&self) -> LayerStats {
        self.setup.stats.clone()
    }

    /// Returns the name, for metrics.
    #[cfg(feature = "metrics")]
    pub(crate) fn label(&self) -> Option<&'static str> {
        self.setup.name
    }
}

impl<T, K, F: Clone, L: Clone> Layer<T> for KeyedLockLayer<K, F, L> {
    type Service = KeyedLockService<T, K, F, L>;

    fn layer(&self, inner: T) -> Self::Service {
        KeyedLockService::new(inner, Arc::new(self.setup.clone()))
    }
}

impl<K, F: Clone, L: Clone> Clone for KeyedLockLayer<K, F, L> {
    fn clone(&self) -> Self {
        Self { setup: self.setup.clone() }
    }
}

impl<K, F, L> fmt::Debug for KeyedLockLayer<K, F, L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.setup.fmt(f)
    }
}
