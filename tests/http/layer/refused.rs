//! Who is refused, and how it is told.

use std::time::Duration;

use axum::body::Body;
use axum::http::{Response, StatusCode};
use latchwork::{layer::Outcome, web::Problem};
use tower::service_fn;

use super::service::{around, call, layer, locks, ok, post};
use crate::support::Hand;

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn a_wait_that_takes_too_long_is_refused_with_503() {
    let locks = locks();
    let layer = layer(&locks).wait(SECOND);
    let mut service = around(&layer, service_fn(ok));
    let _held = locks.try_lock("ada").unwrap();
    let refused = call(&mut service, post("/ada")).await.unwrap();
    assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(refused.headers()["retry-after"], "1");
    assert_eq!((layer.stats().of(Outcome::TimedOut), layer.stats().requests()), (1, 1));
    assert_eq!((locks.counts().timed_out, locks.counts().cancelled), (1, 0));
    assert_eq!(locks.snapshot()[0].waiters(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_queue_that_is_full_is_not_joined() {
    let locks = locks();
    let layer = layer(&locks).wait(SECOND).max_waiters(2);
    let mut service = around(&layer, service_fn(ok));
    let held = locks.try_lock("ada").unwrap();
    let mut queue =
        [Hand::queued(call(&mut service, post("/ada"))), Hand::queued(call(&mut service, post("/ada")))];
    let refused = Hand::new(call(&mut service, post("/ada"))).poll().unwrap().unwrap();
    assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(refused.headers()["retry-after"], "1");
    assert_eq!(layer.stats().of(Outcome::QueueFull), 1);
    assert!(Hand::new(call(&mut service, post("/grace"))).poll().is_some(), "each key has its own queue");
    drop(held);
    for waiter in &mut queue {
        assert_eq!(waiter.poll().unwrap().unwrap().status(), StatusCode::OK);
    }
    assert!(locks.is_empty());
}

#[tokio::test(start_paused = true)]
async fn without_room_to_wait_a_free_key_is_had_all_the_same() {
    let locks = locks();
    let mut service = around(&layer(&locks).wait(SECOND).max_waiters(0), service_fn(ok));
    assert_eq!(call(&mut service, post("/ada")).await.unwrap().status(), StatusCode::OK);
    let _held = locks.try_lock("ada").unwrap();
    assert_eq!(call(&mut service, post("/ada")).await.unwrap().status(), StatusCode::SERVICE_UNAVAILABLE);
}

#[test]
fn a_refusal_is_rendered_as_the_user_wants() {
    let locks = locks();
    let render = |problem: &Problem| {
        let status = problem.status();
        let response = Response::builder().status(status).header("x-rendered", "yes");
        response.body(format!("no: {status}")).unwrap()
    };
    let mut service = around(&layer(&locks).render(render), service_fn(ok));
    let _held = locks.try_lock("ada").unwrap();
    let refused = Hand::new(call(&mut service, post("/ada"))).poll().unwrap().unwrap();
    assert_eq!(
        (refused.status(), refused.headers()["x-rendered"].as_bytes()),
        (StatusCode::CONFLICT, &b"yes"[..])
    );
    let text = Hand::new(axum::body::to_bytes(Body::new(refused.into_body()), 100)).poll().unwrap().unwrap();
    assert_eq!(text, "no: 409 Conflict");
}

#[tokio::test(start_paused = true)]
async fn a_layer_that_is_stacked_on_itself_refuses_and_leaves_nothing() {
    let locks = locks();
    let twice = layer(&locks);
    let mut service = around(&twice, around(&twice, service_fn(ok)));
    assert_eq!(call(&mut service, post("/ada")).await.unwrap().status(), StatusCode::CONFLICT);
    let patient = layer(&locks).wait(SECOND);
    let mut service = around(&patient, around(&patient, service_fn(ok)));
    assert_eq!(call(&mut service, post("/ada")).await.unwrap().status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(locks.is_empty());
}

#[tokio::test(start_paused = true)]
async fn two_layers_with_different_locks_hold_both_keys() {
    let (users, tenants) = (locks(), locks());
    let inner = {
        let (users, tenants) = (users.clone(), tenants.clone());
        service_fn(move |request| {
            assert!(users.is_locked("ada") && tenants.is_locked("ada"));
            ok(request)
        })
    };
    let mut service = around(&layer(&users), around(&layer(&tenants), inner));
    assert_eq!(call(&mut service, post("/ada")).await.unwrap().status(), StatusCode::OK);
    let _held = tenants.try_lock("ada").unwrap();
    assert_eq!(call(&mut service, post("/ada")).await.unwrap().status(), StatusCode::CONFLICT);
    assert!(users.is_empty(), "the outer key goes when the inner one is refused");
}
