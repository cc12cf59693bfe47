//! [`HeldKey`]: the key of a request, for its handler to keep. `Hold`: what the layer itself keeps.

use std::fmt;
use std::marker::PhantomData;
use std::ops::Deref;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::HeaderValue;
use tokio::runtime::Handle;
use tokio::time::{Instant, sleep_until};

use super::lost::{Keep, Watch};
use super::span::Span;
use crate::keyed::OwnedKeyedGuard;
use crate::provider::HeldLock;
use crate::semaphore::OwnedPermit;

/// The guard of a request's key. The layer puts it into the request's extensions if it
/// [shares the guard](super::KeyedLockLayer::share_guard).
///
/// It is a handle: the key is released when the last clone is dropped. The layer keeps one until the response is ready.
/// A handler that moves a clone into a task keeps the key until the task drops it.
///
/// A request that passes without its key has none: the layer is off, it only observes, or the request has no key.
///
/// `G` is the guard of the [provider](crate::provider::LockProvider), here that of a local lock by default.
///
/// # Examples
///
/// ```
/// use axum::{Extension, Router, body::Body, http::Request, routing::post};
/// use latchwork::{extract::path_param, layer::{HeldKey, KeyedLockLayer}};
/// use std::sync::Arc;
/// use tower::ServiceExt;
///
/// async fn begin(Extension(held): Extension<HeldKey<String>>) -> String {
///     let name = held.key().clone();
///     tokio::spawn(async move {
///         let _held = held; // the key is busy until here
///     });
///     name
/// }
///
/// # latchwork::__example!(async {
/// let locks = Arc::new(latchwork::KeyedLock::<String>::new());
/// let layer = KeyedLockLayer::new(locks.clone(), path_param("user")).share_guard(true);
/// let app = Router::new().route("/jobs/{user}", post(begin)).layer(layer);
/// let request = Request::post("/jobs/ada").body(Body::empty()).expect("it is a request");
/// assert_eq!(app.oneshot(request).await.expect("it can't fail").status(), 200);
/// assert!(locks.is_locked("ada")); // the task has not run yet
/// locks.drained().await;
/// # });
/// ```
pub struct HeldKey<K, G = OwnedKeyedGuard<K>> {
    guard: Arc<G>,
    of: PhantomData<fn() -> K>,
}

impl<K, G: HeldLock<Key = K>> HeldKey<K, G> {
    pub(super) fn new(guard: G) -> Self {
        Self { guard: Arc::new(guard), of: PhantomData }
    }

    /// Returns `true` if the lock is known to be lost. A local lock is never lost.
    #[must_use]
    pub fn is_lost(&self) -> bool {
        self.guard.is_lost()
    }

    /// Waits until the lock is known to be lost. With a local lock it waits for ever.
    pub async fn lost(&self) {
        self.guard.lost().await;
    }
}

impl<K, G> Deref for HeldKey<K, G> {
    type Target = G;

    fn deref(&self) -> &G {
        &self.guard
    }
}

impl<K, G> Clone for HeldKey<K, G> {
    fn clone(&self) -> Self {
        Self { guard: self.guard.clone(), of: PhantomData }
    }
}

impl<K: fmt::Debug, G: HeldLock<Key = K>> fmt::Debug for HeldKey<K, G> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (key, fence) = (self.guard.key(), self.guard.fence());
        f.debug_struct("HeldKey").field("key", key).field("fence", &fence).finish_non_exhaustive()
    }
}

/// What the layer itself keeps of a key. It is dropped inside the request's span, which lasts as long.
pub(super) struct Hold<G: HeldLock + 'static> {
    held: Option<Held<G>>,
    span: Span,
    terms: Option<Box<Terms>>,
}

pub(super) enum Held<G: HeldLock> {
    Alone { guard: G },
    Shared { key: HeldKey<G::Key, G> },
}

/// The watch for the loss of a key, the key, and the span of the request.
type Watched<'h, G> = (&'h mut Watch, &'h HeldKey<<G as HeldLock>::Key, G>, &'h Span);

/// What only some layers are set up for. It has a box of its own, so that the others do not carry it.
pub(super) struct Terms {
    /// The key is held until then, by a task on this runtime if the request ends sooner.
    until: Option<(Instant, Handle)>,
    place: Option<OwnedPermit>,
    /// The loss of the lock is watched.
    watch: Option<Watch>,
}

