//! Answers that all requests get which run at the same time.

use std::convert::Infallible;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::task::{Context, Waker};
use std::time::Duration;

use axum::body::Body;
use axum::http::{Request, Response};
use http_body_util::BodyExt;
use tower::{Layer, Service, service_fn};

use super::menu::{Menu, layer, soup, taste};
use crate::layer::drops::{self, slow_soup, stop};
use crate::layer::service::{Fussy, around, call, get, post};
use crate::support::Hand;

#[test]
fn all_who_ask_at_the_same_time_get_the_answer_of_one_call() {
    let (layer, menu) = (layer(), Menu::new(soup));
    let mut service = menu.behind(&layer);
    let mut asked: Vec<_> = (0..5).map(|_| Hand::queued(call(&mut service, get("/soup")))).collect();
    let mut other = Hand::queued(call(&mut service, get("/salad")));
    assert_eq!(menu.calls(), 2);
    menu.gate.open();
    menu.gate.open();
    for guest in &mut asked {
        let answer = taste(guest.poll().unwrap().unwrap());
        assert_eq!(answer, (203, "0".into(), Ok(("soup".into(), true))));
    }
    assert_eq!(taste(other.poll().unwrap().unwrap()).1, "1");
    let counts = layer.counts();
    assert_eq!((counts.flights, counts.joined, counts.under_way), (2, 4, 0));

    // Nothing is cached.
    menu.gate.open();
    assert_eq!(taste(Hand::new(call(&mut service, get("/soup"))).poll().unwrap().unwrap()).1, "2");
}

#[test]
fn the_service_that_was_ready_is_called() {
    let fussy = Fussy::new();
    let mut service = layer().layer(fussy.clone());
    for request in [get("/soup"), post("/soup"), get("/soup"), get("/")] {
        assert!(Hand::new(call(&mut service, request)).poll().is_some());
    }
    let mut unpolled = Vec::new();
    for _ in 0..3 {
        assert!(service.poll_ready(&mut Context::from_waker(Waker::noop())).is_ready());
        unpolled.push(Hand::new(service.call(get("/soup"))));
    }
    assert!(unpolled.iter_mut().all(|call| call.poll().is_some()));
    assert_eq!(fussy.calls.load(Ordering::SeqCst), 7);
}

#[test]
fn answers_carry_their_extensions() {
    let seen = Arc::new(Mutex::new(0));
    let menu = Menu::new(|_| {
        let mut answer = Response::new(Body::empty());
        answer.extensions_mut().insert(7_u32);
        Ok(answer)
    });
    let mut service = menu.behind(&layer());
    let mut both =
        [Hand::queued(call(&mut service, get("/soup"))), Hand::queued(call(&mut service, get("/soup")))];
    menu.gate.open();
    for guest in &mut both {
        *seen.lock().unwrap() += *guest.poll().unwrap().unwrap().extensions().get::<u32>().unwrap();
    }
    assert_eq!(*seen.lock().unwrap(), 14);
}

#[tokio::test]
async fn whoever_is_dropped_whenever_leaves_no_flight_and_the_others_are_served() {
    for detached in [false, true] {
        let layer = if detached { layer().detached(Duration::from_secs(60)) } else { layer() };
        let inner = service_fn(async |_: Request<Body>| {
            stop().await;
            stop().await;
            Ok::<_, Infallible>(Response::new(slow_soup(())))
        });
        let mut service = around(&layer, inner);
        for polls in drops::polls(7) {
            for drops_late in [false, true] {
                let calls = [(); 3].map(|()| {
                    let call = call(&mut service, get("/soup"));
                    async move {
                        let Ok(answer) = call.await;
                        answer.into_body().collect().await.unwrap().to_bytes()
                    }
                });
                let others = async || {
                    tokio::task::yield_now().await;
                    detached && layer.counts().under_way > 0
                };
                drops::serve(calls, polls, drops_late, others).await;
                assert_eq!(layer.counts().under_way, 0, "{polls:?}, {drops_late}");
            }
        }
        assert_eq!(layer.counts().aborted == 0, detached);
        assert!(layer.counts().joined > 0);
    }
}
