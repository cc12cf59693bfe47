//! [`PathParam`]: the key of a request from the path that axum's router matched.

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use axum::extract::{FromRequestParts, RawPathParams};
use http::request::Parts;

use crate::layer::{RequestKey, misplaced};
use crate::web::Problem;

/// Uses a parameter of the path that axum's router matched as the key, as text. If nested routers have several
/// parameters of this name, the key is that of the innermost router.
///
/// The layer must be inside the router, around routes: [`Router::route_layer`](axum::Router::route_layer) or
/// [`MethodRouter::layer`](axum::routing::MethodRouter::layer).
/// [`Router::layer`](axum::Router::layer) is around the fallback as well, which has no parameters. With it, a path
/// without a route is answered with 500 instead of 404.
///
/// The layer refuses a request whose route has no such parameter with 500: it is not served without a lock. It refuses a
/// parameter that is not UTF-8 with 400.
///
/// # Examples
///
/// ```
/// use axum::{Router, body::Body, http::Request, routing::get};
/// use latchwork::{extract::path_param, layer::KeyedLockLayer};
/// use std::sync::Arc;
/// use tower::ServiceExt;
///
/// # latchwork::__example!(async {
/// let locks = Arc::new(latchwork::KeyedLock::<String>::new());
/// let app = Router::new()
///     .route("/users/{user}", get(async || "hello"))
///     .route_layer(KeyedLockLayer::new(locks.clone(), path_param("user")));
/// let _held = locks.try_lock("ada").expect("nobody has it");
/// let ada = Request::get("/users/ada").body(Body::empty()).expect("it is a request");
/// assert_eq!(app.oneshot(ada).await.expect("it can't fail").status(), 409);
/// # });
/// ```
#[must_use]
pub fn path_param(name: impl Into<Arc<str>>) -> PathParam {
    PathParam(name.into())
}

/// A parameter of the path as a key: see [`path_param`].
#[derive(Clone, Debug)]
pub struct PathParam(Arc<str>);

impl<K: From<String>> RequestKey<K> for PathParam {
    fn key(&self, parts: &mut Parts) -> Result<Option<K>, Problem> {
        // axum reads the parameters from the extensions, and never waits.
        let params = pin!(RawPathParams::from_request_parts(parts, &()));
        let Poll::Ready(params) = params.poll(&mut Context::from_waker(Waker::noop())) else {
            return Err(misplaced("the parameters of the path can't be read"));
        };
        let params = params.map_err(|rejection| match rejection.status() {
            status if status.is_client_error() => Problem::bad_key("the path is not UTF-8"),
            _ => misplaced("the layer is outside the router, or around its fallback"),
        })?;
        // The innermost router's parameter is the last.
        match params.iter().filter(|(name, _)| *name == &*self.0).last() {
            Some((_, value)) => Ok(Some(value.to_owned().into())),
            None => Err(misplaced("the route has no parameter of this name")),
        }
    }
}