impl Terms {
    /// Creates the terms of a key that is granted now. With a minimum hold it panics outside a runtime with timers: nothing
    /// could release the key later.
    pub(super) fn new(min_hold: Option<Duration>, place: Option<OwnedPermit>) -> Self {
        const FAR: Duration = Duration::from_secs(30 * 365 * 24 * 3600);

        let until = min_hold.map(|min_hold| {
            let now = Instant::now();
            let until = now.checked_add(min_hold).unwrap_or(now + FAR);
            // Creating a timer panics without a time driver. Here the panic is the request's, and not lost in a task.
            drop(sleep_until(until));
            (until, Handle::current())
        });
        Self { until, place, watch: None }
    }

    /// Watches for the loss of the lock.
    pub(super) fn watch(&mut self, watch: Watch) {
        self.watch = Some(watch);
    }
}

impl<G: HeldLock> Held<G> {
    pub(super) fn inside(self, span: &Span, terms: Option<Box<Terms>>) -> Hold<G>
    where
        G: 'static,
    {
        Hold { held: Some(self), span: span.clone(), terms }
    }

    fn is_lost(&self) -> bool {
        match self {
            Self::Alone { guard } => guard.is_lost(),
            Self::Shared { key } => key.is_lost(),
        }
    }
}

impl<G: HeldLock + 'static> Hold<G> {
    /// Gives the place back, and the key to a task if it is too early to release it.
    #[cold]
    fn settle(&mut self, terms: Terms) {
        let Terms { until, place, watch } = terms;
        // The place goes before the key: the next request with this key must not find the place taken.
        drop(place);
        if let Some(watch) = watch {
            watch.end(&self.span, || is_lost(&self.held));
        }
        let early = until.filter(|(until, _)| *until > Instant::now());
        if let Some((until, runtime)) = early
            && !is_lost(&self.held)
        {
            let kept = Kept { held: self.held.take(), span: self.span.clone() };
            // A runtime that has shut down drops the task at once, and the key with it.
            runtime.spawn(async move {
                sleep_until(until).await;
                drop(kept);
            });
        }
    }
}

impl<G: HeldLock + 'static> Hold<G> {
    /// Returns the media type of a request that ended with its lock, if it is one of gRPC.
    pub(super) fn take_grpc(&mut self) -> Option<HeaderValue> {
        self.terms.as_mut()?.watch.as_mut()?.take_grpc()
    }

    fn watched(&mut self) -> Option<Watched<'_, G>> {
        let watch = self.terms.as_mut()?.watch.as_mut()?;
        match &self.held {
            Some(Held::Shared { key }) => Some((watch, key, &self.span)),
            // The layer only observes.
            _ => None,
        }
    }
}

impl<G: HeldLock<Key: 'static> + 'static> Keep for Hold<G> {
    fn is_over(&mut self) -> bool {
        self.watched().is_some_and(|(watch, key, span)| span.run(|| watch.is_over(key)))
    }

    fn poll_over(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.watched().map_or(Poll::Pending, |(watch, key, span)| span.run(|| watch.poll_over(key, cx)))
    }
}

/// A key after its request. It is dropped inside the request's span. The log has no warning if the lock was lost: the
/// request did not hold it any more.
struct Kept<G: HeldLock + 'static> {
    held: Option<Held<G>>,
    span: Span,
}

impl<G: HeldLock + 'static> Drop for Kept<G> {
    fn drop(&mut self) {
        let Self { held, span } = self;
        span.run(|| *held = None);
    }
}

/// Not while the thread unwinds: another panic out of the provider would abort the process.
fn is_lost<G: HeldLock>(held: &Option<Held<G>>) -> bool {
    !std::thread::panicking() && held.as_ref().is_some_and(Held::is_lost)
}

impl<G: HeldLock + 'static> Drop for Hold<G> {
    fn drop(&mut self) {
        if let Some(terms) = self.terms.take() {
            self.settle(*terms);
        }
        let Self { held, span, .. } = self;
        span.run(|| {
            if is_lost(held) {
                span.lost();
            }
            *held = None;
        });
    }
}
