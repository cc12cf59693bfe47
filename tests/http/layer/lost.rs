//! Requests that end with their lock, if the layer is set up so.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::http::{Request, Response, StatusCode};
use futures::channel::mpsc::unbounded;
use http_body_util::StreamBody;
use hyper::body::Frame;
use latchwork::layer::{HeldBody, HeldKey, KeyedLockLayer, Mode, OnLost, Outcome};
use latchwork::provider::LockError;
use latchwork::web::{Problem, ProblemKind};
use tower::{Service, service_fn};

use super::remote::{Remote, RemoteGuard, Reply, only};
use super::service::{Answer, ByPath, Gate, Probe, around, call, gated, layer, locks, post};
use crate::support::Hand;

const LONG: Duration = Duration::from_secs(3600);

type Held = Arc<Mutex<Option<bool>>>;

fn aborting(remote: &Remote) -> KeyedLockLayer<String, ByPath, Remote> {
    remote.layer().on_lost(OnLost::Abort)
}

/// A handler that waits at its gate, and whether the key was still held when it was dropped.
fn probed(
    remote: &Remote,
    gate: &Gate,
) -> (
    Held,
    impl Service<Request<Body>, Response = Response<Body>, Error = Infallible, Future: Send + 'static>
    + Clone
    + Send
    + 'static,
) {
    let (held, gate, locks) = (Held::default(), gate.clone(), remote.locks.clone());
    let seen = held.clone();
    let service = service_fn(move |_: Request<Body>| {
        let probe = Probe { locks: locks.clone(), key: "ada", held: seen.clone() };
        let gate = gate.clone();
        async move {
            let _probe = probe;
            gate.pass().await;
            Answer::Ok(Response::new(Body::from("done")))
        }
    });
    (held, service)
}

fn kind(response: &Response<HeldBody<Body>>) -> Option<ProblemKind> {
    response.extensions().get::<Problem>().and_then(Problem::kind)
}

#[test]
fn a_lost_lock_ends_the_handler_and_the_request_is_refused() {
    for waits in [false, true] {
        for is_shared in [false, true] {
            let (gate, answer) = (Gate::new(), Gate::new());
            let remote = Remote::new(Reply::Grant, waits.then_some(&answer));
            let (held, inner) = probed(&remote, &gate);
            let layer = aborting(&remote).wait(LONG).share_guard(is_shared);
            let mut service = around(&layer, inner);
            let mut one = Hand::new(call(&mut service, post("/ada")));
            if waits {
                assert!(one.poll().is_none());
                answer.open();
            }
            assert!(one.poll().is_none());
            assert_eq!(layer.stats().requests(), 0, "how it ends is not known");
            assert_eq!(remote.loss.watched(), 1);
            remote.loss.happen();
            let refused = one.poll_while_woken().expect("the loss wakes it").unwrap();
            assert_eq!(
                (refused.status(), kind(&refused)),
                (StatusCode::SERVICE_UNAVAILABLE, Some(ProblemKind::LockLost))
            );
            assert_eq!(refused.headers()["retry-after"], "1");
            assert_eq!(*held.lock().unwrap(), Some(true), "its values go before the key");
            assert!(remote.locks.is_empty());
            only(&layer.stats(), Outcome::Lost);
        }
    }
}

#[test]
fn a_client_of_grpc_gets_the_loss_as_a_status() {
    let remote = Remote::new(Reply::Grant, None);
    let (_, inner) = probed(&remote, &Gate::new());
    let mut service = around(&aborting(&remote), inner);
    let mut request = post("/ada");
    request.headers_mut().insert("content-type", "application/grpc".parse().unwrap());
    let mut one = Hand::queued(call(&mut service, request));
    remote.loss.happen();
    let refused = one.poll_while_woken().unwrap().unwrap();
    assert_eq!(refused.status(), StatusCode::OK);
    assert_eq!(refused.headers()["grpc-status"], "14");
    assert_eq!(refused.headers()["content-type"], "application/grpc");
}

