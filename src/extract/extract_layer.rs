//! [`ExtractLayer`]: an extractor in front of a service, whose value stays with the request.

use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::extract::FromRequestParts;
use axum::response::{IntoResponse, Response};
use http::Request;
use tower_layer::Layer;
use tower_service::Service;

/// Runs an extractor once and puts its value into the request's extensions, for the layers and the handler behind it.
///
/// So a lock can have a key that only an extractor knows, such as the user of a verified token. The lock finds it with
/// [`extension`](crate::layer::extension), and the handler takes `Extension<User>` in the place of `User`. The token is
/// verified once, before the lock is taken.
///
/// If the extractor rejects the request, the rejection is the answer. No key is locked then, and the handler is not called.
///
/// The layer must be around that of the lock. In axum the layer that is added later is the outer one.
/// (axum's own `from_extractor` also runs an extractor, but does not keep its value.)
///
/// # Examples
///
/// ```
/// use axum::{Extension, Router, body::Body, extract::FromRequestParts, routing::post};
/// use http::{Request, StatusCode, request::Parts};
/// use latchwork::{KeyedLock, extract::ExtractLayer, layer::{KeyedLockLayer, extension}};
/// use std::sync::Arc;
/// use tower::ServiceExt;
///
/// #[derive(Clone)]
/// struct User { id: u64 }
///
/// impl<S: Sync> FromRequestParts<S> for User {
///     type Rejection = StatusCode;
///
///     async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, StatusCode> {
///         match parts.headers.get("authorization").map(|token| token.as_bytes()) {
///             Some(b"Bearer good") => Ok(Self { id: 7 }), // your verification
///             _ => Err(StatusCode::UNAUTHORIZED),
///         }
///     }
/// }
///
/// async fn plan(Extension(user): Extension<User>) -> String {
///     format!("a plan for {}", user.id)
/// }
///
/// # latchwork::__example!(async {
/// let users = Arc::new(KeyedLock::<u64>::new());
/// let lock = KeyedLockLayer::new(users.clone(), extension(|user: &User| Some(user.id)));
/// let app = Router::new().route("/plan", post(plan)).route_layer(lock).route_layer(ExtractLayer::<User>::new());
///
/// let _first_click = users.try_lock(7)?;
/// for (token, status) in [("Bearer good", 409), ("Bearer bad", 401)] {
///     let request = Request::post("/plan").header("authorization", token).body(Body::empty())?;
///     assert_eq!(app.clone().oneshot(request).await?.status(), status);
/// }
/// # });
/// ```
pub struct ExtractLayer<E, S = ()> {
    state: S,
    of: PhantomData<fn() -> E>,
}

impl<E> ExtractLayer<E> {
    /// Creates a layer with an extractor that needs no state.
    #[must_use]
    pub const fn new() -> Self {
        Self::with_state(())
    }
}

impl<E, S> ExtractLayer<E, S> {
    /// Creates a layer with an extractor that needs this state.
    #[must_use]
    pub const fn with_state(state: S) -> Self {
        Self { state, of: PhantomData }
    }
}

impl<E, S: Default> Default for ExtractLayer<E, S> {
    fn default() -> Self {
        Self::with_state(S::default())
    }
}

impl<E, S: Clone> Clone for ExtractLayer<E, S> {
    fn clone(&self) -> Self {
        Self::with_state(self.state.clone())
    }
}

impl<E, S> fmt::Debug for ExtractLayer<E, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExtractLayer").finish_non_exhaustive()
    }
}

impl<T, E, S: Clone> Layer<T> for ExtractLayer<E, S> {
    type Service = ExtractService<T, E, S>;

    fn layer(&self, inner: T) -> Self::Service {
        ExtractService { inner, layer: self.clone() }
    }
}

/// A service behind an extractor: see [`ExtractLayer`].
pub struct ExtractService<T, E, S = ()> {
    inner: T,
    layer: ExtractLayer<E, S>,
}

impl<T: Clone, E, S: Clone> Clone for ExtractService<T, E, S> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone(), layer: self.layer.clone() }
    }
}

impl<T: fmt::Debug, E, S> fmt::Debug for ExtractService<T, E, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExtractService").field("inner", &self.inner).finish_non_exhaustive()
    }
}

impl<T, B, E, S> Service<Request<B>> for ExtractService<T, E, S>
where
    T: Service<Request<B>, Response: IntoResponse, Error: 'static, Future: Send> + Clone + Send + 'static,
    B: Send + 'static,
    E: FromRequestParts<S> + Clone + Send + Sync + 'static,
    S: Clone + Send + Sync + 'static,
{
    type Response = Response;
    type Error = T::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response, T::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), T::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        // The service that was polled ready goes with the request; its clone is polled anew.
        let clone = self.inner.clone();
        let mut inner = mem::replace(&mut self.inner, clone);
        let state = self.layer.state.clone();
        Box::pin(async move {
            let (mut parts, body) = request.into_parts();
            // A rejection need not be `Send`: it becomes a response before the next `.await`.
            match E::from_request_parts(&mut parts, &state).await.map_err(IntoResponse::into_response) {
                Ok(value) => {
                    parts.extensions.insert(value);
                    inner.call(Request::from_parts(parts, body)).await.map(IntoResponse::into_response)
                }
                Err(rejection) => Ok(rejection),
            }
        })
    }
}
