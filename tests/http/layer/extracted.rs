//! Keys that only an extractor knows.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::body::{Body, to_bytes};
use axum::extract::{FromRef, FromRequestParts, State};
use axum::http::request::Parts;
use axum::http::{Request, StatusCode};
use axum::routing::post;
use axum::{Extension, Router};
use latchwork::KeyedLock;
use latchwork::extract::ExtractLayer;
use latchwork::layer::{KeyedLockLayer, Outcome, extension};
use tower::{Layer, ServiceBuilder, ServiceExt};

use super::service::{Fussy, Gate, call};
use crate::support::Hand;

#[derive(Clone)]
struct User {
    id: u64,
}

/// Knows the tokens, and counts how many it verified.
#[derive(Clone, Default)]
struct Tokens {
    verified: Arc<AtomicUsize>,
}

impl<S: Sync> FromRequestParts<S> for User
where
    Tokens: FromRef<S>,
{
    type Rejection = (StatusCode, &'static str);

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Self::Rejection> {
        let tokens = Tokens::from_ref(state);
        tokens.verified.fetch_add(1, Ordering::SeqCst);
        tokio::task::yield_now().await;
        let token = parts.headers.get("authorization").and_then(|token| token.to_str().ok());
        match token.and_then(|token| token.strip_prefix("Bearer user-")?.parse().ok()) {
            Some(id) => Ok(Self { id }),
            None => Err((StatusCode::UNAUTHORIZED, "who are you?")),
        }
    }
}

impl<S: Sync> axum::extract::OptionalFromRequestParts<S> for User {
    type Rejection = Infallible;

    async fn from_request_parts(_: &mut Parts, _: &S) -> Result<Option<Self>, Infallible> {
        Ok(None)
    }
}

fn request(token: &str) -> Request<Body> {
    Request::post("/plan").header("authorization", token).body(Body::empty()).unwrap()
}

async fn send(app: &Router, token: &str) -> (u16, String) {
    let (head, body) = app.clone().oneshot(request(token)).await.unwrap().into_parts();
    (head.status.as_u16(), String::from_utf8(to_bytes(body, 1000).await.unwrap().into()).unwrap())
}

#[tokio::test]
async fn a_token_is_verified_once_for_the_lock_and_the_handler() {
    let (tokens, users) = (Tokens::default(), Arc::new(KeyedLock::<u64>::new()));
    let lock = KeyedLockLayer::new(users.clone(), extension(|user: &User| Some(user.id)));
    let stats = lock.stats();
    let whose = users.clone();
    let plan = async move |State(_): State<Tokens>, Extension(user): Extension<User>| {
        assert!(whose.is_locked(user.id));
        format!("a plan for {}", user.id)
    };
    let app = Router::new()
        .route("/plan", post(plan))
        .route_layer(lock)
        .route_layer(ExtractLayer::<User, _>::with_state(tokens.clone()))
        .with_state(tokens.clone());
    assert_eq!(send(&app, "Bearer user-7").await, (200, "a plan for 7".to_owned()));
    assert_eq!(tokens.verified.swap(0, Ordering::SeqCst), 1);

    let _held = users.try_lock(7).unwrap();
    assert_eq!(send(&app, "Bearer user-7").await.0, 409);
    assert_eq!(send(&app, "Bearer user-8").await.0, 200);
    assert_eq!(
        send(&app, "Bearer nonsense").await,
        (401, "who are you?".to_owned()),
        "as the extractor answers"
    );
    assert_eq!(tokens.verified.load(Ordering::SeqCst), 3);
    assert_eq!((stats.of(Outcome::Acquired), stats.of(Outcome::Busy), stats.requests()), (2, 1, 3));
}

#[tokio::test]
async fn an_optional_value_is_none_for_the_lock_as_for_the_handler() {
    let users = Arc::new(KeyedLock::<u64>::new());
    let lock = KeyedLockLayer::new(users, extension(|user: &Option<User>| user.as_ref().map(|user| user.id)));
    let stats = lock.stats();
    let plan = async |Extension(user): Extension<Option<User>>| user.is_none().to_string();
    let app = Router::new().route("/plan", post(plan)).layer(lock).layer(ExtractLayer::<Option<User>>::new());
    assert_eq!(send(&app, "").await, (200, "true".to_owned()));
    assert_eq!((stats.of(Outcome::NoKey), stats.requests()), (1, 1));
}

#[tokio::test]
async fn the_service_that_was_ready_is_the_one_that_is_called() {
    let fussy = Fussy::new();
    let calls = fussy.calls.clone();
    let extract = ExtractLayer::<User, Tokens>::default();
    let mut service = extract.layer(fussy);
    for _ in 0..2 {
        assert_eq!(call(&mut service, request("Bearer user-7")).await.unwrap().status(), 200);
    }
    assert_eq!(call(&mut service, request("")).await.unwrap().status(), 401);
    assert_eq!(calls.load(Ordering::SeqCst), 2);
}

#[test]
fn a_call_that_is_dropped_in_its_extractor_takes_no_key_and_calls_nothing() {
    #[derive(Clone)]
    struct Slow;
    impl FromRequestParts<Gate> for Slow {
        type Rejection = Infallible;

        async fn from_request_parts(_: &mut Parts, gate: &Gate) -> Result<Self, Infallible> {
            gate.pass().await;
            Ok(Self)
        }
    }
    let (gate, fussy, slow) = (Gate::new(), Fussy::new(), Arc::new(KeyedLock::<u64>::new()));
    let calls = fussy.calls.clone();
    let lock = KeyedLockLayer::new(slow.clone(), extension(|_: &Slow| Some(7)));
    let mut service = ServiceBuilder::new()
        .layer(ExtractLayer::<Slow, _>::with_state(gate.clone()))
        .layer(lock.clone())
        .service(fussy);
    let dropped = Hand::queued(call(&mut service, request("")));
    assert!(slow.is_empty());
    drop(dropped);
    gate.open();
    assert_eq!((calls.load(Ordering::SeqCst), lock.stats().requests()), (0, 0));
    assert!(Hand::new(call(&mut service, request(""))).poll().is_some());
    assert_eq!((calls.load(Ordering::SeqCst), lock.stats().requests()), (1, 1));
}
