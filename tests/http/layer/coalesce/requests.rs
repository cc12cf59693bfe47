//! Which requests join.

use axum::body::Body;
use axum::http::{Method, Request, header, request};

use super::menu::{Menu, layer, soup};
use crate::layer::service::{call, get};
use crate::support::Hand;

type With = fn(request::Builder) -> request::Builder;

#[test]
fn a_request_whose_answer_is_for_itself_alone_does_not_share() {
    let alone: [With; 11] = [
        |request| request.method(Method::HEAD),
        |request| request.method(Method::POST),
        |request| request.header(header::RANGE, "bytes=0-1"),
        |request| request.header(header::IF_NONE_MATCH, "\"7\""),
        |request| request.header(header::IF_MODIFIED_SINCE, "Wed, 25 Nov 2026 00:00:00 GMT"),
        |request| request.header(header::AUTHORIZATION, "Bearer ada"),
        |request| request.header(header::COOKIE, "session=ada"),
        |request| request.header(header::PROXY_AUTHORIZATION, "Bearer ada"),
        |request| request.header(header::CONNECTION, "upgrade").header(header::UPGRADE, "websocket"),
        |request| request.header(header::ACCEPT, "text/html").header(header::ACCEPT, "text/plain"),
        |request| request.uri("/"),
    ];
    for (nth, alone) in alone.into_iter().enumerate() {
        assert!(!joins(alone), "{nth}");
    }
    let (layer, menu) = (layer(), Menu::new(soup));
    let mut service = menu.behind(&layer);
    let request = || Request::get("/soup").body(Body::from("with a body")).unwrap();
    let _both = [Hand::queued(call(&mut service, request())), Hand::queued(call(&mut service, request()))];
    assert_eq!((menu.calls(), layer.counts().flights), (2, 0));
}

#[test]
fn a_request_for_a_new_answer_neither_joins_nor_leads() {
    let refuse: [With; 12] = [
        |request| request.header(header::CACHE_CONTROL, "no-cache"),
        |request| request.header(header::CACHE_CONTROL, "no-store"),
        |request| request.header(header::CACHE_CONTROL, "max-age=0"),
        |request| request.header(header::CACHE_CONTROL, "max-age=\"00\""),
        |request| request.header(header::CACHE_CONTROL, "min-fresh=1 ,, No-Cache"),
        |request| {
            request.header(header::CACHE_CONTROL, "max-age=9").header(header::CACHE_CONTROL, "no-store")
        },
        |request| request.header(header::CACHE_CONTROL, "max-age=9, max-age=0"),
        |request| request.header(header::PRAGMA, "No-Cache"),
        |request| request.header(header::PRAGMA, "x, no-cache").header(header::CACHE_CONTROL, "max-age=9"),
        // Unreadable.
        |request| request.header(header::CACHE_CONTROL, "max-age"),
        |request| request.header(header::CACHE_CONTROL, "x=\"no-cache"),
        |request| request.header(header::CACHE_CONTROL, "max-age 9"),
    ];
    for (nth, refuse) in refuse.into_iter().enumerate() {
        assert!(!joins(refuse), "{nth}");
        // It does not join a request that asks for nothing special, nor the other way round.
        let (layer, menu) = (layer(), Menu::new(soup));
        let mut service = menu.behind(&layer);
        let request = || refuse(Request::get("/soup")).body(Body::empty()).unwrap();
        let _three =
            [get("/soup"), request(), get("/soup")].map(|asked| Hand::queued(call(&mut service, asked)));
        assert_eq!((menu.calls(), layer.counts().flights, layer.counts().joined), (2, 1, 1), "{nth}");
    }
    let join: [With; 5] = [
        |request| request.header(header::CACHE_CONTROL, ""),
        |request| request.header(header::CACHE_CONTROL, "max-age=9"),
        |request| request.header(header::CACHE_CONTROL, "max-stale, only-if-cached"),
        |request| request.header(header::CACHE_CONTROL, "x=\"no-cache, \\\" no-store\""),
        |request| request.header(header::PRAGMA, "x=\"no-cache\""),
    ];
    for (nth, join) in join.into_iter().enumerate() {
        assert!(joins(join), "{nth}");
    }
}

/// Whether the second of two such requests joins the first.
fn joins(with: With) -> bool {
    let (layer, menu) = (layer(), Menu::new(soup));
    let mut service = menu.behind(&layer);
    let request = || with(Request::get("/soup")).body(Body::empty()).unwrap();
    let _both = [Hand::queued(call(&mut service, request())), Hand::queued(call(&mut service, request()))];
    match (menu.calls(), layer.counts().flights) {
        (1, 1) => true,
        (2, 0) => false,
        other => panic!("{other:?}"),
    }
}

#[test]
fn requests_that_accept_something_else_do_not_join() {
    let (layer, menu) = (layer(), Menu::new(soup));
    let mut service = menu.behind(&layer);
    let request = |accept| Request::get("/soup").header(header::ACCEPT, accept).body(Body::empty()).unwrap();
    let _guests = [
        Hand::queued(call(&mut service, request("text/html"))),
        Hand::queued(call(&mut service, request("text/html"))),
        Hand::queued(call(&mut service, request("text/plain"))),
        Hand::queued(call(&mut service, get("/soup"))),
    ];
    assert_eq!((menu.calls(), layer.counts().joined), (3, 1));
}

#[test]
fn requests_to_another_host_do_not_join() {
    let (layer, menu) = (layer(), Menu::new(soup));
    let mut service = menu.behind(&layer);
    // As HTTP/1.1 says it, and as HTTP/2 does.
    let named = |host| Request::get("/soup").header(header::HOST, host).body(Body::empty()).unwrap();
    let _guests = [
        Hand::queued(call(&mut service, named("acme.example"))),
        Hand::queued(call(&mut service, named("globex.example"))),
        Hand::queued(call(&mut service, get("https://acme.example/soup"))),
        Hand::queued(call(&mut service, get("https://globex.example/soup"))),
        Hand::queued(call(&mut service, get("https://globex.example/soup"))),
    ];
    assert_eq!((menu.calls(), layer.counts().joined), (4, 1));
}