/// As after a pause of the whole process: the loss and what the handler waits for have both happened.
#[test]
fn a_handler_does_not_go_on_after_the_loss() {
    let (gate, remote) = (Gate::new(), Remote::new(Reply::Grant, None));
    let (held, inner) = probed(&remote, &gate);
    let layer = aborting(&remote);
    let mut service = around(&layer, inner);
    let mut one = Hand::queued(call(&mut service, post("/ada")));
    gate.open();
    remote.loss.happen();
    assert_eq!(kind(&one.poll().unwrap().unwrap()), Some(ProblemKind::LockLost));
    assert_eq!(*held.lock().unwrap(), Some(true));
    only(&layer.stats(), Outcome::Lost);
}

#[test]
fn an_answer_that_is_ready_before_the_loss_is_known_stays() {
    let remote = Remote::new(Reply::Grant, None);
    let loss = remote.loss.clone();
    let inner = service_fn(move |_: Request<Body>| {
        let loss = loss.clone();
        async move {
            loss.happen();
            Answer::Ok(Response::new(Body::empty()))
        }
    });
    let layer = aborting(&remote);
    let mut service = around(&layer, inner);
    assert_eq!(Hand::new(call(&mut service, post("/ada"))).poll().unwrap().unwrap().status(), 200);
    assert_eq!(remote.loss.watched(), 0, "the handler has not waited");
    only(&layer.stats(), Outcome::Acquired);
    assert!(remote.locks.is_empty());
}

#[test]
fn the_guard_is_shared_with_the_handler_only_if_it_is_set_up_so() {
    for is_shared in [false, true] {
        let remote = Remote::new(Reply::Grant, None);
        let inner = service_fn(move |request: Request<Body>| {
            let held = request.extensions().get::<HeldKey<String, RemoteGuard>>();
            assert_eq!(held.is_some(), is_shared);
            async { Answer::Ok(Response::new(Body::empty())) }
        });
        let mut service = around(&aborting(&remote).share_guard(is_shared), inner);
        assert_eq!(Hand::new(call(&mut service, post("/ada"))).poll().unwrap().unwrap().status(), 200);
        assert!(remote.locks.is_empty());
    }
}

#[test]
fn a_client_that_hangs_up_counts_as_its_key_was_granted() {
    let remote = Remote::new(Reply::Grant, None);
    let (held, inner) = probed(&remote, &Gate::new());
    let layer = aborting(&remote);
    let mut service = around(&layer, inner);
    drop(Hand::queued(call(&mut service, post("/ada"))));
    assert_eq!(*held.lock().unwrap(), Some(true));
    only(&layer.stats(), Outcome::Acquired);
    assert!(remote.locks.is_empty());
}

#[tokio::test]
async fn a_detached_handler_ends_with_its_lock_whether_its_client_is_there_or_gone() {
    for is_gone in [false, true] {
        let remote = Remote::new(Reply::Grant, None);
        let (held, inner) = probed(&remote, &Gate::new());
        let layer = aborting(&remote).detached(true);
        let mut service = around(&layer, inner);
        let mut one = Hand::queued(call(&mut service, post("/ada")));
        while remote.loss.watched() == 0 {
            tokio::task::yield_now().await;
        }
        if is_gone {
            drop(one);
            remote.loss.happen();
        } else {
            remote.loss.happen();
            while !one.is_woken() {
                tokio::task::yield_now().await;
            }
            assert_eq!(kind(&one.poll().unwrap().unwrap()), Some(ProblemKind::LockLost));
        }
        remote.locks.drained().await;
        assert_eq!(*held.lock().unwrap(), Some(true));
        only(&layer.stats(), Outcome::Lost);
    }
}

type Next = Option<Result<Frame<Bytes>, Box<dyn std::error::Error + Send + Sync>>>;

fn next(body: &mut HeldBody<Body>) -> Poll<Next> {
    Pin::new(body).poll_frame(&mut Context::from_waker(Waker::noop()))
}

