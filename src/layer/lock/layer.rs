//! [`KeyedLockLayer`]: what is set up of a lock around a service.

use std::fmt;
use std::hash::RandomState;
use std::sync::Arc;
use std::time::Duration;

use ::axum::response::Response;
use tower_layer::Layer;

use super::counts::LayerCounts;
use super::mode::ModeSwitch;
use super::service::KeyedLockService;
use super::setup::Setup;
use crate::keyed::KeyedLock;
use crate::web::Problem;

/// A lock for each request's key around a service: axum's, tonic's, or whatever is built on tower.
///
/// The key is held from before the service is called until its response is there, its future is dropped or it
/// panics; what happens to other keys is not noticed. By default a request that finds its key busy is refused at once.
///
/// | refused because | status |
/// |---|---|
/// | the key is busy ([`no_wait`](Self::no_wait)) | 409, `Retry-After` |
/// | the wait took too long ([`wait`](Self::wait)), or too many waited ([`max_waiters`](Self::max_waiters)) | 503, `Retry-After` |
/// | the key can't be told ([`RequestKey`](crate::layer::RequestKey)) | 400 |
///
/// The [`Fence`](crate::Fence) of the grant is in the request's extensions. With two layers around one service it is
/// that of the inner one. A request that goes through without the key (in the modes [`Off`](super::Mode::Off) and
/// [`Observe`](super::Mode::Observe), or because it is about none) has no fence from this layer, so handlers take it
/// as an `Option<Extension<Fence>>`: axum answers 500 where one that is not an option is missing.
///
/// It takes a free key when it is called, and lets the service's readiness be: `poll_ready` takes no lock. A request
/// that waits keeps the service that was ready for it.
///
/// # Fairness
///
/// As that of [`Acquire`](crate::Acquire), for those who wait.
///
/// # Cancel safety
///
/// When the client hangs up, the request's future is dropped: a wait is given up, and a key that is held is
/// released, after what the handler holds is dropped. [`detached`](Self::detached) lets handlers finish instead.
///
/// # Deadlock
///
/// A layer that is stacked on itself, with the same locks and keys, meets its own lock: it refuses, or waits until
/// its time is up. Two layers with different locks lock in the order of their stacking, the same for all.
///
/// # Examples
///
/// ```
/// use axum::{Router, body::Body, http::Request, routing::post};
/// use latchwork::{KeyedLock, extract::path_param, layer::KeyedLockLayer};
/// use std::sync::Arc;
/// use tower::ServiceExt;
///
/// # futures::executor::block_on(async {
/// let users = Arc::new(KeyedLock::<String>::new());
/// let plan = post(async || "a plan").layer(KeyedLockLayer::new(users.clone(), path_param("user")));
/// let app = Router::new().route("/users/{user}/plan", plan);
/// let click = || Request::post("/users/ada/plan").body(Body::empty()).expect("it is a request");
/// assert_eq!(app.clone().oneshot(click()).await.expect("it can't fail").status(), 200);
/// let _first_click = users.try_lock("ada").expect("nobody has it");
/// assert_eq!(app.oneshot(click()).await.expect("it can't fail").status(), 409);
/// # });
/// ```
pub struct KeyedLockLayer<K, F, S = RandomState> {
    setup: Setup<K, F, S>,
}

impl<K, F, S> KeyedLockLayer<K, F, S> {
    /// A lock by what `key` says of each request: a function of its head, or [`path_param`](crate::extract::path_param),
    /// [`header`](crate::layer::header), [`extension`](crate::layer::extension).
    ///
    /// # Examples
    ///
    /// ```
    /// use axum::http::request::Parts;
    /// use latchwork::{KeyedLock, layer::KeyedLockLayer};
    /// use std::sync::Arc;
    ///
    /// let hosts = Arc::new(KeyedLock::<String>::new());
    /// let layer = KeyedLockLayer::new(hosts, |parts: &Parts| parts.uri.host().map(str::to_owned));
    /// assert_eq!(layer.counts().requests(), 0);
    /// ```
    #[must_use]
    pub fn new(locks: Arc<KeyedLock<K, S>>, key: F) -> Self {
        let setup = Setup {
            locks,
            key,
            wait: None,
            max_waiters: usize::MAX,
            shares_reads: false,
            until_body_end: false,
            is_detached: false,
            shares_guard: false,
            mode: ModeSwitch::default(),
            counts: LayerCounts::default(),
            name: "requests",
            render: None,
        };
        Self { setup }
    }

