//! Handlers that finish although nobody waits for their answer.

use std::convert::Infallible;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::Body;
use axum::http::{Request, Response, StatusCode};
use futures::FutureExt;
use latchwork::layer::{Mode, Outcome};
use latchwork::web::{Problem, ProblemKind};
use tokio::runtime::Builder;
use tower::service_fn;

use super::service::{Answer, Gate, Probe, around, call, gated, layer, locks, post};
use crate::support::{Hand, no_hang};

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test]
async fn a_handler_finishes_with_the_key_though_its_call_is_dropped() {
    let locks = locks();
    let (gate, done) = (Gate::new(), Arc::new(tokio::sync::Notify::new()));
    let inner = {
        let (gate, done, locks) = (gate.clone(), done.clone(), locks.clone());
        service_fn(move |_: Request<Body>| {
            let (gate, done, locks) = (gate.clone(), done.clone(), locks.clone());
            async move {
                gate.pass().await;
                assert!(locks.is_locked("ada"));
                done.notify_one();
                Ok::<_, Infallible>(Response::new(Body::empty()))
            }
        })
    };
    let mut service = around(&layer(&locks).detached(true), inner);
    drop(Hand::queued(call(&mut service, post("/ada"))));
    assert!(locks.is_locked("ada"));
    assert_eq!(call(&mut service, post("/ada")).await.unwrap().status(), StatusCode::CONFLICT);
    gate.open();
    done.notified().await;
    locks.drained().await;
}

#[tokio::test]
async fn what_a_detached_handler_holds_is_dropped_before_the_key_is_free() {
    let locks = locks();
    let held = Arc::new(Mutex::new(None));
    let inner = {
        let (locks, held) = (locks.clone(), held.clone());
        service_fn(move |_: Request<Body>| {
            let probe = Probe { locks: locks.clone(), key: "ada", held: held.clone() };
            async move {
                let _probe = probe;
                tokio::task::yield_now().await;
                panic!("asked for");
                #[allow(unreachable_code, reason = "it says what the service returns")]
                Answer::Ok(Response::new(Body::empty()))
            }
        })
    };
    let mut service = around(&layer(&locks).detached(true), inner);
    let panicked = AssertUnwindSafe(call(&mut service, post("/ada"))).catch_unwind().await;
    let panic = panicked.expect_err("the panic comes through");
    assert_eq!(panic.downcast_ref::<&str>(), Some(&"asked for"));
    assert_eq!(*held.lock().unwrap(), Some(true));
    assert!(locks.is_empty());
}

#[tokio::test]
async fn a_detached_response_holds_its_key_until_the_body_ends_if_told_so() {
    let locks = locks();
    let inner = service_fn(async |_: Request<Body>| Ok::<_, Infallible>(Response::new(Body::from("a plan"))));
    let layer = layer(&locks).detached(true);
    let mut service = around(&layer.clone().hold_until_body_end(true), inner);
    let response = call(&mut service, post("/ada")).await.unwrap();
    assert!(locks.is_locked("ada"));
    drop(response);
    assert!(locks.is_empty());
    let _response = call(&mut around(&layer, inner), post("/ada")).await.unwrap();
    assert!(locks.is_empty());
}

#[tokio::test]
async fn a_detached_handler_that_is_through_needs_nobody_to_release_its_key() {
    let locks = locks();
    let gate = Gate::new();
    let inner = gated(&gate);
    let mut service = around(&layer(&locks).detached(true), inner);
    let mut busy_elsewhere = Hand::queued(call(&mut service, post("/ada")));
    gate.open();
    while !busy_elsewhere.is_woken() {
        tokio::task::yield_now().await;
    }
    assert!(locks.is_empty(), "its answer is there");
    assert_eq!(busy_elsewhere.poll().unwrap().unwrap().status(), StatusCode::OK);
}

#[tokio::test(start_paused = true)]
async fn a_wait_is_given_up_before_anything_is_detached() {
    let locks = locks();
    let inner = service_fn(|_: Request<Body>| -> std::future::Ready<Answer> { panic!("it is not called") });
    let layer = layer(&locks).wait(SECOND).detached(true);
    let mut service = around(&layer, inner);
    let held = locks.try_lock("ada").unwrap();
    drop(Hand::queued(call(&mut service, post("/ada"))));
    assert_eq!(layer.stats().of(Outcome::Cancelled), 1);
    drop(held);
    assert!(locks.is_empty());
}

#[tokio::test(start_paused = true)]
async fn after_a_wait_a_handler_is_detached_as_well() {
    let locks = locks();
    let gate = Gate::new();
    let inner = gated(&gate);
    let mut service = around(&layer(&locks).wait(SECOND).detached(true), inner);
    let held = locks.try_lock("ada").unwrap();
    let mut waits = Hand::queued(call(&mut service, post("/ada")));
    drop(held);
    assert!(waits.poll().is_none());
    drop(waits);
    assert!(locks.is_locked("ada"));
    gate.open();
    locks.drained().await;
}

#[tokio::test]
async fn nothing_is_detached_where_it_is_only_observed() {
    let locks = locks();
    let inner = service_fn(|_: Request<Body>| std::future::pending::<Answer>());
    let mut service = around(&layer(&locks).detached(true).mode(Mode::Observe), inner);
    let one = Hand::queued(call(&mut service, post("/ada")));
    assert!(locks.is_locked("ada"));
    drop(one);
    assert!(locks.is_empty());
}

#[test]
fn a_runtime_that_shuts_down_leaves_no_key_and_invites_no_second_run() {
    no_hang(|| {
        let locks = locks();
        let inner = service_fn(|_: Request<Body>| std::future::pending::<Answer>());
        let mut service = around(&layer(&locks).detached(true), inner);
        let workers = Builder::new_multi_thread().worker_threads(1).build().unwrap();
        let mut one = {
            let _inside = workers.enter();
            Hand::queued(call(&mut service, post("/ada")))
        };
        assert!(locks.is_locked("ada"));
        drop(workers);
        let refused = one.poll().expect("the task is gone").unwrap();
        assert_eq!(refused.status(), StatusCode::INTERNAL_SERVER_ERROR);
        assert!(!refused.headers().contains_key("retry-after"));
        let problem = refused.extensions().get::<Problem>().unwrap();
        let said = (problem.kind(), problem.is_retryable());
        assert_eq!(said, (Some(ProblemKind::Interrupted), false), "the work may be done");
        assert!(locks.is_empty());
    });
}

#[test]
fn outside_a_runtime_there_is_a_panic_and_no_key_stays() {
    let locks = locks();
    let inner = service_fn(|_: Request<Body>| std::future::pending::<Answer>());
    let mut service = around(&layer(&locks).detached(true), inner);
    let panic = crate::support::panic_of(|| drop(call(&mut service, post("/ada"))));
    assert!(panic.contains("runtime"), "{panic}");
    assert!(locks.is_empty());
}
