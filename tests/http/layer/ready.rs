//! Readiness, which is the service's own.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use axum::body::Body;
use axum::http::{Request, Response, StatusCode};
use latchwork::layer::Outcome;
use tower::limit::ConcurrencyLimitLayer;
use tower::{Layer, Service, service_fn};

use super::service::{Fussy, Gate, around, call, gated, get, layer, locks};
use crate::support::Hand;

const LONG: Duration = Duration::from_secs(3600);

#[test]
fn poll_ready_takes_no_lock() {
    let locks = locks();
    let mut service = around(&layer(&locks), Fussy::new());
    assert!(service.poll_ready(&mut Context::from_waker(Waker::noop())).is_ready());
    assert!(locks.is_empty());
    let _call = service.call(get("/ada"));
    assert!(locks.is_locked("ada"));
}

#[test]
fn the_service_that_was_ready_is_called_when_the_key_is_free() {
    let locks = locks();
    let fussy = Fussy::new();
    let mut service = around(&layer(&locks), fussy.clone());
    for path in ["/ada", "/grace", "/"] {
        assert!(Hand::new(call(&mut service, get(path))).poll().is_some());
    }
    assert_eq!(fussy.calls.load(Ordering::SeqCst), 3);
}

#[tokio::test(start_paused = true)]
async fn the_service_that_was_ready_is_called_after_a_wait_and_its_clone_is_asked_anew() {
    let locks = locks();
    let fussy = Fussy::new();
    let mut service = around(&layer(&locks).wait(LONG), fussy.clone());
    let held = locks.try_lock("ada").unwrap();
    let mut waits = Hand::queued(call(&mut service, get("/ada")));
    // The next request has to ask for readiness itself: `Fussy` would panic otherwise.
    assert!(Hand::new(call(&mut service, get("/grace"))).poll().is_some());
    drop(held);
    assert!(waits.is_woken());
    assert_eq!(waits.poll().unwrap().unwrap().status(), StatusCode::OK);
    assert_eq!(fussy.calls.load(Ordering::SeqCst), 2);
}

#[test]
fn a_service_that_is_not_ready_makes_the_layer_not_ready() {
    let locks = locks();
    let gate = Gate::new();
    let inner = gated(&gate);
    let mut service = around(&layer(&locks), ConcurrencyLimitLayer::new(1).layer(inner));
    let mut first = Hand::queued(call(&mut service, get("/ada")));
    let mut task = Context::from_waker(Waker::noop());
    assert!(service.poll_ready(&mut task).is_pending());
    assert_eq!(locks.len(), 1, "the one that is not ready has no key");
    gate.open();
    assert!(first.poll().is_some());
    drop(first);
    assert!(service.poll_ready(&mut task).is_ready());
}

#[test]
fn a_refused_request_gives_the_readiness_back() {
    let locks = locks();
    let calls = Arc::new(AtomicUsize::new(0));
    let inner = {
        let calls = calls.clone();
        service_fn(move |_: Request<Body>| {
            calls.fetch_add(1, Ordering::SeqCst);
            async { Ok::<_, Infallible>(Response::new(Body::empty())) }
        })
    };
    let layer = layer(&locks);
    let mut service = around(&layer, ConcurrencyLimitLayer::new(1).layer(inner));
    let held = locks.try_lock("ada").unwrap();
    for _ in 0..3 {
        // Its place in the limit stays with the service, for the next request.
        let refused = Hand::new(call(&mut service, get("/ada"))).poll().unwrap().unwrap();
        assert_eq!(refused.status(), StatusCode::CONFLICT);
    }
    drop(held);
    assert_eq!(Hand::new(call(&mut service, get("/ada"))).poll().unwrap().unwrap().status(), StatusCode::OK);
    assert_eq!((calls.load(Ordering::SeqCst), layer.stats().of(Outcome::Busy)), (1, 3));
}

#[tokio::test(start_paused = true)]
async fn a_wait_that_is_given_up_gives_the_readiness_back() {
    let locks = locks();
    let inner = service_fn(async |_: Request<Body>| Ok::<_, Infallible>(Response::new(Body::empty())));
    let mut service = around(&layer(&locks).wait(LONG), ConcurrencyLimitLayer::new(1).layer(inner));
    let _held = locks.try_lock("ada").unwrap();
    let waits = Hand::queued(call(&mut service, get("/ada")));
    let mut task = Context::from_waker(Waker::noop());
    assert!(service.poll_ready(&mut task).is_pending(), "the one that waits keeps its place in the limit");
    drop(waits);
    assert!(matches!(service.poll_ready(&mut task), Poll::Ready(Ok(()))));
    assert!(Hand::new(service.call(get("/grace"))).poll().is_some());
}
