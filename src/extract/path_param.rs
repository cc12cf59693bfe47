//! [`PathParam`]: the key of a request from the path that axum's router matched.

use std::pin::pin;
use std::str::FromStr;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use axum::extract::{FromRequestParts, RawPathParams};
use http::request::Parts;

use crate::layer::{RequestKey, misplaced};
use crate::web::Problem;

/// Uses a parameter of the path that axum's router matched as the key: text, or any other type that can be parsed
/// ([`FromStr`]). If nested routers have several parameters of this name, the key is that of the innermost router.
///
/// Use the type that the handler uses: for `Path<u64>` a `KeyedLock<u64>`. As text, `/orders/7`, `/orders/07` and
/// `/orders/+7` have three keys, and a handler that reads a number runs three times for one order.
///
/// The layer must be inside the router, around routes: [`Router::route_layer`](axum::Router::route_layer) or
/// [`MethodRouter::layer`](axum::routing::MethodRouter::layer).
/// [`Router::layer`](axum::Router::layer) is around the fallback as well, which has no parameters. With it, a path
/// without a route is answered with 500 instead of 404.
///
/// The layer refuses a request whose route has no such parameter with 500: it is not served without a lock. It refuses a
/// parameter that is not UTF-8 or can't be parsed with 400. The answer does not repeat the parameter.
///
/// # Examples
///
/// ```
/// use axum::{Router, body::Body, extract::Path, http::Request, routing::post};
/// use latchwork::{extract::path_param, layer::KeyedLockLayer};
/// use std::sync::Arc;
/// use tower::ServiceExt;
///
/// async fn pay(Path(order): Path<u64>) -> String {
///     format!("order {order} is paid")
/// }
///
/// # latchwork::__example!(async {
/// let orders = Arc::new(latchwork::KeyedLock::<u64>::new());
/// let app = Router::new()
///     .route("/orders/{order}", post(pay))
///     .route_layer(KeyedLockLayer::new(orders.clone(), path_param("order")));
/// let _held = orders.try_lock(7).expect("it is free");
/// for (path, status) in [("/orders/7", 409), ("/orders/+07", 409), ("/orders/seven", 400), ("/orders/8", 200)] {
///     let request = Request::post(path).body(Body::empty())?;
///     assert_eq!(app.clone().oneshot(request).await?.status(), status);
/// }
/// # });
/// ```
#[must_use]
pub fn path_param(name: impl Into<Arc<str>>) -> PathParam {
    PathParam(name.into())
}

/// A parameter of the path as a key: see [`path_param`].
#[derive(Clone, Debug)]
pub struct PathParam(Arc<str>);

impl<K: FromStr> RequestKey<K> for PathParam {
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
            Some((name, value)) => match value.parse() {
                Ok(key) => Ok(Some(key)),
                // The error's text may quote the value.
                Err(_) => {
                    Err(Problem::bad_key(format!("the parameter {name} of the path can't be read as a key")))
                }
            },
            None => Err(misplaced(&format!("the route has no parameter with the name {}", self.0))),
        }
    }
}