#[test]
fn a_body_under_the_lock_ends_with_an_error_so_that_no_part_is_taken_for_the_whole() {
    for has_more in [false, true] {
        let remote = Remote::new(Reply::Grant, None);
        let (send, frames) = unbounded::<Result<_, Infallible>>();
        let response = Mutex::new(Some(Response::new(Body::new(StreamBody::new(frames)))));
        let response = Arc::new(response);
        let inner = service_fn(move |_: Request<Body>| {
            let response = response.lock().unwrap().take().unwrap();
            async move { Answer::Ok(response) }
        });
        let layer = aborting(&remote).hold_until_body_end(true);
        let mut service = around(&layer, inner);
        let mut body = Hand::new(call(&mut service, post("/ada"))).poll().unwrap().unwrap().into_body();
        let part = || Ok(Frame::data(Bytes::from_static(b"part")));
        send.unbounded_send(part()).unwrap();
        assert!(matches!(next(&mut body), Poll::Ready(Some(Ok(_)))));
        assert!(next(&mut body).is_pending());
        assert_eq!(layer.stats().requests(), 0, "how it ends is not known");
        if has_more {
            send.unbounded_send(part()).unwrap();
        }
        remote.loss.happen();
        let Poll::Ready(Some(Err(error))) = next(&mut body) else { panic!("the body goes on") };
        assert!(matches!(error.downcast_ref(), Some(LockError::Lost)), "{error:?}");
        assert!(send.is_closed(), "the service's body is dropped");
        assert!(body.is_end_stream() && remote.locks.is_empty());
        only(&layer.stats(), Outcome::Lost);
    }
}

#[test]
fn a_body_that_does_not_hold_the_key_outlives_the_loss() {
    let remote = Remote::new(Reply::Grant, None);
    let inner = service_fn(async |_: Request<Body>| Answer::Ok(Response::new(Body::from("a plan"))));
    let layer = aborting(&remote);
    let mut service = around(&layer, inner);
    let mut body = Hand::new(call(&mut service, post("/ada"))).poll().unwrap().unwrap().into_body();
    remote.loss.happen();
    assert!(matches!(next(&mut body), Poll::Ready(Some(Ok(_)))));
    only(&layer.stats(), Outcome::Acquired);
}

#[test]
fn an_observed_request_goes_on_and_counts_as_one_that_would_have_been_refused() {
    for is_lost in [false, true] {
        for waits in [false, true] {
            let (gate, answer) = (Gate::new(), Gate::new());
            let remote = Remote::new(Reply::Grant, waits.then_some(&answer));
            let layer = aborting(&remote).wait(LONG).mode(Mode::Observe);
            let mut service = around(&layer, gated(&gate));
            answer.open();
            let mut one = Hand::queued(call(&mut service, post("/ada")));
            if is_lost {
                remote.loss.happen();
            }
            assert!(one.poll().is_none(), "it goes on");
            gate.open();
            assert_eq!(one.poll().unwrap().unwrap().status(), 200);
            assert_eq!(remote.loss.watched(), 0);
            only(
                &layer.stats(),
                match (is_lost, waits) {
                    (true, _) => Outcome::WouldBeLost,
                    (false, true) => Outcome::WouldWait,
                    (false, false) => Outcome::Acquired,
                },
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_lost_key_is_not_kept_for_a_minimum_and_its_place_is_free() {
    let remote = Remote::new(Reply::Grant, None);
    let (_, inner) = probed(&remote, &Gate::new());
    let layer = aborting(&remote).hold_at_least(LONG).max_running(1);
    let mut service = around(&layer, inner);
    let mut one = Hand::queued(call(&mut service, post("/ada")));
    let full = call(&mut service, post("/grace")).await.unwrap();
    assert_eq!(kind(&full), Some(ProblemKind::Overloaded));
    remote.loss.happen();
    assert_eq!(kind(&one.poll_while_woken().unwrap().unwrap()), Some(ProblemKind::LockLost));
    assert!(remote.locks.is_empty());
    // Its lock is lost from the start; the place is not what it is refused for.
    let next = call(&mut service, post("/grace")).await.unwrap();
    assert_eq!(kind(&next), Some(ProblemKind::LockLost));
}

#[test]
fn a_local_lock_is_never_lost() {
    let (gate, locks) = (Gate::new(), locks());
    let layer = layer(&locks).on_lost(OnLost::Abort);
    let mut service = around(&layer, gated(&gate));
    let mut one = Hand::queued(call(&mut service, post("/ada")));
    assert!(one.poll().is_none());
    gate.open();
    assert_eq!(one.poll().unwrap().unwrap().status(), 200);
    only(&layer.stats(), Outcome::Acquired);
    assert!(locks.is_empty());
}
