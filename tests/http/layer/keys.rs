//! Which key a request is about, and what becomes of those whose key can't be told.

use std::convert::Infallible;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderValue, Request, Response, StatusCode};
use axum::routing::get;
use latchwork::{Fence, KeyedLock};
use latchwork::{
    extract::path_param,
    layer::{KeyedLockLayer, Mode, Outcome, extension, header},
};
use tower::{Layer, ServiceExt, service_fn};

use super::service::{around, call, layer, locks, ok};
use crate::support::Hand;

async fn never(_: Request<Body>) -> Result<Response<Body>, Infallible> {
    panic!("the service must not be called without the key")
}

#[test]
fn a_request_without_a_key_goes_through_without_a_lock() {
    let locks = locks();
    let layer = layer(&locks);
    let mut service = around(&layer, service_fn(ok));
    let mut one = Hand::new(call(&mut service, super::service::get("/")));
    assert!(locks.is_empty());
    assert!(one.poll().is_some());
    assert_eq!((layer.stats().of(Outcome::NoKey), layer.stats().requests()), (1, 1));
}

#[test]
fn a_header_is_the_key_or_the_request_is_refused() {
    let locks = locks();
    let layer = KeyedLockLayer::new(locks.clone(), header("x-tenant"));
    let mut served = around(&layer, service_fn(ok));
    let request = || Request::post("/").header("x-tenant", "acme");
    let mut one = Hand::new(call(&mut served, request().body(Body::empty()).unwrap()));
    assert!(locks.is_locked("acme"));
    assert!(one.poll().is_some());

    let mut unserved = around(&layer, service_fn(never));
    let bad = [
        Request::post("/"),
        request().header("x-tenant", "globex"),
        Request::post("/").header("x-tenant", ""),
        Request::post("/").header("x-tenant", HeaderValue::from_bytes(b"\xff").unwrap()),
    ];
    for bad in bad {
        let refused =
            Hand::new(call(&mut unserved, bad.body(Body::empty()).unwrap())).poll().unwrap().unwrap();
        assert_eq!(refused.status(), StatusCode::BAD_REQUEST);
        assert!(!refused.headers().contains_key("retry-after"));
    }
    assert_eq!(layer.stats().of(Outcome::BadKey), 4);
    assert!(locks.is_empty());
}

#[test]
fn an_extension_is_the_key_or_the_request_is_refused() {
    #[derive(Clone)]
    struct User {
        id: u64,
    }
    let locks = Arc::new(KeyedLock::<u64>::new());
    let layer = KeyedLockLayer::new(locks.clone(), extension(|user: &User| (user.id > 0).then_some(user.id)));
    let mut served = around(&layer, service_fn(ok));
    let request = |id| Request::post("/").extension(User { id }).body(Body::empty()).unwrap();
    let mut one = Hand::new(call(&mut served, request(7)));
    assert!(locks.is_locked(7));
    assert!(one.poll().is_some());
    assert!(Hand::new(call(&mut served, request(0))).poll().is_some(), "it may decline");
    let mut unserved = around(&layer, service_fn(never));
    let refused = Hand::new(call(&mut unserved, super::service::get("/"))).poll().unwrap().unwrap();
    assert_eq!(refused.status(), StatusCode::INTERNAL_SERVER_ERROR);
    let counts = layer.stats();
    let of = |outcome| counts.of(outcome);
    assert_eq!((of(Outcome::Acquired), of(Outcome::NoKey), of(Outcome::BadKey)), (1, 1, 1));
}

#[tokio::test]
async fn a_parameter_of_the_path_is_the_key_or_the_request_is_refused() {
    let locks = locks();
    let by_user = || KeyedLockLayer::new(locks.clone(), path_param("user"));
    let router = || {
        let whose = locks.clone();
        let keys = async move || whose.snapshot().iter().map(|view| view.key().clone()).collect::<String>();
        Router::new().route("/users/{user}", get(keys.clone())).route("/teams/{team}", get(keys))
    };
    let send = async |app: Router, path: &str| {
        let request = Request::get(path).body(Body::empty()).unwrap();
        let (head, body) = app.oneshot(request).await.unwrap().into_parts();
        (head.status.as_u16(), axum::body::to_bytes(body, 1000).await.unwrap())
    };
    let app = router().layer(by_user());
    assert_eq!(send(app.clone(), "/users/ada%20l").await, (200, "ada l".into()));
    let nested = Router::new().nest("/v1/{version}", router().layer(by_user()));
    assert_eq!(send(nested, "/v1/7/users/ada").await, (200, "ada".into()));
    assert_eq!(send(app.clone(), "/users/%ff").await.0, 400);
    assert_eq!(send(app, "/teams/ada").await.0, 500);
    // Outside the router there are no parameters: that is said, and nothing is served without a lock.
    let outside = by_user().layer(router());
    let request = Request::get("/users/ada").body(Body::empty()).unwrap();
    assert_eq!(outside.oneshot(request).await.unwrap().status(), StatusCode::INTERNAL_SERVER_ERROR);
    assert!(locks.is_empty());
}

#[tokio::test]
async fn a_path_that_no_route_has_is_not_found_behind_a_route_layer() {
    let locks = locks();
    let by_user = KeyedLockLayer::new(locks.clone(), path_param("user"));
    let app = Router::new().route("/users/{user}", get(async || "")).route_layer(by_user);
    for (path, status) in [("/users/ada", 200), ("/favicon.ico", 404), ("/users", 404)] {
        let answer = app.clone().oneshot(super::service::get(path)).await.unwrap();
        assert_eq!(answer.status(), status, "{path}");
    }
}

#[tokio::test]
async fn of_two_parameters_of_the_same_name_the_inner_one_is_the_key() {
    let locks = locks();
    let by_user = KeyedLockLayer::new(locks.clone(), path_param("user"));
    let key = async move || locks.snapshot()[0].key().clone();
    let inner = Router::new().route("/friends/{user}", get(key)).route_layer(by_user);
    let app = Router::new().nest_service("/users/{user}", inner);
    let answer = app.oneshot(super::service::get("/users/ada/friends/grace")).await.unwrap();
    assert_eq!(axum::body::to_bytes(answer.into_body(), 1000).await.unwrap(), "grace");
}

#[tokio::test]
async fn who_asks_for_a_fence_if_there_is_one_is_served_in_every_mode() {
    let by_user = |mode| KeyedLockLayer::new(locks(), path_param("user")).mode(mode);
    for mode in [Mode::Off, Mode::Observe, Mode::Enforce] {
        let handler = async |fence: Option<axum::Extension<Fence>>| fence.is_some().to_string();
        let app = Router::new().route("/users/{user}", get(handler)).route_layer(by_user(mode));
        let answer = app.oneshot(super::service::get("/users/ada")).await.unwrap();
        let has_fence = axum::body::to_bytes(answer.into_body(), 1000).await.unwrap();
        assert_eq!(has_fence, (mode != Mode::Off).to_string());
    }
}