    /// Refuses requests whose key is busy at once, with 409. This is the default.
    ///
    /// # Examples
    ///
    /// ```
    /// # use axum::{Router, body::Body, http::{Request, request::Parts}, routing::any};
    /// # use latchwork::{KeyedLock, layer::{KeyedLockLayer, Mode, Outcome}};
    /// # use std::{sync::Arc, time::Duration};
    /// # use tower::ServiceExt;
    /// # let (locks, key) = (Arc::new(KeyedLock::<u64>::new()), |_: &Parts| Some(7));
    /// # let app = |layer| Router::new().route("/", any(async || "a plan")).layer::<KeyedLockLayer<_, fn(&Parts) -> _>>(layer);
    /// # let get = || Request::get("/").body(Body::empty()).expect("it is a request");
    /// # let key: fn(&Parts) -> _ = key;
    /// # tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build()?.block_on(async {
    /// let app = app(KeyedLockLayer::new(locks.clone(), key).no_wait());
    /// let held = locks.try_lock(7).expect("nobody has it");
    /// assert_eq!(app.oneshot(get()).await.expect("it can't fail").status(), 409);
    /// # drop(held);
    /// # });
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[must_use]
    pub fn no_wait(mut self) -> Self {
        self.setup.wait = None;
        self
    }

    /// Lets requests whose key is busy wait for so long, and refuses them with 503 then.
    ///
    /// # Panics
    ///
    /// A request that waits panics when it is polled outside a tokio runtime with its time driver enabled.
    ///
    /// # Examples
    ///
    /// ```
    /// # use axum::{Router, body::Body, http::{Request, request::Parts}, routing::any};
    /// # use latchwork::{KeyedLock, layer::{KeyedLockLayer, Mode, Outcome}};
    /// # use std::{sync::Arc, time::Duration};
    /// # use tower::ServiceExt;
    /// # let (locks, key) = (Arc::new(KeyedLock::<u64>::new()), |_: &Parts| Some(7));
    /// # let app = |layer| Router::new().route("/", any(async || "a plan")).layer::<KeyedLockLayer<_, fn(&Parts) -> _>>(layer);
    /// # let get = || Request::get("/").body(Body::empty()).expect("it is a request");
    /// # let key: fn(&Parts) -> _ = key;
    /// # tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build()?.block_on(async {
    /// let app = app(KeyedLockLayer::new(locks.clone(), key).wait(Duration::from_secs(2)));
    /// let held = locks.try_lock(7).expect("nobody has it");
    /// assert_eq!(app.clone().oneshot(get()).await.expect("it can't fail").status(), 503); // two seconds later
    /// let (answer, ()) = tokio::join!(app.oneshot(get()), async { drop(held) });
    /// assert_eq!(answer.expect("it can't fail").status(), 200);
    /// # });
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[must_use]
    pub fn wait(mut self, timeout: Duration) -> Self {
        self.setup.wait = Some(timeout);
        self
    }

    /// Refuses requests with 503 at once if so many wait for their key already. There is no limit by default; without
    /// [`wait`](Self::wait) it does nothing.
    ///
    /// # Examples
    ///
    /// ```
    /// # use axum::{Router, body::Body, http::{Request, request::Parts}, routing::any};
    /// # use latchwork::{KeyedLock, layer::{KeyedLockLayer, Mode, Outcome}};
    /// # use std::{sync::Arc, time::Duration};
    /// # use tower::ServiceExt;
    /// # let (locks, key) = (Arc::new(KeyedLock::<u64>::new()), |_: &Parts| Some(7));
    /// # let app = |layer| Router::new().route("/", any(async || "a plan")).layer::<KeyedLockLayer<_, fn(&Parts) -> _>>(layer);
    /// # let get = || Request::get("/").body(Body::empty()).expect("it is a request");
    /// # let key: fn(&Parts) -> _ = key;
    /// # tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build()?.block_on(async {
    /// let layer = KeyedLockLayer::new(locks.clone(), key).wait(Duration::from_secs(2)).max_waiters(1);
    /// let (app, held) = (app(layer), locks.try_lock(7).expect("nobody has it"));
    /// let (first, second) = tokio::join!(app.clone().oneshot(get()), async {
    ///     let second = app.clone().oneshot(get()).await; // does not wait
    ///     drop(held);
    ///     second
    /// });
    /// assert_eq!([first, second].map(|answer| answer.expect("it can't fail").status().as_u16()), [200, 503]);
    /// # });
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[must_use]
    pub fn max_waiters(mut self, waiters: usize) -> Self {
        self.setup.max_waiters = waiters;
        self
    }

