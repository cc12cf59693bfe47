//! [`HeldKey`]: the key of a request, for its handler to keep.

use std::fmt;
use std::hash::RandomState;
use std::ops::Deref;
use std::sync::Arc;

use super::span::Span;
use crate::keyed::OwnedKeyedGuard;

/// The key that a request holds, in its extensions if the layer was told to
/// [share the guard](super::KeyedLockLayer::share_guard).
///
/// It is not there where a request goes through without the key: off, only observed, or about no key. The layer holds
/// it too, until the response is there. A handler that keeps a clone, in a task that it spawns,
/// say, keeps the key until that is dropped as well.
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
///         let _held = held; // the next request of this key finds it busy until here
///     });
///     name
/// }
///
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// let locks = Arc::new(latchwork::KeyedLock::<String>::new());
/// let layer = KeyedLockLayer::new(locks.clone(), path_param("user")).share_guard(true);
/// let app = Router::new().route("/jobs/{user}", post(begin)).layer(layer);
/// let request = Request::post("/jobs/ada").body(Body::empty()).expect("it is a request");
/// assert_eq!(app.oneshot(request).await.expect("it can't fail").status(), 200);
/// assert!(locks.is_locked("ada")); // the task has not run yet
/// locks.drained().await;
/// # });
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct HeldKey<K, S = RandomState>(Arc<OwnedKeyedGuard<K, S>>);

impl<K, S> HeldKey<K, S> {
    pub(super) fn new(guard: OwnedKeyedGuard<K, S>) -> Self {
        Self(Arc::new(guard))
    }
}

impl<K, S> Deref for HeldKey<K, S> {
    type Target = OwnedKeyedGuard<K, S>;

    fn deref(&self) -> &OwnedKeyedGuard<K, S> {
        &self.0
    }
}

impl<K, S> Clone for HeldKey<K, S> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<K: fmt::Debug, S> fmt::Debug for HeldKey<K, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What the layer itself keeps of a key. It is let go of inside the request's span, which lasts as long.
pub(super) struct Hold<K, S> {
    held: Option<Held<K, S>>,
    span: Span,
}

pub(super) enum Held<K, S> {
    Alone { _guard: OwnedKeyedGuard<K, S> },
    Shared { _key: HeldKey<K, S> },
}

impl<K, S> Held<K, S> {
    pub(super) fn alone(guard: OwnedKeyedGuard<K, S>) -> Self {
        Self::Alone { _guard: guard }
    }

    pub(super) fn inside(self, span: &Span) -> Hold<K, S> {
        Hold { held: Some(self), span: span.clone() }
    }
}

impl<K, S> Drop for Hold<K, S> {
    fn drop(&mut self) {
        self.span.run(|| drop(self.held.take()));
    }
}
