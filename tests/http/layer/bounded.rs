//! A bound on the requests that run at once, over all keys.

use std::convert::Infallible;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::Body;
use axum::http::{Request, Response};
use latchwork::layer::{KeyedLockLayer, Mode, Outcome};
use latchwork::web::{Problem, ProblemKind};
use tower::service_fn;

use super::ends::End;
use super::remote::{Remote, Reply};
use super::service::{Answer, ByPath, Gate, around, call, gated, layer, locks, post};
use crate::support::{Event, Hand, hooked, panic_of};

type Bounded = KeyedLockLayer<String, ByPath>;

#[test]
fn a_request_beyond_the_bound_is_refused_before_the_service_is_called() {
    let locks = locks();
    let calls = Arc::new(AtomicUsize::new(0));
    let gate = Gate::new();
    let inner = {
        let (calls, gate) = (calls.clone(), gate.clone());
        service_fn(move |_: Request<Body>| {
            calls.fetch_add(1, Ordering::SeqCst);
            let gate = gate.clone();
            async move {
                gate.pass().await;
                Answer::Ok(Response::new(Body::empty()))
            }
        })
    };
    let layer = layer(&locks).max_running(2);
    // All clones and all services share the bound.
    let (mut one, mut two) = (around(&layer, inner.clone()), around(&layer.clone(), inner));
    let mut running = Hand::queued(call(&mut one, post("/ada")));
    let _also = Hand::queued(call(&mut two, post("/grace")));
    for service in [&mut one, &mut two] {
        let refused = Hand::new(call(service, post("/edsger"))).poll().unwrap().unwrap();
        assert_eq!(
            (refused.status().as_u16(), &refused.headers()["retry-after"]),
            (503, &"1".parse().unwrap())
        );
        let problem = refused.extensions().get::<Problem>().unwrap();
        assert_eq!((problem.kind(), problem.is_retryable()), (Some(ProblemKind::Overloaded), true));
    }
    assert_eq!((calls.load(Ordering::SeqCst), locks.is_locked("edsger")), (2, false));
    // Those without a key are none of the layer's business.
    gate.open();
    assert!(running.poll().is_some());
    let mut passes = Hand::queued(call(&mut one, post("/")));
    let _next = Hand::queued(call(&mut two, post("/edsger")));
    gate.open();
    gate.open();
    assert!(passes.poll().is_some());
    let counted =
        [Outcome::Acquired, Outcome::Overloaded, Outcome::NoKey].map(|outcome| layer.stats().of(outcome));
    assert_eq!((counted, layer.stats().requests()), ([3, 2, 1], 6));
}

#[test]
fn the_place_is_given_back_however_a_request_ends() {
    for end in End::ALL {
        let locks = locks();
        let gate = Gate::new();
        let inner = end.service(&gate);
        let mut service = around(&layer(&locks).max_running(1), inner);
        for _ in 0..3 {
            if end == End::PanickedWhenCalled {
                assert!(panic_of(|| drop(call(&mut service, post("/ada")))).contains("asked for"));
                continue;
            }
            let mut one = Hand::new(call(&mut service, post("/ada")));
            if end != End::Unpolled {
                assert!(one.poll().is_none(), "it has the place");
            }
            if matches!(end, End::Answered | End::Failed) {
                gate.open();
                assert_eq!(one.poll().unwrap().is_err(), end == End::Failed);
            } else if end == End::Panicked {
                gate.open();
                assert!(panic_of(|| one.poll().is_some()).contains("asked for"));
            }
            drop(one);
        }
    }
}

#[test]
fn a_place_is_kept_to_the_end_of_the_body_if_the_key_is() {
    let locks = locks();
    let inner = service_fn(async |_: Request<Body>| Ok::<_, Infallible>(Response::new(Body::from("a plan"))));
    let mut service = around(&layer(&locks).max_running(1).hold_until_body_end(true), inner);
    let response = Hand::new(call(&mut service, post("/ada"))).poll().unwrap().unwrap();
    let mut status = || Hand::new(call(&mut service, post("/grace"))).poll().unwrap().unwrap().status();
    assert_eq!(status(), 503);
    drop(response);
    assert_eq!(status(), 200);
}