    /// Lets requests with safe methods (GET, HEAD, OPTIONS, TRACE) share a key among themselves. Off by default.
    ///
    /// # Examples
    ///
    /// ```
    /// # use axum::{Router, body::Body, http::{Request, request::Parts}, routing::any};
    /// # use latchwork::{KeyedLock, layer::{KeyedLockLayer, Mode, Outcome}};
    /// # use std::{sync::Arc, time::Duration};
    /// # use tower::ServiceExt;
    /// # let (locks, key) = (Arc::new(KeyedLock::<u64>::new()), |_: &Parts| Some(7));
    /// # let app = |layer| Router::new().route("/", any(async || "a plan")).layer::<KeyedLockLayer<_, fn(&Parts) -> _>>(layer);
    /// # let get = || Request::get("/").body(Body::empty()).expect("it is a request");
    /// # let key: fn(&Parts) -> _ = key;
    /// # tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build()?.block_on(async {
    /// let app = app(KeyedLockLayer::new(locks.clone(), key).share_reads(true));
    /// let reader = locks.try_lock_shared(7).expect("nobody has it");
    /// assert_eq!(app.clone().oneshot(get()).await.expect("it can't fail").status(), 200);
    /// let post = Request::post("/").body(Body::empty()).expect("it is a request");
    /// assert_eq!(app.oneshot(post).await.expect("it can't fail").status(), 409);
    /// # drop(reader);
    /// # });
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[must_use]
    pub fn share_reads(mut self, share: bool) -> Self {
        self.setup.shares_reads = share;
        self
    }

    /// Keeps the key until the response's body has been sent or dropped, and not only until its head is there: for
    /// bodies that are still being made. It costs one allocation. Off by default.
    ///
    /// # Examples
    ///
    /// ```
    /// # use axum::{Router, body::Body, http::{Request, request::Parts}, routing::any};
    /// # use latchwork::{KeyedLock, layer::{KeyedLockLayer, Mode, Outcome}};
    /// # use std::{sync::Arc, time::Duration};
    /// # use tower::ServiceExt;
    /// # let (locks, key) = (Arc::new(KeyedLock::<u64>::new()), |_: &Parts| Some(7));
    /// # let app = |layer| Router::new().route("/", any(async || "a plan")).layer::<KeyedLockLayer<_, fn(&Parts) -> _>>(layer);
    /// # let get = || Request::get("/").body(Body::empty()).expect("it is a request");
    /// # let key: fn(&Parts) -> _ = key;
    /// # tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build()?.block_on(async {
    /// let app = app(KeyedLockLayer::new(locks.clone(), key).hold_until_body_end(true));
    /// let answer = app.oneshot(get()).await.expect("it can't fail");
    /// assert!(locks.is_locked(7)); // its body has not been read
    /// drop(answer);
    /// assert!(locks.is_empty());
    /// # });
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[must_use]
    pub fn hold_until_body_end(mut self, hold: bool) -> Self {
        self.setup.until_body_end = hold;
        self
    }

    /// Lets a handler that has begun finish, with its key, though the client has hung up: it runs in a task of its
    /// own. A panic in it still reaches the caller. When the runtime shuts down, what is left is answered with 503.
    /// Off by default; waits are given up all the same, and nothing is detached in the mode
    /// [`Observe`](super::Mode::Observe).
    ///
    /// # Panics
    ///
    /// A request that has its key panics outside a tokio runtime, and releases it.
    ///
    /// # Examples
    ///
    /// ```
    /// # use axum::{Router, body::Body, http::{Request, request::Parts}, routing::any};
    /// # use latchwork::{KeyedLock, layer::{KeyedLockLayer, Mode, Outcome}};
    /// # use std::{sync::Arc, time::Duration};
    /// # use tower::ServiceExt;
    /// # let (locks, key) = (Arc::new(KeyedLock::<u64>::new()), |_: &Parts| Some(7));
    /// # let app = |layer| Router::new().route("/", any(async || "a plan")).layer::<KeyedLockLayer<_, fn(&Parts) -> _>>(layer);
    /// # let get = || Request::get("/").body(Body::empty()).expect("it is a request");
    /// # let key: fn(&Parts) -> _ = key;
    /// # tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build()?.block_on(async {
    /// let pay = app(KeyedLockLayer::new(locks.clone(), key).detached(true)); // a payment is not left half done
    /// let mut call = Box::pin(pay.oneshot(get()));
    /// assert!(futures::poll!(call.as_mut()).is_pending());
    /// drop(call); // the client hangs up
    /// assert!(locks.is_locked(7));
    /// locks.drained().await; // the handler is through
    /// # });
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[must_use]
    pub fn detached(mut self, detached: bool) -> Self {
        self.setup.is_detached = detached;
        self
    }

    /// Puts the guard into the request's extensions as well, as a [`HeldKey`](super::HeldKey), which shows how: for
    /// handlers that want to know the key, or to keep it longer. It costs two allocations. Off by default.
    #[must_use]
    pub fn share_guard(mut self, share: bool) -> Self {
        self.setup.shares_guard = share;
        self
    }

