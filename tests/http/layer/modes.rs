//! Off, observed and enforced.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::body::Body;
use axum::http::{Request, Response, StatusCode};
use latchwork::layer::{KeyedLockLayer, Mode, ModeSwitch, Outcome, header};
use tower::service_fn;

use super::service::{Gate, around, call, layer, locks, post};
use crate::support::Hand;

const SECOND: Duration = Duration::from_secs(1);

#[derive(Clone)]
struct Handler {
    gate: Gate,
    runs: Arc<AtomicUsize>,
}

impl Handler {
    fn new() -> Self {
        Self { gate: Gate::new(), runs: Arc::default() }
    }

    async fn run(self) -> Result<Response<Body>, Infallible> {
        self.runs.fetch_add(1, Ordering::SeqCst);
        self.gate.pass().await;
        Ok(Response::new(Body::empty()))
    }

    fn runs(&self) -> usize {
        self.runs.load(Ordering::SeqCst)
    }
}

#[test]
fn off_is_as_if_there_were_no_layer() {
    let (locks, handler) = (locks(), Handler::new());
    let layer = layer(&locks).mode(Mode::Off);
    let run = handler.clone();
    let mut service = around(&layer, service_fn(move |_: Request<Body>| run.clone().run()));
    let _calls =
        [Hand::queued(call(&mut service, post("/ada"))), Hand::queued(call(&mut service, post("/ada")))];
    assert_eq!((handler.runs(), locks.len(), layer.stats().of(Outcome::Off)), (2, 0, 2));
}

#[test]
fn observed_requests_run_and_what_would_be_refused_is_counted() {
    let (locks, handler) = (locks(), Handler::new());
    let layer = layer(&locks).mode(Mode::Observe);
    let run = handler.clone();
    let mut service = around(&layer, service_fn(move |_: Request<Body>| run.clone().run()));
    let mut one = Hand::queued(call(&mut service, post("/ada")));
    let mut two = Hand::queued(call(&mut service, post("/ada")));
    assert!(locks.is_locked("ada"), "the first holds the key, so that the second is seen");
    assert_eq!(handler.runs(), 2);
    handler.gate.open();
    handler.gate.open();
    for call in [&mut two, &mut one] {
        assert_eq!(call.poll().unwrap().unwrap().status(), StatusCode::OK);
    }
    assert!(locks.is_empty());
    let counts = layer.stats();
    assert_eq!((counts.of(Outcome::Acquired), counts.of(Outcome::WouldBeBusy), counts.requests()), (1, 1, 2));
}

#[test]
fn observed_requests_whose_key_can_not_be_told_run() {
    let (locks, handler) = (locks(), Handler::new());
    let layer = KeyedLockLayer::new(locks, header("x-tenant")).mode(Mode::Observe);
    let run = handler.clone();
    let mut service = around(&layer, service_fn(move |_: Request<Body>| run.clone().run()));
    let _one = Hand::queued(call(&mut service, post("/")));
    assert_eq!((handler.runs(), layer.stats().of(Outcome::WouldBeBadKey)), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn observed_waits_hold_nobody_up_and_are_counted_as_what_they_would_have_been() {
    let (locks, handler) = (locks(), Handler::new());
    let layer = layer(&locks).wait(SECOND).max_waiters(2).mode(Mode::Observe);
    let run = handler.clone();
    let mut service = around(&layer, service_fn(move |_: Request<Body>| run.clone().run()));
    let counts = layer.stats();
    let held = locks.try_lock("ada").unwrap();

    // One whose wait would have gone on when its handler was through.
    let mut short = Hand::queued(call(&mut service, post("/ada")));
    handler.gate.open();
    assert!(short.poll().is_some());
    assert_eq!((counts.of(Outcome::WouldWait), locks.snapshot()[0].waiters()), (1, 0));

    // Two who wait, and one for whom there would have been no room.
    let mut granted = Hand::queued(call(&mut service, post("/ada")));
    let mut late = Hand::queued(call(&mut service, post("/ada")));
    let mut refused = Hand::queued(call(&mut service, post("/ada")));
    assert_eq!((handler.runs(), counts.of(Outcome::WouldQueueFull)), (4, 1));

    // The first gets the key in time, and holds it from then on.
    drop(held);
    assert!(granted.is_woken() && granted.poll().is_none());
    assert_eq!(counts.of(Outcome::WouldWait), 2);
    assert!(locks.is_locked("ada"));

    // The second one's time is up.
    tokio::time::advance(SECOND).await;
    assert!(late.is_woken() && late.poll().is_none());
    assert_eq!(counts.of(Outcome::WouldTimeOut), 1);
    for call in [&mut granted, &mut late, &mut refused] {
        handler.gate.open();
        assert_eq!(call.poll().unwrap().unwrap().status(), StatusCode::OK);
    }
    assert_eq!(counts.requests(), 4);
    assert!(locks.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_request_is_treated_by_the_mode_that_it_came_in() {
    let (locks, handler) = (locks(), Handler::new());
    let switch = ModeSwitch::default();
    let layer = layer(&locks).wait(SECOND).mode(&switch);
    let run = handler.clone();
    let mut service = around(&layer, service_fn(move |_: Request<Body>| run.clone().run()));
    let mut holds = Hand::queued(call(&mut service, post("/ada")));
    let mut waits = Hand::queued(call(&mut service, post("/ada")));
    assert_eq!(handler.runs(), 1);
    switch.set(Mode::Off);
    let mut passes = Hand::queued(call(&mut service, post("/ada")));
    assert_eq!(handler.runs(), 2);
    switch.set(Mode::Observe);
    let mut observed = Hand::queued(call(&mut service, post("/ada")));
    assert_eq!(handler.runs(), 3);
    switch.set(Mode::Enforce);
    handler.gate.open();
    assert!(holds.poll().is_some());
    assert!(waits.poll().is_none() && handler.runs() == 4, "it still wants the key, and has it now");
    for _ in 0..3 {
        handler.gate.open();
    }
    for call in [&mut waits, &mut passes, &mut observed] {
        assert!(call.poll().is_some());
    }
    let counts = layer.stats();
    let of = |outcome| counts.of(outcome);
    assert_eq!(
        (of(Outcome::Acquired), of(Outcome::Waited), of(Outcome::Off), of(Outcome::WouldWait)),
        (1, 1, 1, 1)
    );
    assert!(locks.is_empty());
}