#[tokio::test(start_paused = true)]
async fn a_request_that_waits_has_no_place_and_may_find_none() {
    let locks = locks();
    let gate = Gate::new();
    let layer = layer(&locks).wait(Duration::from_secs(3600)).max_running(1);
    let mut service = around(&layer, gated(&gate));
    let held = locks.try_lock("ada").unwrap();
    let mut waits = Hand::queued(call(&mut service, post("/ada")));
    let mut runs = Hand::queued(call(&mut service, post("/grace")));
    drop(held);
    assert_eq!(waits.poll().unwrap().unwrap().status(), 503);
    assert!(!locks.is_locked("ada"), "it was granted and given back");
    gate.open();
    assert_eq!(runs.poll().unwrap().unwrap().status(), 200);
    let counted = [Outcome::Acquired, Outcome::Overloaded].map(|outcome| layer.stats().of(outcome));
    assert_eq!((counted, layer.stats().requests()), ([1, 1], 2));
}

#[tokio::test(start_paused = true)]
async fn a_place_is_free_before_its_key_is() {
    let locks = locks();
    let gate = Gate::new();
    let mut service = around(&layer(&locks).wait(Duration::from_secs(3600)).max_running(1), gated(&gate));
    let mut first = Hand::queued(call(&mut service, post("/ada")));
    let mut next = Hand::new(call(&mut service, post("/ada")));
    let (other, found_place) = (Mutex::new(service.clone()), Arc::new(AtomicUsize::new(0)));
    let waker = {
        let found_place = found_place.clone();
        // Runs while the first one's key is released.
        hooked(move |event| {
            if event == Event::Woken {
                let runs = Hand::new(call(&mut *other.lock().unwrap(), post("/grace"))).poll().is_none();
                found_place.fetch_add(runs.into(), Ordering::SeqCst);
            }
        })
    };
    assert!(next.poll_with(&waker).is_none());
    gate.open();
    assert!(first.poll().is_some());
    assert_eq!(found_place.load(Ordering::SeqCst), 1);
    gate.open();
    assert_eq!(next.poll().unwrap().unwrap().status(), 200, "the next with this key finds the place");
}

#[test]
fn where_it_is_only_observed_a_request_beyond_the_bound_runs_and_is_counted() {
    let locks = locks();
    let gate = Gate::new();
    let bounded: Bounded = layer(&locks).max_running(1).mode(Mode::Observe);
    let mut service = around(&bounded, gated(&gate));
    let _one = Hand::queued(call(&mut service, post("/ada")));
    let mut two = Hand::queued(call(&mut service, post("/grace")));
    assert!(locks.is_locked("grace"), "it has its key, without a place");
    gate.open();
    gate.open();
    assert_eq!(two.poll().unwrap().unwrap().status(), 200);
    let counted = [Outcome::Acquired, Outcome::WouldBeOverloaded].map(|outcome| bounded.stats().of(outcome));
    assert_eq!((counted, bounded.stats().requests()), ([1, 1], 2));
}

#[test]
fn an_observed_request_beyond_the_bound_counts_so_also_if_its_key_comes_late() {
    let (answers, runs) = (Gate::new(), Gate::new());
    let layer = Remote::new(Reply::Grant, Some(&answers)).layer().max_running(1).mode(Mode::Observe);
    let mut service = around(&layer, gated(&runs));
    let mut requests = ["/ada", "/grace"].map(|path| Hand::queued(call(&mut service, post(path))));
    answers.open();
    answers.open();
    assert!(requests.iter_mut().all(|request| request.poll().is_none()));
    let counted = [Outcome::Acquired, Outcome::WouldBeOverloaded].map(|outcome| layer.stats().of(outcome));
    assert_eq!(counted, [1, 1]);
    runs.open();
    runs.open();
    assert!(requests.iter_mut().all(|request| request.poll().is_some()));
    assert_eq!(layer.stats().requests(), 2);
}
