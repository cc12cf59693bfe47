//! Limits inside of the layer.

use std::task::{Context, Poll, Waker};

use axum::body::Body;
use axum::http::{Response, header};
use tower::limit::ConcurrencyLimitLayer;
use tower::{Layer, Service};

use super::menu::{Menu, layer, soup, taste};
use crate::layer::service::{around, call, get};
use crate::support::Hand;

const GUESTS: usize = 20;

#[test]
fn requests_that_have_joined_take_one_place_of_a_limit() {
    let (layer, menu) = (layer(), Menu::new(soup));
    // One place for the call, and one for a request that does not know yet that it joins.
    let mut service = around(&layer, ConcurrencyLimitLayer::new(2).layer(menu.clone()));
    let mut asked: Vec<_> = (0..GUESTS).map(|_| Hand::queued(call(&mut service, get("/soup")))).collect();
    assert_eq!((menu.calls(), layer.counts().joined), (1, GUESTS as u64 - 1));
    // The second place is still free.
    let mut other = Hand::queued(call(&mut service, get("/salad")));
    assert_eq!(menu.calls(), 2);
    assert!(service.poll_ready(&mut Context::from_waker(Waker::noop())).is_pending());
    menu.gate.open();
    menu.gate.open();
    for guest in &mut asked {
        assert_eq!(taste(guest.poll().unwrap().unwrap()).1, "0");
    }
    assert!(other.poll().is_some());
    assert!(matches!(service.poll_ready(&mut Context::from_waker(Waker::noop())), Poll::Ready(Ok(()))));
}

#[test]
fn a_request_that_leads_next_waits_for_a_place_of_its_own() {
    let (layer, menu) = (layer(), Menu::new(|nth| if nth == 0 { Err("sold out") } else { soup(nth) }));
    let mut service = around(&layer, ConcurrencyLimitLayer::new(2).layer(menu.clone()));
    let mut leader = Hand::queued(call(&mut service, get("/soup")));
    let mut joined = [(); 3].map(|()| Hand::queued(call(&mut service, get("/soup"))));
    // Others take both places, as soon as there are any.
    let mut salad = Hand::queued(call(&mut service, get("/salad")));
    menu.gate.open();
    assert_eq!(leader.poll().unwrap().err(), Some("sold out"));
    let mut bread = Hand::queued(call(&mut service, get("/bread")));
    assert!(joined.iter_mut().all(|guest| guest.poll().is_none()));
    assert_eq!(menu.calls(), 3, "the next leader has no place yet");
    menu.gate.open();
    assert!(salad.poll().is_some());
    drop(salad);
    assert!(joined[0].is_woken() && joined[0].poll().is_none());
    assert_eq!(menu.calls(), 4);
    menu.gate.open();
    menu.gate.open();
    assert!(bread.poll().is_some());
    for guest in &mut joined {
        assert_eq!(taste(guest.poll().unwrap().unwrap()).1, "3");
    }
}

#[test]
fn requests_that_call_by_themselves_wait_for_places_of_their_own() {
    let cook = |nth| {
        Ok(Response::builder()
            .header(header::SET_COOKIE, "a=b")
            .header("x-nth", nth)
            .body(Body::empty())
            .unwrap())
    };
    let (layer, menu) = (layer(), Menu::new(cook));
    let mut service = around(&layer, ConcurrencyLimitLayer::new(2).layer(menu.clone()));
    let mut asked: Vec<_> = (0..5).map(|_| Hand::queued(call(&mut service, get("/soup")))).collect();
    menu.gate.open();
    assert!(asked.remove(0).poll().is_some());
    assert!(asked.iter_mut().all(|guest| guest.poll().is_none()));
    assert_eq!(menu.calls(), 3, "two at a time");
    for _ in 0..4 {
        menu.gate.open();
    }
    while !asked.is_empty() {
        let before = asked.len();
        asked.retain_mut(|guest| guest.poll().is_none());
        assert!(asked.len() < before);
    }
    assert_eq!(menu.calls(), 5);
}