    /// Whether it locks, only looks, or does nothing: a [`Mode`](super::Mode), or a [`ModeSwitch`] that can be
    /// changed later.
    ///
    /// # Examples
    ///
    /// ```
    /// # use axum::http::request::Parts;
    /// # use latchwork::KeyedLock;
    /// use latchwork::layer::{KeyedLockLayer, Mode, ModeSwitch};
    /// # use std::sync::Arc;
    ///
    /// # let (locks, key) = (Arc::new(KeyedLock::<u64>::new()), |_: &Parts| Some(7));
    /// let switch = ModeSwitch::new(Mode::Observe);
    /// let layer = KeyedLockLayer::new(locks, key).mode(&switch);
    /// switch.set(Mode::Enforce); // when its counts have shown that nobody would be refused who should not be
    /// # assert_eq!(layer.counts().requests(), 0);
    /// ```
    #[must_use]
    pub fn mode(mut self, mode: impl Into<ModeSwitch>) -> Self {
        self.setup.mode = mode.into();
        self
    }

    /// What spans, events and metrics call it. "requests" by default.
    #[must_use]
    pub fn name(mut self, name: &'static str) -> Self {
        self.setup.name = name;
        self
    }

    /// Answers refusals in another way than as `application/problem+json`.
    ///
    /// # Examples
    ///
    /// ```
    /// # use axum::{Router, body::Body, http::{Request, request::Parts}, routing::get};
    /// # use latchwork::{KeyedLock, layer::KeyedLockLayer, web::Problem};
    /// # use std::sync::Arc;
    /// # use tower::ServiceExt;
    /// # futures::executor::block_on(async {
    /// # let (locks, key) = (Arc::new(KeyedLock::<u64>::new()), |_: &Parts| Some(7));
    /// use axum::response::IntoResponse;
    ///
    /// let terse = |problem: &Problem| (problem.status(), "come back later\n").into_response();
    /// let layer = KeyedLockLayer::new(locks.clone(), key).render(terse);
    /// # let app = Router::new().route("/", get(async || "")).layer(layer);
    /// # let held = locks.try_lock(7).expect("it is free");
    /// # let refused = app.oneshot(Request::get("/").body(Body::empty()).expect("it is one")).await.expect("it can't");
    /// assert_eq!(refused.headers()["content-type"], "text/plain; charset=utf-8");
    /// # });
    /// ```
    #[must_use]
    pub fn render(mut self, render: impl Fn(&Problem) -> Response + Send + Sync + 'static) -> Self {
        self.setup.render = Some(Arc::new(render));
        self
    }

    /// Its counters.
    ///
    /// # Examples
    ///
    /// ```
    /// # use axum::{Router, body::Body, http::{Request, request::Parts}, routing::any};
    /// # use latchwork::{KeyedLock, layer::{KeyedLockLayer, Mode, Outcome}};
    /// # use std::{sync::Arc, time::Duration};
    /// # use tower::ServiceExt;
    /// # let (locks, key) = (Arc::new(KeyedLock::<u64>::new()), |_: &Parts| Some(7));
    /// # let app = |layer| Router::new().route("/", any(async || "a plan")).layer::<KeyedLockLayer<_, fn(&Parts) -> _>>(layer);
    /// # let get = || Request::get("/").body(Body::empty()).expect("it is a request");
    /// # let key: fn(&Parts) -> _ = key;
    /// # tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build()?.block_on(async {
    /// let layer = KeyedLockLayer::new(locks.clone(), key).mode(Mode::Observe);
    /// let (counts, app) = (layer.counts(), app(layer));
    /// let held = locks.try_lock(7).expect("nobody has it");
    /// assert_eq!(app.oneshot(get()).await.expect("it can't fail").status(), 200);
    /// assert_eq!((counts.of(Outcome::WouldBeBusy), counts.requests()), (1, 1));
    /// # drop(held);
    /// # });
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[must_use]
    pub fn counts(&self) -> LayerCounts {
        self.setup.counts.clone()
    }
}

impl<T, K, F: Clone, S> Layer<T> for KeyedLockLayer<K, F, S> {
    type Service = KeyedLockService<T, K, F, S>;

    fn layer(&self, inner: T) -> Self::Service {
        KeyedLockService::new(inner, Arc::new(self.setup.clone()))
    }
}

impl<K, F: Clone, S> Clone for KeyedLockLayer<K, F, S> {
    fn clone(&self) -> Self {
        Self { setup: self.setup.clone() }
    }
}

impl<K, F, S> fmt::Debug for KeyedLockLayer<K, F, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.setup.fmt(f)
    }
}
